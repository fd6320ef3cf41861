//! What a flight consists of: its schema, and where its parts are fetched.

use super::ticket::TicketRequest;
use crate::config::parse_bytes;
use crate::export::{Bound, ExportRequest};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use clap::Args;
use serde_json::json;
use ukimet_model::{Error, Result, SegmentRef};

/// How much a client fetches at one end of a flight.
#[derive(Args, Clone, Copy, Debug)]
pub struct EndpointLimits {
    /// Files in a row are one endpoint of a flight until they have this many rows.
    #[arg(long, value_name = "COUNT", default_value_t = 131_072)]
    pub endpoint_rows: u64,

    /// Files in a row are one endpoint of a flight until they have this many bytes.
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_bytes)]
    pub endpoint_bytes: u64,

    /// Largest message of a flight that a client may ask for.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    pub flight_message_bytes_max: u64,
}

impl EndpointLimits {
    /// Parts a version's segments, in their order: runs of small ones, and if all rows are asked for places of a large one;
    /// what a condition takes is looked for in a segment as a whole.
    fn parts(&self, segments: &[SegmentRef], are_all_rows: bool) -> Vec<Part> {
        let (mut parts, mut from, mut rows, mut bytes) = (Vec::new(), 0, 0, 0);
        let run = |from, to| (from < to).then_some(Part { segments: (from, to), places: None });
        for (i, segment) in segments.iter().enumerate() {
            let pieces = self.pieces(segment);
            if are_all_rows && pieces > 1 {
                parts.extend(run(from, i));
                parts.extend(pieces_of(i, segment, pieces));
                (from, rows, bytes) = (i + 1, 0, 0);
                continue;
            }
            rows += segment.live_rows();
            bytes += segment.size_bytes;
            if rows >= self.endpoint_rows || bytes >= self.endpoint_bytes {
                parts.extend(run(from, i + 1));
                (from, rows, bytes) = (i + 1, 0, 0);
            }
        }
        parts.extend(run(from, segments.len()));
        parts
    }

    /// In how many pieces a segment is fetched.
    fn pieces(&self, segment: &SegmentRef) -> u64 {
        let by_rows = segment.rows.div_ceil(self.endpoint_rows.max(1));
        by_rows.max(segment.size_bytes.div_ceil(self.endpoint_bytes.max(1))).min(segment.rows.max(1))
    }
}

/// What is fetched at one end of a flight.
#[derive(Debug, PartialEq)]
struct Part {
    segments: (usize, usize),
    /// Rows at these places, if it is a part of one segment.
    places: Option<(u32, u32)>,
}

/// About equally long runs of a segment's rows.
fn pieces_of(number: usize, segment: &SegmentRef, pieces: u64) -> impl Iterator<Item = Part> {
    let (rows, length) = (segment.rows, segment.rows.div_ceil(pieces));
    let starts = (0..rows).step_by(length as usize);
    starts.map(move |start| Part {
        segments: (number, number + 1),
        places: Some((start as u32, (start + length).min(rows) as u32)),
    })
}

/// Endpoints in the order of the rows, each of several segments, one, or a part of one; a table, a difference and what has an
/// order or a limit have one; a version without segments has one that gives the schema.
pub(super) fn info_of(bound: &Bound, limits: &EndpointLimits, descriptor: FlightDescriptor) -> Result<FlightInfo> {
    let segments = &bound.version.segments;
    let is_one = bound.request.table.is_some() || bound.request.diff_from.is_some();
    let is_whole = bound.request.limit.is_some() || bound.request.order.is_some() || segments.is_empty();
    let parts = match segments.len() {
        _ if is_one => vec![None],
        count if is_whole => vec![Some(Part { segments: (0, count), places: None })],
        _ => limits.parts(segments, bound.rows.is_some()).into_iter().map(Some).collect(),
    };
    let rows = bound.rows.map_or(-1, u64::cast_signed);
    let mut info = FlightInfo::new()
        .try_with_schema(&bound.schema)
        .map_err(|e| Error::internal("describing a schema").caused_by(e))?
        .with_descriptor(descriptor)
        .with_total_records(rows)
        .with_ordered(true)
        .with_app_metadata(about(bound).to_string());
    for part in parts {
        let (segments, places) = part.map_or((None, None), |part| (Some(part.segments), part.places));
        let ticket = ExportRequest { segments, places, erased_in: bound.erased_in(), ..bound.request.clone() };
        let ticket = TicketRequest::all(ticket).seal();
        info = info.with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)));
    }
    Ok(info)
}

/// What was bound, for clients that asked for the newest or the one before.
fn about(bound: &Bound) -> serde_json::Value {
    let version = &bound.version;
    let mut about = json!({ "dataset": bound.dataset.id, "version": version.number.0, "major": version.major.0 });
    if let Some(heading) = bound.diff_heading() {
        about["diff_from"] = heading.from.0.0.into();
    }
    if let Some((_, erased)) = &bound.erased {
        about["erased"] = json!({ "rows": erased.rows, "snapshot": erased.snapshot, "time": erased.erased });
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::Sha256;

    /// Segments of so many rows and bytes, as `from-to`, with the places in one behind a colon.
    fn parts_of(segments: &[(u64, u64)], are_all_rows: bool) -> String {
        let hash = Sha256([0; 32]);
        let segment = |(rows, size_bytes)| SegmentRef {
            parquet: hash,
            rtree: None,
            keys: hash,
            rows,
            rows_with_place: 0,
            size_bytes,
            deletes: None,
        };
        let limits = EndpointLimits { endpoint_rows: 10, endpoint_bytes: 100, flight_message_bytes_max: 1 };
        let parts = limits.parts(&segments.iter().copied().map(segment).collect::<Vec<_>>(), are_all_rows);
        let written = parts.iter().map(|Part { segments: (from, to), places }| {
            let places = places.map(|(from, to)| format!(":{from}-{to}")).unwrap_or_default();
            format!("{from}-{to}{places}")
        });
        written.collect::<Vec<_>>().join(" ")
    }

    fn parts(segments: &[(u64, u64)]) -> String {
        parts_of(segments, true)
    }

    #[test]
    fn small_segments_share_an_endpoint_until_it_is_large_enough() {
        assert_eq!(parts(&[(1, 1); 9]), "0-9");
        assert_eq!(parts(&[(1, 1); 25]), "0-10 10-20 20-25", "by rows");
        assert_eq!(parts(&[(1, 60); 5]), "0-2 2-4 4-5", "by bytes");
        assert_eq!(parts(&[(10, 1), (10, 1)]), "0-1 1-2");
    }

    #[test]
    fn a_large_segment_is_fetched_in_pieces() {
        assert_eq!(parts(&[(25, 1)]), "0-1:0-9 0-1:9-18 0-1:18-25", "by rows");
        assert_eq!(parts(&[(4, 200)]), "0-1:0-2 0-1:2-4", "by bytes");
        assert_eq!(parts(&[(1, 900)]), "0-1", "a row is never cut");
        assert_eq!(parts_of(&[(25, 1), (11, 1)], false), "0-1 1-2", "a condition is tested once a segment");
        assert_eq!(parts(&[(1, 1), (25, 1), (11, 1)]), "0-1 1-2:0-9 1-2:9-18 1-2:18-25 2-3:0-6 2-3:6-11");
    }
}
