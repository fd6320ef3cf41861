//! HTTP beside gRPC on the same port: a first page, health, metrics, reports, rasters, differences, downloads.

use crate::api::coverage::{coverage, numbered_coverage};
use crate::api::diff::diff;
use crate::api::download::download_routes;
use crate::api::report::{push_report, version_report};
use crate::coverage::Coverages;
use crate::diff::PageLimits;
use crate::download::Downloads;
use crate::export::Export;
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use std::fmt::Write;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use ukimet_model::{Dataset, DatasetQuery, Version};

/// What the pages need.
#[derive(Clone)]
pub struct Pages {
    /// Where snapshots come from.
    pub export: Export,
    /// Rasters.
    pub coverages: Coverages,
    /// Rows as files.
    pub downloads: Downloads,
    /// How much of a difference a page shows.
    pub diff_page: PageLimits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the hub drains.
    pub draining: CancellationToken,
}

/// The routes of plain HTTP; everything else is `404`, or `UNIMPLEMENTED` for a gRPC call.
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/", get(first_page))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/datasets/{agency}/{name}/versions/{version}/coverage.tif", get(coverage))
        .route("/datasets/{agency}/{name}/versions/{version}/coverage/{file}", get(numbered_coverage))
        .route("/datasets/{agency}/{name}/versions/{version}/{file}", get(version_report))
        .route("/datasets/{agency}/{name}/diff", get(diff))
        .route("/datasets/{agency}/{name}/pushes/{push_id}/{file}", get(push_report))
        .merge(download_routes())
        .fallback(nothing_here)
        .with_state(pages)
}

async fn nothing_here(headers: HeaderMap) -> Response {
    let is_grpc = headers.get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return tonic::Status::unimplemented("this hub has no such service").into_http::<axum::body::Body>();
    }
    (StatusCode::NOT_FOUND, "there is nothing here; see / for what there is\n").into_response()
}

async fn health(State(pages): State<Pages>) -> Response {
    let (status, word) = if pages.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "serving")
    };
    let snapshot = pages.export.snapshot();
    let Ok(datasets) = snapshot.dataset_count() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = serde_json::json!({ "status": word, "snapshot": snapshot.id().0, "datasets": datasets });
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

async fn metrics(State(pages): State<Pages>) -> Response {
    let snapshot = pages.export.snapshot();
    let text = snapshot.dataset_count().map(|datasets| pages.metrics.text(snapshot.id().0, datasets));
    match text {
        Ok(Ok(text)) => {
            let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, media_type)], text).into_response()
        }
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// How many datasets the first page lists.
const LISTED_MAX: usize = 200;

async fn first_page(State(pages): State<Pages>) -> Response {
    let snapshot = pages.export.snapshot();
    let listed = tokio::task::spawn_blocking(move || {
        let query = DatasetQuery { limit: LISTED_MAX, ..DatasetQuery::default() };
        snapshot.search(&query).map(|found| page(snapshot.id().0, found.total, &found.datasets))
    });
    match listed.await {
        Ok(Ok(page)) => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'";
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the first page was not made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccc}\
td.n{text-align:right;font-variant-numeric:tabular-nums}code{background:#f0f0f0;padding:.1rem .3rem}";

fn page(snapshot: u64, total: u64, datasets: &[(Dataset, Version)]) -> String {
    let mut rows = String::new();
    for (dataset, version) in datasets {
        let title = dataset.metadata.title_in(&["kk", "ru", "en"]).unwrap_or_default();
        write!(
            rows,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
            dataset.id,
            escaped(title),
            version.number,
            version.rows
        )
        .expect("writing to text does not fail");
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Ukimet Hub</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head><body>\
         <h1>Ukimet Hub</h1><p>{total} datasets as of snapshot {snapshot}. gRPC and Arrow Flight answer on this port; \
         <a href=\"/health\">health</a>, <a href=\"/metrics\">metrics</a>.</p>\
         <table><thead><tr><th>Dataset</th><th>Title</th><th>Version</th><th>Rows</th></tr></thead><tbody>{rows}</tbody></table>\
         </body></html>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_makes_no_elements() {
        assert_eq!(escaped("<script>\"&"), "&lt;script&gt;&quot;&amp;");
    }
}
