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
}

impl EndpointLimits {
    /// Parts a version's segments, in their order, into runs.
    fn ranges(&self, segments: &[SegmentRef]) -> Vec<(usize, usize)> {
        let (mut ranges, mut from, mut rows, mut bytes) = (Vec::new(), 0, 0, 0);
        for (i, segment) in segments.iter().enumerate() {
            rows += segment.live_rows();
            bytes += segment.size_bytes;
            if rows >= self.endpoint_rows || bytes >= self.endpoint_bytes || i + 1 == segments.len() {
                ranges.push((from, i + 1));
                (from, rows, bytes) = (i + 1, 0, 0);
            }
        }
        ranges
    }
}

/// Endpoints in the order of the rows, each of one or several segments; a table, a difference and what has a limit have
/// one; a version without segments has one that gives the schema.
pub(super) fn info_of(bound: &Bound, limits: &EndpointLimits, descriptor: FlightDescriptor) -> Result<FlightInfo> {
    let segments = &bound.version.segments;
    let is_one = bound.request.table.is_some() || bound.request.diff_from.is_some();
    let whole = bound.request.limit.is_some() || segments.len() < 2;
    let ranges = match segments.len() {
        _ if is_one => vec![None],
        count if whole => vec![Some((0, count))],
        _ => limits.ranges(segments).into_iter().map(Some).collect(),
    };
    let rows = bound.rows.map_or(-1, u64::cast_signed);
    let mut info = FlightInfo::new()
        .try_with_schema(&bound.schema)
        .map_err(|e| Error::internal("describing a schema").caused_by(e))?
        .with_descriptor(descriptor)
        .with_total_records(rows)
        .with_ordered(true)
        .with_app_metadata(about(bound).to_string());
    for range in ranges {
        let ticket = ExportRequest { segments: range, erased_in: bound.erased_in(), ..bound.request.clone() };
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

    #[test]
    fn small_segments_share_an_endpoint_until_it_is_large_enough() {
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
        let ranges = |segments: &[(u64, u64)]| {
            let limits = EndpointLimits { endpoint_rows: 10, endpoint_bytes: 100 };
            limits.ranges(&segments.iter().copied().map(segment).collect::<Vec<_>>())
        };
        assert_eq!(ranges(&[(1, 1); 9]), [(0, 9)]);
        assert_eq!(ranges(&[(1, 1); 25]), [(0, 10), (10, 20), (20, 25)], "by rows");
        assert_eq!(ranges(&[(1, 60); 5]), [(0, 2), (2, 4), (4, 5)], "by bytes");
        assert_eq!(ranges(&[(50, 1), (50, 1)]), [(0, 1), (1, 2)]);
    }
}
