//! Differences over gRPC, in numbers, and over HTTP, as files and as a page with a map.

use crate::api::http::Pages;
use crate::api::report::{preferred, refusal, written_parts};
use crate::diff::{ColumnChange, DiffFormat, PageOptions, policy};
use crate::export::{DiffFrom, Export, ExportRequest};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use serde::Deserialize;
use ukimet_model::{BoundingBox, Error, Result, SnapshotId, ValidQuery, VersionSelector};
use ukimet_proto::v1;

/// Answers what differs between two versions. Blocks on reads.
pub(super) fn get_diff(export: &Export, request: v1::GetDiffRequest) -> Result<v1::GetDiffResponse> {
    let from = if request.from.is_empty() { DiffFrom::default() } else { request.from.parse()? };
    let rows = ExportRequest {
        columns: (!request.columns.is_empty()).then_some(request.columns),
        bbox: request.bbox.map(BoundingBox::try_from).transpose()?,
        filter: (!request.filter.is_empty()).then(|| request.filter.parse()).transpose()?,
        snapshot: request.snapshot.map(SnapshotId),
        diff_from: Some(from),
        ..ExportRequest::all(request.dataset.parse::<VersionSelector>()?)
    };
    let said = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
    let valid = ValidQuery::of(said(&request.valid_at).as_deref(), said(&request.valid_during).as_deref())?;
    let (heading, counts) = export.summarize_diff(rows.valid(valid), request.count)?;
    Ok(v1::GetDiffResponse {
        snapshot: heading.snapshot.0,
        from: heading.from.0.0,
        to: heading.to.0.0,
        from_committed: Some(wire_time(heading.from.1)),
        to_committed: Some(wire_time(heading.to.1)),
        key: heading.key,
        columns: heading.columns.into_iter().map(wire_column).collect(),
        counts: counts.map(Into::into),
    })
}

pub(crate) fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

pub(crate) fn wire_column(change: ColumnChange) -> v1::ColumnChange {
    v1::ColumnChange { name: change.name, type_before: change.before, type_after: change.after }
}

/// What may be asked for in an address.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wishes {
    from: Option<String>,
    to: Option<String>,
    format: Option<String>,
    columns: Option<String>,
    bbox: Option<String>,
    valid_at: Option<String>,
    valid_during: Option<String>,
    filter: Option<String>,
    limit: Option<u64>,
    snapshot: Option<u64>,
    lang: Option<String>,
}

/// `/datasets/{agency}/{name}/diff?from=v1&to=v2&format=html`
pub(super) async fn diff(
    State(pages): State<Pages>,
    Path((agency, name)): Path<(String, String)>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Response {
    answer(pages, &format!("{agency}/{name}"), wishes, &headers).await.unwrap_or_else(|error| refusal(&error))
}

async fn answer(pages: Pages, dataset: &str, wishes: Wishes, headers: &HeaderMap) -> Result<Response> {
    let format = wishes.format.as_deref().map_or(Ok(DiffFormat::Html), DiffFormat::parse)?;
    let language = wishes.lang.as_deref().map_or_else(|| Ok(preferred(headers)), str::parse)?;
    let options = PageOptions { language, limits: pages.diff_page };
    let request = request(dataset, wishes)?;
    let file_name = format!("{}-diff.{}", dataset.replace('/', "-"), format.name());
    let parts = written_parts(move || pages.export.write_diff(request, format, options)).await?;
    Ok((own_headers(format, &file_name)?, Body::from_stream(parts)).into_response())
}

fn request(dataset: &str, wishes: Wishes) -> Result<ExportRequest> {
    let version = wishes.to.map(|to| to.parse()).transpose()?;
    let columns = wishes.columns.map(|names| names.split(',').map(str::to_owned).collect());
    let valid = ValidQuery::of(wishes.valid_at.as_deref(), wishes.valid_during.as_deref())?;
    let request = ExportRequest {
        columns,
        bbox: wishes.bbox.map(|bbox| bbox.parse()).transpose()?,
        filter: wishes.filter.map(|filter| filter.parse()).transpose()?,
        limit: wishes.limit,
        snapshot: wishes.snapshot.map(SnapshotId),
        diff_from: Some(wishes.from.map_or(Ok(DiffFrom::default()), |from| from.parse())?),
        ..ExportRequest::all(VersionSelector { dataset: dataset.parse()?, version })
    };
    Ok(request.valid(valid))
}

fn own_headers(format: DiffFormat, file_name: &str) -> Result<HeaderMap> {
    let value = |text: &str| {
        HeaderValue::try_from(text).map_err(|e| Error::internal("a header of a difference is no text").caused_by(e))
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if format == DiffFormat::Html {
        headers.insert(header::CONTENT_SECURITY_POLICY, value(&format!("{}; frame-ancestors 'none'", policy()))?);
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    } else {
        headers.insert(header::CONTENT_DISPOSITION, value(&format!("attachment; filename=\"{file_name}\""))?);
    }
    Ok(headers)
}
