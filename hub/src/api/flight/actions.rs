//! The actions of the Flight service.

use super::Flight;
use super::ticket::{TicketRequest, resumed};
use arrow_flight::{Action, ActionType};
use bytes::Bytes;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

const RESUME: &str = "resume";
const RECEIPT: &str = "receipt";
const RECEIPT_KEY: &str = "receipt-key";

/// Every action, and what it does.
const ACTIONS: [(&str, &str); 3] = [
    (RESUME, r#"a ticket for what follows the batches that came: {"ticket": "<base64>", "batches": 12}"#),
    (RECEIPT, "what a ticket or a command gives: version, rows, a hash of every column, signed; JSON"),
    (RECEIPT_KEY, "the public key that receipts are signed with, 64 hex digits"),
];

/// The actions as they are listed.
pub(super) fn described() -> impl Iterator<Item = ActionType> {
    let owned = |(name, description): (&str, &str)| (name.to_owned(), description.to_owned());
    ACTIONS.into_iter().map(owned).map(|(r#type, description)| ActionType { r#type, description })
}

impl Flight {
    /// Does what is asked for.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for an unknown action, naming the known ones, or a body that it does not take.
    pub(super) async fn act(&self, Action { r#type, body }: Action) -> Result<arrow_flight::Result> {
        let body: Bytes = match r#type.as_str() {
            RESUME => resumed(&body)?.into(),
            RECEIPT => {
                let TicketRequest { request, .. } = TicketRequest::open(&body)?;
                let receipt = self.receipts.issue(request).await?;
                serde_json::to_vec(&receipt).map_err(|e| Error::internal("a receipt as JSON").caused_by(e))?.into()
            }
            RECEIPT_KEY => self.receipts.public_key().into(),
            other => {
                let known = ACTIONS.map(|(name, _)| name).join(", ");
                return Err(Error::invalid_request(format!(
                    "this hub has the actions {known}, found {}",
                    quoted(other)
                )));
            }
        };
        Ok(arrow_flight::Result { body })
    }
}
