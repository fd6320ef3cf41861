//! The report over HTTP, and its parts as they go out by any door.

use crate::api::body::incident;
use crate::api::http::Pages;
use crate::export::Export;
use crate::report::texts::Language;
use crate::report::{Filter, ReportFormat, ReportRequest, ReportTable, parse_severity};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::fs::File;
use tokio::io::AsyncReadExt;
use ukimet_model::{DatasetId, Error, ErrorKind, PushId, Result, SnapshotId, VersionSelector};

/// Bytes of one part.
const PART_BYTES: usize = 256 << 10;

/// Writes a report and gives it out in parts.
///
/// # Errors
///
/// What [`Export::report`] says.
pub async fn report_parts(
    export: Export,
    request: ReportRequest,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>> {
    written_parts(move || export.report(&request)).await
}

/// Writes a file on a thread that may block, and gives it out in parts.
///
/// # Errors
///
/// What `write` says.
pub(super) async fn written_parts<W: FnOnce() -> Result<File> + Send + 'static>(
    write: W,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<W>> {
    let written = tokio::task::spawn_blocking(write).await;
    let file = written.map_err(|panic| incident(panic.into_panic().as_ref()))??;
    let mut file = tokio::fs::File::from_std(file);
    Ok(async_stream::stream! {
        loop {
            let mut part = vec![0; PART_BYTES];
            match file.read(&mut part).await {
                Ok(0) => return,
                Ok(n) => {
                    part.truncate(n);
                    yield Ok(part.into());
                }
                Err(error) => {
                    yield Err(error);
                    return;
                }
            }
        }
    })
}

/// What may be asked for in an address.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wishes {
    lang: Option<String>,
    table: Option<String>,
    rule: Option<String>,
    severity: Option<String>,
    snapshot: Option<u64>,
}

/// `/datasets/{agency}/{name}/versions/{version}/report.html`
pub(super) async fn version_report(
    State(pages): State<Pages>,
    Path((agency, name, version, file)): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Response {
    let selected = version
        .parse()
        .and_then(|version| Ok((VersionSelector { dataset: dataset(&agency, &name)?, version: Some(version) }, None)));
    answer(pages, selected, &file, wishes, &headers).await
}

/// `/datasets/{agency}/{name}/pushes/{push_id}/report.html`
pub(super) async fn push_report(
    State(pages): State<Pages>,
    Path((agency, name, push_id, file)): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Response {
    let selected = push_id
        .parse()
        .and_then(|push_id| Ok((VersionSelector { dataset: dataset(&agency, &name)?, version: None }, Some(push_id))));
    answer(pages, selected, &file, wishes, &headers).await
}

fn dataset(agency: &str, name: &str) -> Result<DatasetId> {
    format!("{agency}/{name}").parse()
}

async fn answer(
    pages: Pages,
    selected: Result<(VersionSelector, Option<PushId>)>,
    file: &str,
    wishes: Wishes,
    headers: &HeaderMap,
) -> Response {
    let request = selected.and_then(|selected| report_request(selected, file, wishes, headers));
    match request {
        Ok(request) => report(pages, request).await.unwrap_or_else(|error| refusal(&error)),
        Err(error) => refusal(&error),
    }
}

fn report_request(
    (dataset, push_id): (VersionSelector, Option<PushId>),
    file: &str,
    wishes: Wishes,
    headers: &HeaderMap,
) -> Result<ReportRequest> {
    let format = match file.split_once('.') {
        None if file == "report" => ReportFormat::Text,
        Some(("report", ending)) => ending.parse()?,
        _ => {
            return Err(Error::not_found(
                "there is nothing here; a report is report.html, report.json and so on, the rows are data.csv, data.parquet and so on",
            ));
        }
    };
    Ok(ReportRequest {
        dataset,
        snapshot: wishes.snapshot.map(SnapshotId),
        push_id,
        language: wishes.lang.map_or_else(|| Ok(preferred(headers)), |lang| lang.parse())?,
        format,
        table: wishes.table.map_or(Ok(ReportTable::default()), |table| table.parse())?,
        filter: Filter {
            rule: wishes.rule,
            severity: wishes.severity.map(|severity| parse_severity(&severity)).transpose()?,
        },
    })
}

/// The first language of the browser's list that a report has.
pub(super) fn preferred(headers: &HeaderMap) -> Language {
    let list = headers.get(header::ACCEPT_LANGUAGE).and_then(|list| list.to_str().ok()).unwrap_or_default();
    let mut codes = list.split(',').filter_map(|entry| entry.trim().split(['-', ';']).next());
    codes.find_map(|code| code.parse().ok()).unwrap_or_default()
}

async fn report(pages: Pages, request: ReportRequest) -> Result<Response> {
    let mut response_headers = HeaderMap::new();
    let value = http::HeaderValue::from_static;
    response_headers.insert(header::CONTENT_TYPE, value(request.format.media_type()));
    response_headers.insert(header::CONTENT_SECURITY_POLICY, value("default-src 'none'; style-src 'unsafe-inline'"));
    response_headers.insert(header::X_CONTENT_TYPE_OPTIONS, value("nosniff"));
    response_headers.insert(header::VARY, value("Accept-Language"));
    let parts = report_parts(pages.export, request).await?;
    Ok((response_headers, Body::from_stream(parts)).into_response())
}

pub(super) fn refusal(error: &Error) -> Response {
    let status = match error.kind() {
        ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::LimitReached => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{error}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_chooses_the_language_unless_the_address_does() {
        let of = |list: &'static str| {
            preferred(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, http::HeaderValue::from_static(list))]))
        };
        assert_eq!(of("kk-KZ,kk;q=0.9,ru;q=0.8"), Language::Kk);
        assert_eq!(of("de, ru;q=0.5, en;q=0.4"), Language::Ru);
        assert_eq!(preferred(&HeaderMap::new()), Language::En);
    }

    #[test]
    fn a_report_has_a_name_and_an_ending_that_is_known() {
        let request = |file: &str| {
            let dataset = VersionSelector { dataset: "a/b".parse().expect("valid"), version: None };
            report_request((dataset, None), file, Wishes::default(), &HeaderMap::new())
        };
        assert_eq!(request("report.xlsx").expect("known").format, ReportFormat::Xlsx);
        assert_eq!(request("report").expect("known").format, ReportFormat::Text);
        assert_eq!(request("report.docx").expect_err("unknown").kind(), ErrorKind::InvalidRequest);
        assert_eq!(request("rows.csv").expect_err("unknown").kind(), ErrorKind::NotFound);
    }
}
