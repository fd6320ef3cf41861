//! `ukimet.v1.CatalogService`: what is there, as of a snapshot.

use crate::api::body::incident;
use crate::api::diff::get_diff;
use crate::api::report::report_parts;
use crate::api::versions::wire_erasure;
use crate::coverage::{Coverages, file_parts};
use crate::export::Export;
use crate::ingest::COG_MEDIA_TYPE;
use crate::report::texts::Language;
use crate::report::{Filter, ReportRequest};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};
use ukimet_catalog::Snapshot;
use ukimet_model::{
    BoundingBox, DatasetId, DatasetQuery, Error, Facet, Result, SnapshotId, Tag, Version, VersionNumber,
    VersionSelector,
};
use ukimet_proto::status::to_status;
use ukimet_proto::v1;
use ukimet_proto::v1::catalog_service_server::CatalogService;

/// Answers questions about datasets.
#[derive(Clone)]
pub struct Questions {
    /// Where snapshots come from.
    pub export: Export,
    /// Rasters.
    pub coverages: Coverages,
}

/// Largest page.
const PAGE_MAX: u32 = 1000;

impl Questions {
    /// Answers from one snapshot, the newest unless another is named, on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        as_of: Option<u64>,
        question: impl FnOnce(&Snapshot) -> Result<T> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let snapshot = self.export.snapshot_as_of(as_of.map(SnapshotId)).map_err(|e| to_status(&e))?;
        tokio::task::spawn_blocking(move || question(&snapshot))
            .await
            .map_err(|panic| to_status(&incident(panic.into_panic().as_ref())))?
            .map(Response::new)
            .map_err(|e| to_status(&e))
    }
}

impl Questions {
    async fn coverage(&self, request: v1::GetCoverageRequest) -> Result<BoxStream<'static, Result<bytes::Bytes>>> {
        let selector = selector(&request.dataset, request.version)?;
        let bbox = request.bbox.map(BoundingBox::try_from).transpose()?;
        let coverage =
            self.coverages.find(selector, request.snapshot.map(SnapshotId), request.number.max(1) as usize).await?;
        if let Some(bbox) = bbox {
            return Ok(file_parts(self.coverages.cut(coverage, bbox).await?.0).boxed());
        }
        let all = 0..coverage.size_bytes();
        Ok(coverage.parts(all).boxed())
    }
}

fn page(limit: u32, default: u32) -> Result<usize> {
    match limit {
        0 => Ok(default as usize),
        1..=PAGE_MAX => Ok(limit as usize),
        _ => Err(Error::invalid_request(format!("limit is 1 to {PAGE_MAX}, found {limit}"))),
    }
}

fn dataset_query(request: v1::SearchRequest) -> Result<DatasetQuery> {
    let chosen = request.facets.into_iter().map(|chosen| {
        let value = Some(chosen.value).filter(|value| !value.is_empty());
        Ok((chosen.facet.parse()?, value))
    });
    Ok(DatasetQuery {
        text: request.text,
        bbox: request.bbox.map(TryInto::try_into).transpose()?,
        region: Some(request.region).filter(|region| !region.is_empty()),
        updated_from: request.updated_from.map(time).transpose()?,
        updated_before: request.updated_before.map(time).transpose()?,
        facets: chosen.collect::<Result<_>>()?,
        with_facets: request.with_facets,
        offset: request.offset as usize,
        limit: page(request.limit, 20)?,
    })
}

fn time(time: prost_types::Timestamp) -> Result<Timestamp> {
    Timestamp::new(time.seconds, time.nanos)
        .map_err(|e| Error::invalid_request("a time lies between the years -9999 and 9999").caused_by(e))
}

/// How many datasets have each value of a facet, the most frequent first.
fn facet_values((facet, counts): (Facet, BTreeMap<Option<String>, u64>)) -> Vec<v1::FacetValue> {
    let value = |(value, datasets): (Option<String>, u64)| v1::FacetValue {
        facet: facet.name().to_owned(),
        value: value.unwrap_or_default(),
        datasets,
    };
    let mut values: Vec<_> = counts.into_iter().map(value).collect();
    values.sort_by_key(|value| Reverse(value.datasets));
    values
}

