//! `GetFlightInfo`, `GetSchema`, `PollFlightInfo` and `DoGet` of statements.

use std::sync::Arc;

use arrow_flight::sql::{Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, SchemaResult, Ticket};
use arrow_schema::{DataType, Schema};
use prost::Message;
use sheaf_store::sql::{Question, Statement, Text};
use sheaf_store::{Error, Kind, Object};
use tonic::Status;

use super::computed::{Computed, Kept};
use super::pinned::Pinned;
use super::prepared::no_transactions;
use super::shelf::Owner;
use super::{Asker, Sql, metadata, wire};
use crate::get::{Options, hydrated};
use crate::status;

/// The answer to `DoGet`.
pub(crate) enum Answer {
    /// A stored object, as it lies.
    Object(Object),
    /// What is computed.
    Computed(Box<Computed>),
}

/// Whether a stored table may be sent as it lies: every client reads its types.
fn is_plain(schema: &Schema) -> bool {
    fn plain(data_type: &DataType) -> bool {
        use DataType as T;
        match data_type {
            T::Dictionary(..)
            | T::Utf8View
            | T::BinaryView
            | T::ListView(_)
            | T::LargeListView(_)
            | T::RunEndEncoded(..) => false,
            T::List(field)
            | T::LargeList(field)
            | T::FixedSizeList(field, _)
            | T::Map(field, _) => plain(field.data_type()),
            T::Struct(fields) => fields.iter().all(|field| plain(field.data_type())),
            _ => true,
        }
    }
    schema.fields().iter().all(|field| plain(field.data_type()))
}

impl Sql {
    /// What a statement comes to, and the ticket for it. What changes something is done now.
    pub(crate) async fn info(
        &self,
        asker: &Asker,
        command: Command,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        if let Some(schema) = metadata::schema_of(self, &command)? {
            // Answered when it is fetched: the ticket is the command.
            return Ok(told(descriptor.clone(), &schema, descriptor.cmd.clone(), -1));
        }
        let statement = self.plan(asker, &command).await?;
        let schema = statement.schema().clone();
        if let Some(table) = statement.whole().filter(|table| is_plain(table.schema())) {
            let rows = i64::try_from(table.num_rows()).unwrap_or(-1);
            let object = table.object().clone();
            let mut info =
                self.pinned_info(asker, descriptor, Pinned::object(schema, object), rows);
            info.total_bytes = i64::try_from(table.nbytes()).unwrap_or(-1);
            return Ok(info);
        }
        if statement.is_update() {
            let count = statement.object(None).await.map_err(|error| status::of(&error))?;
            return Ok(self.pinned_info(asker, descriptor, Pinned::object(schema, count), 1));
        }
        // Values go in place of dictionaries.
        let schema = hydrated(&schema);
        Ok(self.pinned_info(asker, descriptor, Pinned::statement(schema, statement), -1))
    }

    fn pinned_info(
        &self,
        asker: &Asker,
        descriptor: FlightDescriptor,
        pinned: Pinned,
        rows: i64,
    ) -> FlightInfo {
        let schema = pinned.schema().clone();
        let statement_handle = self.pinned.put(Owner::of(&asker.session), Arc::new(pinned));
        let ticket = TicketStatementQuery { statement_handle }.as_any().encode_to_vec();
        told(descriptor, &schema, ticket.into(), rows)
    }

    /// The schema of what a command comes to. Nothing is run.
    pub(crate) async fn schema(
        &self,
        asker: &Asker,
        command: Command,
    ) -> Result<SchemaResult, Status> {
        if let Some(schema) = metadata::schema_of(self, &command)? {
            return Ok(SchemaResult { schema: wire::schema(&schema) });
        }
        let statement = self.plan(asker, &command).await?;
        Ok(SchemaResult { schema: wire::schema(&hydrated(statement.schema())) })
    }

    /// The statement of a command, planned.
    async fn plan(&self, asker: &Asker, command: &Command) -> Result<Box<dyn Statement>, Status> {
        let text = match command {
            Command::CommandStatementQuery(query) if query.transaction_id.is_some() => {
                return Err(no_transactions());
            }
            Command::CommandStatementQuery(query) => Text::Sql(query.query.clone()),
            Command::CommandStatementSubstraitPlan(plan) => {
                let plan = plan.plan.as_ref().map(|plan| plan.plan.clone());
                Text::Substrait(plan.unwrap_or_default())
            }
            Command::CommandPreparedStatementQuery(query) => {
                let prepared = self.prepared(&query.prepared_statement_handle)?;
                return prepared.plan(asker.may_write()).await;
            }
            other => {
                let message = format!("{} has no result to be fetched", other.type_url());
                return Err(Status::invalid_argument(message));
            }
        };
        let question = Question { text, parameters: None, may_write: asker.may_write() };
        asker.session.plan(question).await.map_err(|error| status::of(&error))
    }

    /// The answer to `DoGet` with a ticket of Flight SQL.
    pub(crate) async fn get(
        &self,
        asker: &Asker,
        command: Command,
        options: Options,
    ) -> Result<Answer, Status> {
        let Command::TicketStatementQuery(ticket) = command else {
            let batch = metadata::batch_of(self, asker, command).await?;
            return Ok(Answer::Computed(Box::new(Computed::ready(batch, options)?)));
        };
        let handle = ticket.statement_handle;
        let pinned = self.pinned.get(&handle).ok_or_else(|| {
            let message = "there is no such result: it was fetched, cancelled, or waited for \
                           five minutes; ask again";
            status::of(&Error::new(Kind::NotFound, message))
        })?;
        if let Some(object) = pinned.whole() {
            let object = object.clone();
            self.pinned.remove(&handle);
            return Ok(Answer::Object(object));
        }
        let computed = Computed::of(&pinned, Kept::new(&self.pinned, handle), options)?;
        Ok(Answer::Computed(Box::new(computed)))
    }

    /// Cancels the results that these endpoints lead to; whether there was one.
    pub(super) fn cancel(&self, info: &FlightInfo) -> bool {
        let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
        let mut found = false;
        for ticket in tickets {
            let Ok(Some(Command::TicketStatementQuery(ticket))) = super::command_of_ticket(ticket)
            else {
                continue;
            };
            if let Some(pinned) = self.pinned.remove(&ticket.statement_handle) {
                pinned.cancel();
                found = true;
            }
        }
        found
    }
}

fn told(
    descriptor: FlightDescriptor,
    schema: &Schema,
    ticket: bytes::Bytes,
    rows: i64,
) -> FlightInfo {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
    let mut info = FlightInfo::new().with_descriptor(descriptor).with_endpoint(endpoint);
    info.schema = wire::schema(schema);
    info.total_records = rows;
    info.total_bytes = -1;
    info.ordered = true;
    info
}
