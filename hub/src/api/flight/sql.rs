//! Flight SQL: statements, prepared statements and what there is to ask of, over the snapshots of the catalog.
//!
//! Nothing is kept between calls: a handle is what is asked, with a check of its bytes, and any hub on the same catalog
//! answers it.

mod handle;
mod limits;
mod metadata;

use super::messages::{MESSAGE_BYTES, encode};
use super::{Answer, Stream};
use crate::export::Export;
use crate::metrics::Metrics;
use crate::usage::{self, Client, Usage};
use arrow_array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, Command, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, PutResult, SchemaAsIpc,
    SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{ArrowError, Schema};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use handle::{opened, sealed};
pub use limits::SqlLimits;
use prost::Message;
use std::sync::Arc;
use tonic::{Response, Status};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use ukimet_proto::ipc::{IpcLimits, decode_batch_parts, decode_schema_metadata};
use ukimet_proto::status::to_status;
use ukimet_query::{Described, Queries, Question};

/// What the type of every command of Flight SQL begins with.
const TYPE_BEGIN: &str = "type.googleapis.com/arrow.flight.protocol.sql.";
/// Actions of Flight SQL that are served.
const CREATE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";
/// Actions of Flight SQL that are refused.
const REFUSED: [&str; 6] = [
    "BeginTransaction",
    "EndTransaction",
    "BeginSavepoint",
    "EndSavepoint",
    "CancelQuery",
    "CreatePreparedSubstraitPlan",
];
/// What is said to whatever writes.
const READ_ONLY: &str = "the hub is read through SQL, not written: batches are put with a JSON command or a path";

/// The SQL side of Flight.
#[derive(Clone)]
pub struct Sql {
    /// Answers statements.
    pub queries: Queries,
    /// Shows snapshots.
    pub export: Export,
    /// Counts rows.
    pub metrics: Arc<Metrics>,
    /// Remembers who reads which columns.
    pub usage: Usage,
}

/// Whether bytes are a command of Flight SQL.
pub(super) fn is_sql(bytes: &[u8]) -> bool {
    Any::decode(bytes).is_ok_and(|any| any.type_url.starts_with(TYPE_BEGIN))
}

/// Whether an action is one of Flight SQL.
pub(super) fn is_sql_action(name: &str) -> bool {
    name == CREATE || name == CLOSE || REFUSED.contains(&name)
}

