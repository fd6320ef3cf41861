//! Rasters over HTTP: the kept file by ranges, as programs read Cloud Optimized `GeoTIFF` from afar, or a part by a box.

use crate::api::conditions::{Asked, names, parse_range};
use crate::api::http::Pages;
use crate::api::report::refusal;
use crate::coverage::{Coverage, file_parts};
use crate::ingest::COG_MEDIA_TYPE;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use ukimet_model::{BoundingBox, Error, Result, SnapshotId, VersionChoice, VersionSelector};

/// What may be asked for in an address.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wishes {
    bbox: Option<String>,
    snapshot: Option<u64>,
}

/// `/datasets/{agency}/{name}/versions/{version}/coverage.tif`
pub(super) async fn coverage(
    State(pages): State<Pages>,
    Path((agency, name, version)): Path<(String, String, String)>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Response {
    answer(pages, [&agency, &name, &version], 1, wishes, &headers).await.unwrap_or_else(|error| refusal(&error))
}

/// `/datasets/{agency}/{name}/versions/{version}/coverage/2.tif`
pub(super) async fn numbered_coverage(
    State(pages): State<Pages>,
    Path((agency, name, version, file)): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Response {
    let number = file.strip_suffix(".tif").and_then(|number| number.parse().ok()).unwrap_or(0);
    answer(pages, [&agency, &name, &version], number, wishes, &headers).await.unwrap_or_else(|error| refusal(&error))
}

async fn answer(
    pages: Pages,
    [agency, name, version]: [&str; 3],
    number: usize,
    wishes: Wishes,
    headers: &HeaderMap,
) -> Result<Response> {
    let selector = VersionSelector { dataset: format!("{agency}/{name}").parse()?, version: Some(version.parse()?) };
    let bbox: Option<BoundingBox> = wishes.bbox.map(|bbox| bbox.parse()).transpose()?;
    let is_fixed = matches!(selector.version, Some(VersionChoice::Number(_)));
    let coverage = pages.coverages.find(selector, wishes.snapshot.map(SnapshotId), number).await?;
    let file_name = format!("{agency}-{name}-{}.tif", coverage.version.number);
    let Some(bbox) = bbox else {
        return whole_or_range(coverage, &file_name, headers, is_fixed);
    };
    let (file, size_bytes) = pages.coverages.cut(coverage, bbox).await?;
    let own = own_headers(&file_name, size_bytes)?;
    Ok((own, Body::from_stream(file_parts(file))).into_response())
}

fn own_headers(file_name: &str, size_bytes: u64) -> Result<HeaderMap> {
    let value = |text: String| {
        HeaderValue::try_from(text).map_err(|e| Error::internal("a header of a raster is no text").caused_by(e))
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(COG_MEDIA_TYPE));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_LENGTH, size_bytes.into());
    headers.insert(header::CONTENT_DISPOSITION, value(format!("attachment; filename=\"{file_name}\""))?);
    Ok(headers)
}

/// `is_fixed` tells that the address always means this version: a tag may move, and a time may mean a later version.
fn whole_or_range(coverage: Coverage, file_name: &str, asked: &HeaderMap, is_fixed: bool) -> Result<Response> {
    let size_bytes = coverage.size_bytes();
    let tag = format!("\"{}\"", coverage.sha256());
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let mut headers = own_headers(file_name, size_bytes)?;
    let value = |text: &str| {
        HeaderValue::try_from(text).map_err(|e| Error::internal("a header of a raster is no text").caused_by(e))
    };
    headers.insert(header::ETAG, value(&tag)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A version never changes.
    let may_be_kept = if is_fixed { "max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(may_be_kept));
    if text(header::IF_NONE_MATCH).is_some_and(|tags| names(tags, &tag)) {
        headers.remove(header::CONTENT_LENGTH);
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let is_same = text(header::IF_RANGE).is_none_or(|known| known == tag);
    match text(header::RANGE).filter(|_| is_same).map(|range| parse_range(range, size_bytes)) {
        None | Some(Asked::All) => Ok((headers, Body::from_stream(coverage.parts(0..size_bytes))).into_response()),
        Some(Asked::Part(range)) => {
            headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
            let place = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
            headers.insert(header::CONTENT_RANGE, value(&place)?);
            Ok((StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(coverage.parts(range))).into_response())
        }
        Some(Asked::Nothing) => {
            headers.remove(header::CONTENT_LENGTH);
            headers.insert(header::CONTENT_RANGE, value(&format!("bytes */{size_bytes}"))?);
            Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response())
        }
    }
}
