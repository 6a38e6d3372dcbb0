//! SQL over the far door: Flight SQL's own calls, and an action where it has none.

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, FlightInfo, Ticket};
use prost::Message;
use serde_json::json;
use sheaf_store::{Info, Name, Object, PutOptions, Result};
use tonic::Status;

use super::FarClient;
use super::assembly::Assembly;
use super::link::Service;
use crate::facts::Facts;
use crate::names;
use crate::status;

impl FarClient {
    pub(super) fn ask_sql(
        &self,
        statement: &str,
        into: Option<(&[u8], &PutOptions)>,
    ) -> Result<Object> {
        let Some((name, put)) = into else {
            let query = CommandStatementQuery { query: statement.to_owned(), transaction_id: None };
            return self.call(move |service| result_of(service, query));
        };
        let name = Name::new(name)?;
        let told = names::to_text(&name);
        let body = json!({"sql": statement, "into": told, "replace": put.replace});
        self.ask::<Facts>("query", body)?;
        self.fetch(&[name], std::time::Duration::ZERO)?
            .pop()
            .unwrap_or_else(|| Err(sheaf_store::Error::new(sheaf_store::Kind::Internal, "nothing")))
    }
}

async fn result_of(mut service: Service, query: CommandStatementQuery) -> Result<Object, Status> {
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let info: FlightInfo = service.get_flight_info(descriptor).await?.into_inner();
    let endpoint = info.endpoint.into_iter().next();
    let ticket: Option<Ticket> = endpoint.and_then(|endpoint| endpoint.ticket);
    let ticket = ticket.ok_or_else(|| Status::internal("a result without a ticket"))?;
    let mut stream = service.do_get(ticket).await?.into_inner();
    // How long it is turns out as it comes.
    let info = Info::result(0, 0, 0).map_err(|error| status::of(&error))?;
    let mut assembly = Assembly::new(info);
    while let Some(data) = stream.message().await? {
        assembly.message(data).map_err(|error| status::of(&error))?;
    }
    assembly.finish().map_err(|error| status::of(&error))
}
