//! Batches as the messages of a flight.

use super::{EndpointLimits, Stream};
use crate::export::{Batches, ExportRequest};
use crate::metrics::Metrics;
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_schema::SchemaRef;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use ukimet_model::{Error, Result};
use ukimet_proto::status::to_status;

/// Largest message where none is asked for, bytes: below the 4 MiB that clients take by default.
pub(super) const MESSAGE_BYTES: u64 = 2 << 20;
/// Least that may be asked for, bytes: each message has a header.
const MESSAGE_BYTES_MIN: u64 = 64 << 10;

/// How large a message may be, bytes.
///
/// # Errors
///
/// `InvalidRequest` if less or more is asked for than there may be.
pub(super) fn message_bytes(request: &ExportRequest, limits: &EndpointLimits) -> Result<usize> {
    let bytes_max = limits.flight_message_bytes_max.max(MESSAGE_BYTES_MIN);
    match request.message_bytes {
        None => Ok(MESSAGE_BYTES.min(bytes_max) as usize),
        Some(bytes) if (MESSAGE_BYTES_MIN..=bytes_max).contains(&bytes) => Ok(bytes as usize),
        Some(bytes) => Err(Error::invalid_request(format!(
            "message_bytes is from {MESSAGE_BYTES_MIN} to {bytes_max}, found {bytes}"
        ))),
    }
}

/// The messages of a flight, none larger than `message_bytes` unless one row is. The first `batches_there` batches are left
/// out; those behind them are the same bytes as with them.
pub(super) fn encode(
    schema: SchemaRef,
    batches: Batches,
    message_bytes: usize,
    batches_there: u64,
    metrics: Arc<Metrics>,
) -> Stream<FlightData> {
    metrics.export_began();
    let batches = ReceiverStream::new(batches).map_err(|error| FlightError::Tonic(Box::new(to_status(&error))));
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_max_flight_data_size(message_bytes)
        .with_dictionary_handling(DictionaryHandling::Resend)
        .build(batches)
        .map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => Status::internal(other.to_string()),
        })
        .boxed();
    futures::stream::try_unfold((messages, batches_there), move |(mut messages, mut left)| {
        let metrics = Arc::clone(&metrics);
        async move {
            while let Some(message) = messages.try_next().await? {
                let Some(rows) = rows_of(&message) else { return Ok(Some((message, (messages, left)))) };
                if left == 0 {
                    metrics.rows_went_out(rows);
                    return Ok(Some((message, (messages, left))));
                }
                left -= 1;
            }
            if left == 0 { Ok(None) } else { Err(to_status(&behind_the_end(batches_there - left, batches_there))) }
        }
    })
    .boxed()
}

/// What a client is told that has more batches than there are.
pub(super) fn behind_the_end(batches: u64, batches_there: u64) -> Error {
    Error::invalid_request(format!("the flight has {batches} batches, asked to go on behind {batches_there}"))
}

/// Rows of a message; `None` if it is no batch.
pub(super) fn rows_of(message: &FlightData) -> Option<usize> {
    let header = arrow_ipc::root_as_message(&message.data_header).ok()?;
    header.header_as_record_batch().and_then(|batch| usize::try_from(batch.length()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_large_as_asked_for_within_the_hubs_limit() {
        let asked = |member: &str| {
            let command = format!(r#"{{"dataset":"a/b"{member}}}"#);
            let limits = EndpointLimits { endpoint_rows: 1, endpoint_bytes: 1, flight_message_bytes_max: 9 << 20 };
            message_bytes(&ExportRequest::from_json(command.as_bytes()).expect("a command"), &limits)
        };
        assert_eq!(asked("").expect("the default"), 2 << 20);
        assert_eq!(asked(r#","message_bytes":9437184"#).expect("the most"), 9 << 20);
        for wrong in ["0", "65535", "9437185", "18446744073709551615"] {
            let error = asked(&format!(r#","message_bytes":{wrong}"#)).expect_err("refused");
            assert!(error.message().contains("from 65536 to 9437184") && error.message().contains(wrong), "{error}");
        }
    }
}
