//! Rows over HTTP as files: whole, by ranges, compressed, or not at all if the client has them.

use crate::api::body::incident;
use crate::api::conditions::{Asked, Verdict, parse_range, range_header, verdict};
use crate::api::http::Pages;
use crate::api::report::refusal;
use crate::download::{Coding, Downloads, Form, Representation};
use crate::export::{ExportRequest, TextForm};
use crate::files::{FileFormat, FileOptions, Losses};
use crate::usage::{self, Client};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use serde::Deserialize;
use std::ops::Range;
use tonic::metadata::MetadataMap;
use ukimet_model::{Error, Result, SnapshotId, ValidQuery, VersionChoice, VersionSelector};

/// What a format has no place for.
const LOSSES: HeaderName = HeaderName::from_static("ukimet-losses");

/// `/datasets/{agency}/{name}/versions/{version}/data.csv` and so on.
pub(super) fn download_routes() -> Router<Pages> {
    FileFormat::downloads().fold(Router::new(), |router, format| {
        let path = format!("/datasets/{{agency}}/{{name}}/versions/{{version}}/data.{}", format.download_ending());
        let answer = move |State(pages): State<Pages>,
                           Path(place): Path<Place>,
                           Query(wishes): Query<Wishes>,
                           request| async move {
            answer(pages.downloads, &place, format, wishes, request).await.unwrap_or_else(|error| refusal(&error))
        };
        router.route(&path, get(answer))
    })
}

#[derive(Deserialize)]
struct Place {
    agency: String,
    name: String,
    version: String,
}

/// What may be asked for in an address: what a Flight command has, by the same names.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wishes {
    columns: Option<String>,
    bbox: Option<String>,
    filter: Option<String>,
    valid_at: Option<String>,
    valid_during: Option<String>,
    order: Option<String>,
    limit: Option<u64>,
    snapshot: Option<u64>,
    text: Option<TextForm>,
    raw: Option<bool>,
    bom: Option<bool>,
}

impl Wishes {
    fn options(&self, format: FileFormat) -> Result<FileOptions> {
        if format != FileFormat::Csv && (self.raw.is_some() || self.bom.is_some()) {
            return Err(Error::invalid_request(format!(
                "raw and bom go with data.csv, not with data.{}",
                format.name()
            )));
        }
        if format != FileFormat::ArrowStream && self.text.is_some() {
            return Err(Error::invalid_request(format!("text goes with data.arrow, not with data.{}", format.name())));
        }
        Ok(FileOptions { is_raw: self.raw.unwrap_or(false), has_bom: self.bom.unwrap_or(false) })
    }

    /// The question, as a Flight command would put it.
    fn request(self, place: &Place) -> Result<ExportRequest> {
        let dataset = format!("{}/{}", place.agency, place.name).parse()?;
        let version = match place.version.as_str() {
            "newest" | "latest" => None,
            version => Some(version.parse()?),
        };
        let valid = ValidQuery::of(self.valid_at.as_deref(), self.valid_during.as_deref())?;
        let request = ExportRequest {
            columns: self.columns.map(|names| names.split(',').map(str::to_owned).collect()),
            bbox: self.bbox.map(|bbox| bbox.parse()).transpose()?,
            filter: self.filter.map(|filter| filter.parse()).transpose()?,
            order: self.order.map(|columns| columns.split(',').map(str::parse).collect()).transpose()?,
            limit: self.limit,
            snapshot: self.snapshot.map(SnapshotId),
            text: self.text.unwrap_or_default(),
            ..ExportRequest::all(VersionSelector { dataset, version })
        };
        Ok(request.valid(valid))
    }
}

