//! Handles of statements: a question as JSON, with the check that tickets have.

use crate::api::flight::ticket::{check_of, parted, with_check};
use arrow_array::RecordBatch;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result, SnapshotId};
use ukimet_proto::ipc::{IpcLimits, decode_batch, decode_schema, encode_batch, encode_schema};
use ukimet_query::Question;

/// Most that the parameters of one statement may have: they travel in every handle.
pub(super) const PARAMETER_BYTES_MAX: usize = 256 << 10;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    sql: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotId>,
    /// Schema and batch as Arrow IPC messages, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<[String; 2]>,
}

/// A handle for a question.
///
/// # Errors
///
/// `InvalidRequest` if a parameter is of a type that a handle does not carry.
pub(super) fn sealed(question: &Question) -> Result<Vec<u8>> {
    let parameters = question.parameters.as_ref().map(|rows| {
        let messages = [encode_schema(&rows.schema())?, encode_batch(rows)?];
        Ok(messages.map(|message| STANDARD.encode(message)))
    });
    let parameters = parameters.transpose().map_err(|error: Error| {
        Error::invalid_request("a parameter is of a type that statements do not take").caused_by(error)
    })?;
    let written = Written { sql: question.sql.clone(), snapshot: question.snapshot, parameters };
    let json = serde_json::to_string(&written).map_err(|e| Error::internal("writing a handle").caused_by(e))?;
    Ok(with_check(&json))
}

/// The question of a handle.
///
/// # Errors
///
/// `InvalidRequest` if it is not what the hub made.
pub(super) fn opened(handle: &[u8]) -> Result<Question> {
    let none = || Error::invalid_request("a handle of a statement is what the hub gave, whole and unchanged");
    let text = std::str::from_utf8(handle).map_err(|_| none())?;
    let (json, check) = parted(text).ok_or_else(none)?;
    if check != check_of(&json) {
        return Err(none().context(format!("the check {} is that of other bytes", quoted(check))));
    }
    let Written { sql, snapshot, parameters } = serde_json::from_str(&json).map_err(|e| none().caused_by(e))?;
    let parameters = parameters.map(|messages| rows_of(&messages)).transpose()?;
    Ok(Question { sql, snapshot, parameters })
}

fn rows_of(messages: &[String; 2]) -> Result<RecordBatch> {
    let limits = IpcLimits { rows_max: 1, message_bytes_max: PARAMETER_BYTES_MAX, ..IpcLimits::default() };
    let decoded = |message: &String| {
        let bytes = STANDARD.decode(message).map(Bytes::from);
        bytes.map_err(|e| Error::invalid_request("parameters of a handle are no base64").caused_by(e))
    };
    let [schema, batch] = messages;
    let schema = decode_schema(&decoded(schema)?, &limits)?;
    decode_batch(&decoded(batch)?, &schema, &limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;
    use ukimet_model::ErrorKind;

    fn question() -> Question {
        let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(7)]));
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("мектеп")]));
        let parameters = RecordBatch::try_from_iter_with_nullable([("$1", number, true), ("$2", text, true)]);
        let parameters = Some(parameters.expect("columns fit"));
        Question { sql: "SELECT $1, \"b\" WHERE x = $2".to_owned(), snapshot: Some(SnapshotId(3)), parameters }
    }

    #[test]
    fn a_handle_opens_as_it_was_sealed() {
        let plain = Question { snapshot: None, parameters: None, ..question() };
        for question in [question(), plain] {
            assert_eq!(opened(&sealed(&question).expect("sealed")).expect("opens"), question);
        }
    }

    #[test]
    fn no_byte_of_a_handle_can_be_another_and_none_be_missing() {
        let sealed = sealed(&question()).expect("sealed");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&changed).expect_err("changed").kind(), ErrorKind::InvalidRequest);
            assert_eq!(opened(&sealed[..at]).expect_err("cut").kind(), ErrorKind::InvalidRequest);
        }
    }
}