/// The version that a dataset, perhaps with one, and perhaps a number of its own name.
fn selector(dataset: &str, version: Option<u64>) -> Result<VersionSelector> {
    let named: VersionSelector = dataset.parse()?;
    match version {
        None => Ok(named),
        Some(0) => Err(Error::invalid_request("version is counted from 1, found 0")),
        Some(_) if named.version.is_some() => {
            Err(Error::invalid_request("dataset and version both name a version, one of them is enough"))
        }
        Some(number) => Ok(VersionSelector { version: Some(VersionNumber(number).into()), ..named }),
    }
}

/// What was erased from a dataset.
fn erasures(snapshot: &Snapshot, dataset: &DatasetId) -> Result<Vec<v1::Erasure>> {
    Ok(snapshot.erasures(dataset)?.iter().map(wire_erasure).collect())
}

/// What people said about a version.
fn with_marks(snapshot: &Snapshot, dataset: &DatasetId, tags: &[Tag], version: Version) -> Result<v1::Version> {
    let number = version.number;
    let names = tags.iter().filter(|tag| tag.version == Some(number)).map(|tag| tag.name.to_string());
    let notes = snapshot.notes(dataset, number)?.into_iter().map(Into::into).collect();
    Ok(v1::Version { tags: names.collect(), notes, ..version.into() })
}

fn report_request(request: v1::GetReportRequest) -> Result<ReportRequest> {
    let severity = match request.severity() {
        v1::Severity::Unspecified => None,
        severity => Some(severity.into()),
    };
    Ok(ReportRequest {
        dataset: selector(&request.dataset, request.version)?,
        snapshot: request.snapshot.map(SnapshotId),
        push_id: request.push_id.map(|id| id.parse()).transpose()?,
        language: if request.language.is_empty() { Language::default() } else { request.language.parse()? },
        format: request.format.parse()?,
        table: request.table.parse()?,
        filter: Filter { rule: request.rule, severity },
    })
}

#[tonic::async_trait]
impl CatalogService for Questions {
    type GetReportStream = BoxStream<'static, Result<v1::GetReportResponse, Status>>;

    async fn get_report(
        &self,
        request: Request<v1::GetReportRequest>,
    ) -> Result<Response<Self::GetReportStream>, Status> {
        let request = report_request(request.into_inner()).map_err(|e| to_status(&e))?;
        let media_type = request.format.media_type().to_owned();
        let parts = report_parts(self.export.clone(), request).await.map_err(|e| to_status(&e))?;
        let first = v1::GetReportResponse { media_type, data: bytes::Bytes::new() };
        let parts = parts.map_ok(|data| v1::GetReportResponse { media_type: String::new(), data });
        let parts = parts.map_err(|error| to_status(&Error::unavailable("reading a report").caused_by(error)));
        Ok(Response::new(futures::stream::once(async { Ok(first) }).chain(parts).boxed()))
    }

    type GetCoverageStream = BoxStream<'static, Result<v1::GetCoverageResponse, Status>>;

    async fn get_coverage(
        &self,
        request: Request<v1::GetCoverageRequest>,
    ) -> Result<Response<Self::GetCoverageStream>, Status> {
        let parts = self.coverage(request.into_inner()).await.map_err(|e| to_status(&e))?;
        let first = v1::GetCoverageResponse { media_type: COG_MEDIA_TYPE.to_owned(), data: bytes::Bytes::new() };
        let parts = parts.map_ok(|data| v1::GetCoverageResponse { media_type: String::new(), data });
        let parts = parts.map_err(|error| to_status(&error));
        Ok(Response::new(futures::stream::once(async { Ok(first) }).chain(parts).boxed()))
    }

    async fn get_snapshot(
        &self,
        request: Request<v1::GetSnapshotRequest>,
    ) -> Result<Response<v1::GetSnapshotResponse>, Status> {
        self.ask(request.into_inner().snapshot, |snapshot| {
            Ok(v1::GetSnapshotResponse { snapshot: snapshot.id().0, datasets: snapshot.dataset_count()? })
        })
        .await
    }