async fn answer(
    downloads: Downloads,
    place: &Place,
    format: FileFormat,
    wishes: Wishes,
    request: Request,
) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let accepted = parts.headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let coding = if format.is_text() { Coding::preferred(accepted) } else { Coding::Identity };
    let form = Form { format, options: wishes.options(format)?, coding };
    let asked = wishes.request(place)?;
    if asked.order.is_some() {
        format.check_order()?;
    }
    let is_fixed = matches!(asked.version, Some(VersionChoice::Number(_)));
    let binding = downloads.clone();
    let bound = tokio::task::spawn_blocking(move || binding.represent(asked, form)).await;
    let representation = bound.map_err(|panic| incident(panic.into_panic().as_ref()))??;
    let own = own_headers(&representation, parts.uri.query(), is_fixed)?;
    match verdict(&parts.headers, &representation.tag) {
        Verdict::Failed => return Ok((StatusCode::PRECONDITION_FAILED, own).into_response()),
        Verdict::NotModified => return Ok((StatusCode::NOT_MODIFIED, own).into_response()),
        Verdict::Send => (),
    }
    if parts.method == Method::HEAD {
        return Ok(described(&downloads, &representation, own));
    }
    let range = range_header(&parts.headers, &representation.tag);
    let metadata = MetadataMap::from_headers(parts.headers);
    note(&downloads, &representation, &Client::of(&tonic::Request::from_parts(metadata, parts.extensions, ())));
    if format.is_staged() {
        return staged(&downloads, representation, own, range.as_deref()).await;
    }
    if parts.version < Version::HTTP_11 {
        // Such a body ends where its connection does: without its length, a broken one would look complete.
        downloads.length(&representation).await?;
    }
    streamed(&downloads, representation, own, range.as_deref()).await
}

/// Takes a note of who reads which columns.
fn note(downloads: &Downloads, representation: &Representation, client: &Client) {
    let (dataset, columns) = (representation.request.dataset.clone(), representation.request.columns.clone());
    downloads.usage().note(usage::Export { dataset, columns, client: client.clone() });
}

fn value(text: String) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|e| Error::internal("a header of a download is no text").caused_by(e))
}

/// Headers of the representation, whatever is sent of it. `is_fixed` tells that the address always means this version.
fn own_headers(representation: &Representation, query: Option<&str>, is_fixed: bool) -> Result<HeaderMap> {
    let Representation { form, dataset, version, tag, .. } = representation;
    let (id, number, ending) = (&dataset.id, version.number, form.format.download_ending());
    // What would end the address inside of a header stands there by its number.
    let query = query.map(|query| format!("?{}", query.replace('<', "%3C").replace('>', "%3E").replace('"', "%22")));
    let query = query.unwrap_or_default();
    let numbered = format!("/datasets/{id}/versions/{number}/data.{ending}{query}");
    let file_name = format!("{}-{}-{number}.{ending}", id.agency(), id.name());
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.format.media_type()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, value(format!("attachment; filename=\"{file_name}\""))?);
    headers.insert(header::ETAG, value(tag.clone())?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::LINK, value(format!("<{numbered}>; rel=\"canonical\""))?);
    // A version never changes; a tag may move, and a time may mean a later version.
    let may_be_kept = if is_fixed { "max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(may_be_kept));
    if !is_fixed {
        headers.insert(header::CONTENT_LOCATION, value(numbered)?);
    }
    if form.format.is_text() {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if form.coding != Coding::Identity {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(form.coding.name()));
    }
    Ok(headers)
}

/// The answer to a `HEAD`: no row is read, so the length is there only if it was counted before.
fn described(downloads: &Downloads, representation: &Representation, mut headers: HeaderMap) -> Response {
    headers.extend(downloads.known_length(representation).map(|length| (header::CONTENT_LENGTH, length.into())));
    // Of a body whose length nobody knows, none is told.
    let nothing = futures::stream::empty::<Result<Bytes>>();
    (headers, Body::from_stream(nothing)).into_response()
}

/// What of a file of this length is sent.
enum Sent {
    All,
    Part(Range<u64>),
    Refused(Response),
}

fn sent(range: Option<&str>, length: u64, headers: &mut HeaderMap) -> Result<Sent> {
    match range.map(|range| parse_range(range, length)) {
        None | Some(Asked::All) => Ok(Sent::All),
        Some(Asked::Part(part)) => {
            headers.insert(header::CONTENT_LENGTH, (part.end - part.start).into());
            let place = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            headers.insert(header::CONTENT_RANGE, value(place)?);
            Ok(Sent::Part(part))
        }
        Some(Asked::Nothing) => {
            let mut headers = headers.clone();
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_DISPOSITION);
            headers.remove(header::CONTENT_TYPE);
            headers.insert(header::CONTENT_RANGE, value(format!("bytes */{length}"))?);
            Ok(Sent::Refused((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response()))
        }
    }
}

