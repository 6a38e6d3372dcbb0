//! The actions of Flight SQL, and those of Flight that are about statements and sessions.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, Any, ProstMessageExt,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
};
use bytes::Bytes;
use http::HeaderValue;
use prost::Message;
use serde::Deserialize;
use sheaf_store::PutOptions;
use sheaf_store::sql::{Destination, Question};
use tonic::Status;

use super::prepared::no_transactions;
use super::sessions::unsound;
use super::{Asker, Sql};
use crate::facts::Facts;
use crate::names;
use crate::status;

/// Whether an action is one of [`Sql::act`].
pub(crate) fn is_action(name: &str) -> bool {
    const ACTIONS: [&str; 11] = [
        "BeginSavepoint",
        "BeginTransaction",
        "CancelQuery",
        "ClosePreparedStatement",
        "CloseSession",
        "CreatePreparedStatement",
        "CreatePreparedSubstraitPlan",
        "EndSavepoint",
        "EndTransaction",
        "GetSessionOptions",
        "SetSessionOptions",
    ];
    ACTIONS.contains(&name)
}

/// What comes of an action: its results, and a cookie if a session began.
pub(crate) struct Acted {
    pub(crate) results: Vec<Bytes>,
    pub(crate) cookie: Option<HeaderValue>,
}

impl Acted {
    fn one(result: impl Into<Bytes>) -> Self {
        Self { results: vec![result.into()], cookie: None }
    }
}

impl Sql {
    /// Does an action.
    pub(crate) async fn act(&self, asker: &Asker, action: &Action) -> Result<Acted, Status> {
        match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let request: ActionCreatePreparedStatementRequest = unpacked(&action.body)?;
                Ok(Acted::one(self.prepare(asker, request).await?))
            }
            "ClosePreparedStatement" => {
                let request: ActionClosePreparedStatementRequest = unpacked(&action.body)?;
                // One that is gone is closed.
                self.prepared.remove(&request.prepared_statement_handle);
                Ok(Acted { results: Vec::new(), cookie: None })
            }
            "CancelQuery" => {
                let request: ActionCancelQueryRequest = unpacked(&action.body)?;
                let info = FlightInfo::decode(&request.info[..]).map_err(unsound)?;
                // 1 is cancelled, 3 not cancellable.
                let result = if self.cancel(&info) { 1 } else { 3 };
                Ok(Acted::one(ActionCancelQueryResult { result }.as_any().encode_to_vec()))
            }
            "SetSessionOptions" => {
                let (result, cookie) = self.set_options(asker, action)?;
                Ok(Acted { results: vec![result.into()], cookie })
            }
            "GetSessionOptions" => Ok(Acted::one(Self::options(asker))),
            "CloseSession" => Ok(Acted::one(self.close_session(asker))),
            "CreatePreparedSubstraitPlan" => {
                Err(Status::unimplemented("plans of Substrait are not read: send SQL"))
            }
            _ => Err(no_transactions()),
        }
    }

    /// Cancels a statement.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a body that is not sound.
    pub(crate) fn cancel_action(&self, action: &Action) -> Result<Acted, Status> {
        // Some clients send the info alone.
        let info = match CancelFlightInfoRequest::decode(&action.body[..]) {
            Ok(request) => request.info.unwrap_or_default(),
            Err(error) => FlightInfo::decode(&action.body[..]).map_err(|_| unsound(error))?,
        };
        let status = match self.cancel(&info) {
            true => CancelStatus::Cancelled,
            // A stored object is no statement, and one that was fetched has nothing to cancel.
            false => CancelStatus::NotCancellable,
        };
        Ok(Acted::one(CancelFlightInfoResult { status: status.into() }.encode_to_vec()))
    }

    /// Runs a statement and puts its result under a name.
    pub(crate) async fn put_result(&self, asker: &Asker, body: &[u8]) -> Result<Acted, Status> {
        let Put { sql, into, replace } = serde_json::from_slice(body).map_err(|error| {
            Status::invalid_argument(format!("no {{\"sql\": …, \"into\": …}}: {error}"))
        })?;
        let name = names::of_text(&into)?;
        let options = PutOptions { replace, ..PutOptions::default() };
        let told = |error: sheaf_store::Error| status::of(&error);
        let statement = asker.session.plan(Question::new(sql)).await.map_err(told)?;
        let object = statement.object(Some(Destination { name, options })).await.map_err(told)?;
        let facts = serde_json::to_vec(&Facts::of(object.info()));
        Ok(Acted::one(facts.map_err(|error| Status::internal(error.to_string()))?))
    }
}

/// What the action `query` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    sql: String,
    into: String,
    #[serde(default)]
    replace: bool,
}

/// The message in an `Any`.
fn unpacked<M: ProstMessageExt + Default>(body: &[u8]) -> Result<M, Status> {
    let any = Any::decode(body).map_err(unsound)?;
    let unpacked =
        any.unpack::<M>().map_err(|error| Status::invalid_argument(error.to_string()))?;
    unpacked.ok_or_else(|| {
        Status::invalid_argument(format!(
            "the action's body is a {}, which it does not take",
            any.type_url
        ))
    })
}
