//! The calls of `FlightService`, but for the bytes of `DoGet` and `DoPut`.

mod action;
mod exchange;
pub(crate) mod hint;
mod info;
mod poll;

use std::sync::Arc;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::Command;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use self::hint::Hint;
pub(crate) use self::info::framed;
use crate::auth::{self, Guard, Right};
use crate::door::Door;
use crate::names;
use crate::put::Uploads;
use crate::sql::{self, Acted, Asker, Sql};

/// The service, as tonic takes it, for messages of at most this many bytes.
pub(crate) fn service(
    door: Door,
    uploads: Uploads,
    sql: Sql,
    hint: Hint,
    guard: Arc<Guard>,
    message_bytes: usize,
) -> FlightServiceServer<Far> {
    let far = Far { door, uploads, sql, hint, guard };
    FlightServiceServer::new(far).max_decoding_message_size(message_bytes)
}

/// Every call of Flight on one store.
pub(crate) struct Far {
    door: Door,
    uploads: Uploads,
    sql: Sql,
    hint: Hint,
    guard: Arc<Guard>,
}

impl Far {
    /// The command of Flight SQL that a descriptor has, and who asks.
    fn command<T>(
        &self,
        request: &Request<T>,
        descriptor: &FlightDescriptor,
    ) -> Result<Option<(Asker, Command)>, Status> {
        match sql::command(&descriptor.cmd)? {
            Some(command) => Ok(Some((self.asker(request)?, command))),
            None => Ok(None),
        }
    }

    /// Does an action of SQL; nothing if it is none.
    async fn act(&self, request: &Request<Action>, right: Right) -> Result<Option<Acted>, Status> {
        let action = request.get_ref();
        match action.r#type.as_str() {
            "CancelFlightInfo" | "cancel" => self.sql.cancel_action(action).map(Some),
            "query" => {
                right.to_write()?;
                self.sql.put_result(&self.asker(request)?, &action.body).await.map(Some)
            }
            name if sql::is_action(name) => {
                self.sql.act(&self.asker(request)?, action).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    fn asker<T>(&self, request: &Request<T>) -> Result<Asker, Status> {
        self.sql.asker(request.metadata().as_ref(), request.extensions())
    }
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Far {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        auth::handshake(self.guard.clone(), request).await
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let listed = info::list(&self.door, &self.hint, request.into_inner()).await?;
        Ok(Response::new(listed))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        if let Some((asker, command)) = self.command(&request, request.get_ref())? {
            let info = self.sql.info(&asker, command, request.into_inner()).await?;
            return Ok(Response::new(info));
        }
        let wanted = names::wanted(request.get_ref())?;
        Ok(Response::new(info::of(&self.door, &self.hint, wanted).await?))
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        if let Some((asker, command)) = self.command(&request, request.get_ref())? {
            // Results stream as they are computed, so there is nothing to be waited for.
            let info = self.sql.info(&asker, command, request.into_inner()).await?;
            let done = PollInfo { info: Some(info), progress: Some(1.0), ..PollInfo::default() };
            return Ok(Response::new(done));
        }
        let polled = poll::poll(&self.door, &self.hint, request.into_inner()).await?;
        Ok(Response::new(polled))
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        if let Some((asker, command)) = self.command(&request, request.get_ref())? {
            return Ok(Response::new(self.sql.schema(&asker, command).await?));
        }
        let wanted = names::wanted(request.get_ref())?;
        Ok(Response::new(info::schema(&self.door, &wanted).await?))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::internal("DoGet never comes here: the front answers it"))
    }

    async fn do_put(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::internal("DoPut never comes here: the front answers it"))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let headers = request.metadata().clone().into_headers();
        let exchanged =
            exchange::exchange(&self.door, &self.uploads, headers, request.into_inner()).await?;
        Ok(Response::new(exchanged))
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        let right = request.extensions().get().copied().unwrap_or(Right::Read);
        if let Some(acted) = self.act(&request, right).await? {
            let results = acted.results.into_iter().map(|body| Ok(arrow_flight::Result { body }));
            let results = futures_util::stream::iter(results.collect::<Vec<_>>()).boxed();
            let mut response = Response::new(results);
            let cookie = acted.cookie.and_then(|cookie| cookie.to_str().ok()?.parse().ok());
            if let Some(cookie) = cookie {
                response.metadata_mut().insert("set-cookie", cookie);
            }
            return Ok(response);
        }
        let action = request.into_inner();
        let results = action::act(&self.door, &self.uploads, &self.hint, right, action).await?;
        Ok(Response::new(results))
    }

    async fn list_actions(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(action::list()))
    }
}
