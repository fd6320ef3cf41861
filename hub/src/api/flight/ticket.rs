//! Tickets: a request as it was bound, with a check of its bytes.
//!
//! A ticket opens nothing that a command would not, so its check is no secret: it tells a ticket that was cut or changed on
//! its way from one that says what the hub said. A command is taken for a ticket too; it has no check.

use crate::export::ExportRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Hexadecimal digits of a check.
const CHECK_DIGITS: usize = 16;
/// What stands before the digits, at the end of the ticket.
const CHECK_BEGIN: &str = ",\"check\":\"";
/// What stands behind them.
const CHECK_END: &str = "\"}";

/// What of a flight is fetched: what of which version, behind how many batches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TicketRequest {
    /// The question.
    pub(super) request: ExportRequest,
    /// Batches that the client has already.
    pub(super) batches_there: u64,
    /// Whether the hub said it so; a command in place of a ticket is a new question.
    pub(super) is_ticket: bool,
}

/// Where a ticket goes on, beside the members of its request.
const BATCHES_THERE: &str = "batches_there";

impl TicketRequest {
    pub(super) fn all(request: ExportRequest) -> Self {
        Self { request, batches_there: 0, is_ticket: true }
    }

    /// The ticket's bytes.
    pub(super) fn seal(&self) -> Vec<u8> {
        let mut members = match serde_json::to_value(&self.request) {
            Ok(serde_json::Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        };
        if self.batches_there > 0 {
            members.insert(BATCHES_THERE.to_owned(), self.batches_there.into());
        }
        with_check(&serde_json::Value::Object(members).to_string())
    }

    /// Reads a ticket, or a command in place of one.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is neither, or is not what the hub made.
    pub(super) fn open(ticket: &[u8]) -> Result<Self> {
        let none =
            || Error::invalid_request("a ticket is what GetFlightInfo gave, whole and unchanged, found other bytes");
        let text = std::str::from_utf8(ticket).map_err(|_| none())?;
        let Some((json, check)) = parted(text) else {
            let request = ExportRequest::from_json(ticket).map_err(|e| e.context("the ticket"))?;
            return Ok(Self { is_ticket: false, ..Self::all(request) });
        };
        let expected = check_of(&json);
        if check != expected {
            return Err(Error::invalid_request(format!(
                "the ticket was changed on its way: its check is {}, what it says gives {expected}; ask GetFlightInfo for another",
                quoted(check)
            )));
        }
        let mut members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&json).map_err(|_| none())?;
        let batches_there = members.remove(BATCHES_THERE).and_then(|count| count.as_u64()).unwrap_or(0);
        let request = serde_json::Value::Object(members).to_string();
        Ok(Self { request: ExportRequest::from_json(request.as_bytes())?, batches_there, is_ticket: true })
    }
}

/// A JSON object with a check of its bytes.
pub(super) fn with_check(json: &str) -> Vec<u8> {
    let (open, _) = json.split_at(json.len() - 1);
    format!("{open}{CHECK_BEGIN}{}{CHECK_END}", check_of(json)).into_bytes()
}

/// What a ticket says, and its check; `None` if it has none.
pub(super) fn parted(ticket: &str) -> Option<(String, &str)> {
    let inner = ticket.strip_suffix(CHECK_END)?;
    let (before, check) = inner.split_at_checked(inner.len().checked_sub(CHECK_DIGITS)?)?;
    let open = before.strip_suffix(CHECK_BEGIN)?;
    Some((format!("{open}}}"), check))
}

pub(super) fn check_of(json: &str) -> String {
    let digest = Sha256::digest(json.as_bytes());
    hex::encode(&digest[..CHECK_DIGITS / 2])
}

/// The body of the action `resume`: JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    /// The ticket, base64.
    ticket: String,
    /// Batches that came.
    batches: u64,
}

/// A ticket for what follows the batches that came, from the body of the action `resume`.
///
/// # Errors
///
/// `InvalidRequest` if the body is not `{"ticket": "<base64>", "batches": 12}`, or as [`TicketRequest::open`].
pub(super) fn resumed(body: &[u8]) -> Result<Vec<u8>> {
    let expected = "resume takes {\"ticket\": \"<base64>\", \"batches\": 12}";
    let Resume { ticket, batches } = serde_json::from_slice(body)
        .map_err(|e| Error::invalid_request(format!("{expected}, found other bytes: {e}")))?;
    let ticket = STANDARD
        .decode(ticket)
        .map_err(|e| Error::invalid_request(format!("{expected}, found a ticket that is no base64: {e}")))?;
    let opened = TicketRequest::open(&ticket)?;
    let batches_there = opened.batches_there.saturating_add(batches);
    Ok(TicketRequest { batches_there, ..opened }.seal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::ErrorKind;

    fn ticket() -> TicketRequest {
        let command = r#"{"dataset":"a/b","version":3,"filter":"floors > 5","segments":[0,2]}"#;
        let request = ExportRequest::from_json(command.as_bytes()).expect("a command");
        TicketRequest { request, batches_there: 7, is_ticket: true }
    }

    #[test]
    fn a_ticket_opens_as_it_was_sealed_and_a_command_is_one_too() {
        assert_eq!(TicketRequest::open(&ticket().seal()).expect("opens"), ticket());
        let command = ticket().request.to_json();
        let opened = TicketRequest::open(&command).expect("opens");
        assert_eq!(opened, TicketRequest { is_ticket: false, ..TicketRequest::all(ticket().request) });
    }

    #[test]
    fn no_byte_of_a_ticket_can_be_another_and_none_be_missing() {
        let sealed = ticket().seal();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let opened = TicketRequest::open(&changed);
            assert!(opened.is_err(), "{}", String::from_utf8_lossy(&changed));
            let cut = TicketRequest::open(&sealed[..at]).expect_err("it is cut");
            assert_eq!(cut.kind(), ErrorKind::InvalidRequest, "{cut}");
        }
    }

    #[test]
    fn a_resumed_ticket_goes_on_behind_all_that_came() {
        let encoded = STANDARD.encode(ticket().seal());
        let body = format!(r#"{{"ticket":"{encoded}","batches":5}}"#);
        let resumed = resumed(body.as_bytes()).expect("goes on");
        assert_eq!(TicketRequest::open(&resumed).expect("opens").batches_there, 12);
        for wrong in [r#"{"ticket":"*","batches":5}"#, r#"{"batches":5}"#, "", r#"{"ticket":"","batches":-1}"#] {
            assert!(super::resumed(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