    async fn search(&self, request: Request<v1::SearchRequest>) -> Result<Response<v1::SearchResponse>, Status> {
        let request = request.into_inner();
        self.ask(request.snapshot, move |snapshot| {
            let found = snapshot.search(&dataset_query(request)?)?;
            Ok(v1::SearchResponse {
                snapshot: snapshot.id().0,
                total: found.total,
                datasets: found
                    .datasets
                    .into_iter()
                    .map(|found| v1::Dataset { mapping: None, ..found.into() })
                    .collect(),
                facets: found.facets.into_iter().flat_map(facet_values).collect(),
            })
        })
        .await
    }

    async fn get_dataset(
        &self,
        request: Request<v1::GetDatasetRequest>,
    ) -> Result<Response<v1::GetDatasetResponse>, Status> {
        let request = request.into_inner();
        self.ask(request.snapshot, move |snapshot| {
            let named = selector(&request.dataset, request.version)?;
            let (mut dataset, version) = snapshot.version(&named)?;
            if named.version.is_some() {
                let push = snapshot.push(dataset.id.agency(), &version.push_id)?;
                dataset.mapping = push.and_then(|push| push.declared.mapping);
            }
            let version_with_marks = with_marks(snapshot, &dataset.id, &snapshot.tags(&dataset.id)?, version.clone())?;
            let dataset = v1::Dataset { version: Some(version_with_marks), ..(dataset, version).into() };
            Ok(v1::GetDatasetResponse { snapshot: snapshot.id().0, dataset: Some(dataset) })
        })
        .await
    }

    async fn list_versions(
        &self,
        request: Request<v1::ListVersionsRequest>,
    ) -> Result<Response<v1::ListVersionsResponse>, Status> {
        let request = request.into_inner();
        self.ask(request.snapshot, move |snapshot| {
            let before = request.before.map(VersionNumber);
            let dataset = request.dataset.parse()?;
            let versions = snapshot.versions(&dataset, before, page(request.limit, 100)?)?;
            let tags = snapshot.tags(&dataset)?;
            let versions = versions.into_iter().map(|version| with_marks(snapshot, &dataset, &tags, version));
            let removed = if before.is_none() { snapshot.removals(&dataset)? } else { Vec::new() };
            Ok(v1::ListVersionsResponse {
                snapshot: snapshot.id().0,
                versions: versions.collect::<Result<_>>()?,
                removed: removed.into_iter().map(Into::into).collect(),
                erasures: if before.is_none() { erasures(snapshot, &dataset)? } else { Vec::new() },
            })
        })
        .await
    }

    async fn list_tags(&self, request: Request<v1::ListTagsRequest>) -> Result<Response<v1::ListTagsResponse>, Status> {
        let request = request.into_inner();
        self.ask(request.snapshot, move |snapshot| {
            let (dataset, _) = snapshot.dataset(&request.dataset.parse()?)?;
            let tags = if request.history { snapshot.tag_history(&dataset.id)? } else { snapshot.tags(&dataset.id)? };
            let tags = tags.into_iter().map(Into::into).collect();
            Ok(v1::ListTagsResponse { snapshot: snapshot.id().0, tags })
        })
        .await
    }

    async fn get_diff(&self, request: Request<v1::GetDiffRequest>) -> Result<Response<v1::GetDiffResponse>, Status> {
        let export = self.export.clone();
        tokio::task::spawn_blocking(move || get_diff(&export, request.into_inner()))
            .await
            .map_err(|panic| to_status(&incident(panic.into_panic().as_ref())))?
            .map(Response::new)
            .map_err(|e| to_status(&e))
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<v1::GetReceiptResponse>, Status> {
        let request = request.into_inner();
        self.ask(request.snapshot, move |snapshot| {
            let (_, version) = snapshot.version(&selector(&request.dataset, request.version)?)?;
            let report = snapshot.receipt(&version)?;
            Ok(v1::GetReceiptResponse { version: version.number.0, report: Some(report.into()) })
        })
        .await
    }
}