fn whole(headers: HeaderMap, body: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Response {
    (headers, Body::from_stream(body)).into_response()
}

fn part(headers: HeaderMap, body: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Response {
    (StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(body)).into_response()
}

/// Sends a file while it is written. For a range its length must be known, which is counted first.
async fn streamed(
    downloads: &Downloads,
    representation: Representation,
    mut headers: HeaderMap,
    range: Option<&str>,
) -> Result<Response> {
    // What no length can make a range is none.
    if let Some(range) = range.filter(|range| parse_range(range, u64::MAX) != Asked::All) {
        let length = downloads.length(&representation).await?;
        match sent(Some(range), length, &mut headers)? {
            Sent::Part(window) => return Ok(part(headers, downloads.stream(representation, window).await?)),
            Sent::Refused(refused) => return Ok(refused),
            Sent::All => (),
        }
    }
    headers.extend(downloads.known_length(&representation).map(|length| (header::CONTENT_LENGTH, length.into())));
    Ok(whole(headers, downloads.stream(representation, 0..u64::MAX).await?))
}

/// Sends a file when it is complete.
async fn staged(
    downloads: &Downloads,
    representation: Representation,
    mut headers: HeaderMap,
    range: Option<&str>,
) -> Result<Response> {
    let file = downloads.stage(representation).await?;
    headers.extend(told(&file.losses)?);
    match sent(range, file.length, &mut headers)? {
        Sent::Part(window) => Ok(part(headers, file.parts(window))),
        Sent::Refused(refused) => Ok(refused),
        Sent::All => {
            headers.insert(header::CONTENT_LENGTH, file.length.into());
            let all = 0..file.length;
            Ok(whole(headers, file.parts(all)))
        }
    }
}

fn told(losses: &Losses) -> Result<Option<(HeaderName, HeaderValue)>> {
    if losses.is_empty() {
        return Ok(None);
    }
    value(losses.to_string()).map(|losses| Some((LOSSES, losses)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(version: &str) -> Place {
        Place { agency: "almaty".to_owned(), name: "schools".to_owned(), version: version.to_owned() }
    }

    #[test]
    fn an_address_asks_what_a_command_asks() {
        let wishes = Wishes {
            columns: Some("name,geometry".to_owned()),
            bbox: Some("76,43,77,44".to_owned()),
            filter: Some("floors > 5".to_owned()),
            order: Some("-floors,name".to_owned()),
            valid_during: Some("2026-03-01/2026-04-01".to_owned()),
            limit: Some(3),
            ..Wishes::default()
        };
        let command = r#"{"dataset":"almaty/schools","version":7,"columns":["name","geometry"],"bbox":[76,43,77,44],
            "valid_during":["2026-03-01","2026-04-01"],"filter":"floors > 5","limit":3,
            "order":[{"column":"floors","descending":true},{"column":"name"}]}"#;
        let request = wishes.request(&place("v7")).expect("valid");
        assert_eq!(request, ExportRequest::from_json(command.as_bytes()).expect("a command"));
        for newest in ["newest", "latest"] {
            assert_eq!(Wishes::default().request(&place(newest)).expect("valid").version, None);
        }
        let json = Wishes { filter: Some(r#"{"op":">","args":[{"property":"n"},5]}"#.to_owned()), ..Wishes::default() };
        assert!(json.request(&place("final")).expect("valid").filter.is_some());
        for (version, wishes) in [
            ("v0", Wishes::default()),
            ("v1", Wishes { bbox: Some("1,2,3".to_owned()), ..Wishes::default() }),
            ("v1", Wishes { valid_at: Some("today".to_owned()), ..Wishes::default() }),
            ("v1", Wishes { order: Some("name,".to_owned()), ..Wishes::default() }),
        ] {
            assert!(wishes.request(&place(version)).is_err());
        }
    }

    #[test]
    fn what_is_for_one_format_alone_is_refused_elsewhere() {
        let raw = Wishes { raw: Some(true), ..Wishes::default() };
        assert!(raw.options(FileFormat::Csv).expect("known").is_raw);
        assert!(raw.options(FileFormat::GeoJson).expect_err("no meaning").message().contains("data.csv"));
        let coded = Wishes { text: Some(TextForm::Dictionary), ..Wishes::default() };
        assert!(coded.options(FileFormat::ArrowStream).is_ok());
        assert!(coded.options(FileFormat::Parquet).expect_err("no meaning").message().contains("data.arrow"));
    }
}