/// The actions that are served.
pub(super) fn actions() -> [ActionType; 2] {
    let described = |name: &str, what: &str| ActionType { r#type: name.to_owned(), description: what.to_owned() };
    [
        described(CREATE, "Flight SQL: a handle for a statement and its parameters"),
        described(CLOSE, "Flight SQL: nothing is kept of a prepared statement, so nothing is let go"),
    ]
}

fn command_of(bytes: &[u8]) -> Result<Command> {
    let none =
        |e: &dyn std::fmt::Display| Error::invalid_request(format!("a command of Flight SQL is a protobuf Any: {e}"));
    let any = Any::decode(bytes).map_err(|e| none(&e))?;
    Command::try_from(any).map_err(|e| none(&e))
}

fn refused(command: &Command) -> Error {
    let name = command.type_url().strip_prefix(TYPE_BEGIN).unwrap_or_default();
    Error::invalid_request(format!("{READ_ONLY}; found the command {}", quoted(name)))
}

/// A statement as a question of the newest snapshot.
fn asked(query: CommandStatementQuery) -> Result<Question> {
    check_transaction(query.transaction_id.as_ref())?;
    Ok(Question { sql: query.query, snapshot: None, parameters: None })
}

fn check_transaction(transaction: Option<&Bytes>) -> Result<()> {
    match transaction {
        Some(id) if !id.is_empty() => {
            Err(Error::invalid_request("there are no transactions: a query reads one snapshot"))
        }
        _ => Ok(()),
    }
}

impl Sql {
    /// What a command will be answered with, and the ticket for it.
    pub(super) async fn info(&self, descriptor: FlightDescriptor) -> Answer<FlightInfo> {
        self.info_of(descriptor).await.map(Response::new).map_err(|e| to_status(&e))
    }

    async fn info_of(&self, descriptor: FlightDescriptor) -> Result<FlightInfo> {
        let question = match command_of(&descriptor.cmd)? {
            Command::CommandStatementQuery(query) => asked(query)?,
            Command::CommandPreparedStatementQuery(query) => opened(&query.prepared_statement_handle)?,
            command => {
                let schema = schema_of_metadata(&command)?;
                return described(&schema, descriptor.cmd.clone(), descriptor);
            }
        };
        let found = self.queries.describe(question.clone()).await?;
        let question = Question { snapshot: Some(found.snapshot), ..question };
        let ticket = TicketStatementQuery { statement_handle: sealed(&question)?.into() };
        described(&found.schema, ticket.as_any().encode_to_vec().into(), descriptor)
    }

    /// Columns of what a command will be answered with.
    pub(super) async fn schema(&self, descriptor: FlightDescriptor) -> Answer<SchemaResult> {
        let schema = match command_of(&descriptor.cmd).map_err(|e| to_status(&e))? {
            Command::CommandStatementQuery(query) => self.described(asked(query)).await.map(|found| found.schema),
            Command::CommandPreparedStatementQuery(query) => {
                self.described(opened(&query.prepared_statement_handle)).await.map(|found| found.schema)
            }
            command => schema_of_metadata(&command),
        };
        let schema = schema.and_then(|schema| message_of(&schema)).map_err(|e| to_status(&e))?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn described(&self, question: Result<Question>) -> Result<Described> {
        self.queries.describe(question?).await
    }

    /// The rows that a ticket means.
    pub(super) async fn get(&self, ticket: &Ticket, client: Client) -> Answer<Stream<FlightData>> {
        let question = match command_of(&ticket.ticket).map_err(|e| to_status(&e))? {
            Command::TicketStatementQuery(ticket) => opened(&ticket.statement_handle),
            Command::CommandPreparedStatementQuery(query) => opened(&query.prepared_statement_handle),
            Command::CommandStatementQuery(query) => asked(query),
            command => return self.metadata(command).await,
        };
        let answer = self.queries.answer(question.map_err(|e| to_status(&e))?).await.map_err(|e| to_status(&e))?;
        for (dataset, columns) in answer.reads {
            self.usage.note(usage::Export { dataset, columns, client: client.clone() });
        }
        Ok(Response::new(encode(answer.schema, answer.batches, MESSAGE_BYTES as usize, 0, Arc::clone(&self.metrics))))
    }

    async fn metadata(&self, command: Command) -> Answer<Stream<FlightData>> {
        let (export, queries) = (self.export.clone(), self.queries.clone());
        let found = super::blocking(move || {
            metadata::answer(&export.snapshot(), queries.limits(), &command)?.ok_or_else(|| refused(&command))
        });
        let batch = found.await?;
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(batch.schema())
            .with_max_flight_data_size(MESSAGE_BYTES as usize)
            .build(futures::stream::once(async { Ok(batch) }));
        Ok(Response::new(messages.map_err(Status::from).boxed()))
    }

    /// Takes parameters of a prepared statement: the answer is a handle that has them.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for whatever writes.
    pub(super) async fn put(
        &self,
        command: &[u8],
        messages: impl futures::Stream<Item = Result<FlightData, Status>> + Send,
    ) -> Result<PutResult> {
        let question = match command_of(command)? {
            Command::CommandPreparedStatementQuery(query) => opened(&query.prepared_statement_handle)?,
            command => return Err(refused(&command)),
        };
        let handle = sealed(&Question { parameters: Some(received(messages).await?), ..question })?;
        let answer = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.into()) };
        Ok(PutResult { app_metadata: answer.encode_to_vec().into() })
    }

    /// Prepares a statement, or lets one go.
    pub(super) async fn act(&self, action: &Action) -> Answer<Stream<arrow_flight::Result>> {
        let results = self.acted(action).await.map_err(|e| to_status(&e))?;
        let results = results.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(futures::stream::iter(results.collect::<Vec<_>>()).boxed()))
    }

    async fn acted(&self, action: &Action) -> Result<Option<Bytes>> {
        let unpacked = |e: ArrowError| Error::invalid_request(format!("the action has another body: {e}"));
        let none = || Error::invalid_request("the action has another body than its name says");
        let body = Any::decode(&*action.body).map_err(|_| none())?;
        match action.r#type.as_str() {
            CREATE => {
                let asked: ActionCreatePreparedStatementRequest = body.unpack().map_err(unpacked)?.ok_or_else(none)?;
                check_transaction(asked.transaction_id.as_ref())?;
                self.prepared(asked.query).await.map(|made| Some(made.as_any().encode_to_vec().into()))
            }
            CLOSE => {
                let _: ActionClosePreparedStatementRequest = body.unpack().map_err(unpacked)?.ok_or_else(none)?;
                Ok(None)
            }
            other => Err(Error::invalid_request(format!("{READ_ONLY}; found the action {}", quoted(other)))),
        }
    }

    async fn prepared(&self, sql: String) -> Result<ActionCreatePreparedStatementResult> {
        let question = Question { sql, snapshot: None, parameters: None };
        let found = self.queries.describe(question.clone()).await?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: sealed(&question)?.into(),
            dataset_schema: message_of(&found.schema)?,
            parameter_schema: message_of(&found.parameters)?,
        })
    }
}

/// Columns of the answer to a command that asks what there is.
fn schema_of_metadata(command: &Command) -> Result<Arc<Schema>> {
    metadata::schema_of(command)?.ok_or_else(|| refused(command))
}

/// A flight of one endpoint.
fn described(schema: &Schema, ticket: Bytes, descriptor: FlightDescriptor) -> Result<FlightInfo> {
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|e| Error::internal("describing a schema").caused_by(e))?
        .with_descriptor(descriptor)
        .with_total_records(-1);
    Ok(info.with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket))))
}

/// A schema as an encapsulated message.
fn message_of(schema: &Schema) -> Result<Bytes> {
    let options = IpcWriteOptions::default();
    let message: Result<IpcMessage, ArrowError> = SchemaAsIpc::new(schema, &options).try_into();
    message.map(|message| message.0).map_err(|e| Error::internal("describing a schema").caused_by(e))
}

/// The one batch of parameters that a stream carries.
async fn received(messages: impl futures::Stream<Item = Result<FlightData, Status>> + Send) -> Result<RecordBatch> {
    let limits = IpcLimits { rows_max: 1, message_bytes_max: handle::PARAMETER_BYTES_MAX, ..IpcLimits::default() };
    let (mut messages, mut schema) = (std::pin::pin!(messages), None);
    while let Some(message) = messages.next().await {
        let message = message.map_err(|status| ukimet_proto::status::from_status(&status))?;
        if message.data_header.is_empty() {
            continue;
        }
        match &schema {
            None => schema = Some(decode_schema_metadata(&message.data_header, &limits)?),
            Some(schema) => return decode_batch_parts(&message.data_header, &message.data_body, schema, &limits),
        }
    }
    Err(Error::invalid_request("parameters are a schema and one batch with one row, found none"))
}
