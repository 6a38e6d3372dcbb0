//! Flight SQL, on the same service: statements, prepared ones, metadata, sessions.
//!
//! ```text
//! GetFlightInfo ─▶ plan, pinned ─▶ ticket ─▶ DoGet ─▶ batches, as they are computed
//!                        │                      └──▶ a stored object, as it lies
//!                        └ what changes something is done at once; the ticket has the count
//! DoPut ─▶ rows, in a nameless object ─▶ parameters, or what is put under a name
//! ```
//!
//! The endpoint knows no engine but what [`sheaf_store::sql`] promises of one.

mod action;
mod computed;
mod info;
mod metadata;
mod pinned;
mod prepared;
mod server_info;
mod sessions;
mod shelf;
mod types;
mod update;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Ticket;
use arrow_flight::sql::{Any, Command};
use http::HeaderMap;
use prost::Message;
use sheaf_store::sql::{Engine, Session};
use sheaf_store::{Error, Kind};
use tonic::Status;

pub(crate) use self::action::{Acted, is_action};
pub(crate) use self::info::Answer;
pub(crate) use self::sessions::Seat;
pub(crate) use self::update::Update;

use self::pinned::Pinned;
use self::prepared::Prepared;
use self::shelf::Shelf;
use crate::auth::Right;
use crate::status;

/// The most statements that wait to be fetched, and for how long each does.
const MOST_PINNED: usize = 1024;
const PINNED_FOR: Duration = Duration::from_secs(300);

/// The most prepared statements, and how long one lives that is not used.
const MOST_PREPARED: usize = 4096;
const PREPARED_FOR: Duration = Duration::from_secs(3600);

/// The most sessions that have a cookie, and how long one lives that is not used.
const MOST_SESSIONS: usize = 1024;
const SESSION_FOR: Duration = Duration::from_secs(3600);

/// What starts the type of every message of Flight SQL.
const TYPES: &str = "type.googleapis.com/arrow.flight.protocol.sql.";

/// Flight SQL of one endpoint. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sql {
    engine: Option<Arc<dyn Engine>>,
    pinned: Arc<Shelf<Arc<Pinned>>>,
    prepared: Arc<Shelf<Arc<Prepared>>>,
    sessions: Arc<Shelf<Arc<dyn Session>>>,
}

/// Who asks: in which session, with which right.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(super) session: Arc<dyn Session>,
    pub(super) right: Right,
    /// The session's cookie, if the call brought one.
    pub(super) cookie: Option<String>,
}

impl Asker {
    /// Whether it may change anything.
    pub(super) fn may_write(&self) -> bool {
        self.right.to_write().is_ok()
    }
}

impl Sql {
    pub(crate) fn new(engine: Option<Arc<dyn Engine>>) -> Self {
        Self {
            engine,
            pinned: Arc::new(Shelf::new(MOST_PINNED, PINNED_FOR)),
            prepared: Arc::new(Shelf::new(MOST_PREPARED, PREPARED_FOR)),
            sessions: Arc::new(Shelf::new(MOST_SESSIONS, SESSION_FOR)),
        }
    }

    fn engine(&self) -> Result<&Arc<dyn Engine>, Status> {
        self.engine.as_ref().ok_or_else(|| {
            let message = "this store answers no SQL: it was started without";
            status::of(&Error::new(Kind::Unavailable, message))
        })
    }

    /// Who makes a call, by what the gate left with it.
    ///
    /// # Errors
    /// `UNAVAILABLE` when there is no engine.
    pub(crate) fn asker(
        &self,
        headers: &HeaderMap,
        extensions: &http::Extensions,
    ) -> Result<Asker, Status> {
        let engine = self.engine()?;
        let right = extensions.get().copied().unwrap_or(Right::Read);
        let cookie = sessions::cookie(headers);
        let known = cookie.as_ref().and_then(|cookie| self.sessions.get(cookie.as_bytes()));
        let session = match (known, extensions.get::<Seat>()) {
            (Some(session), _) => session,
            (None, Some(seat)) => seat.session(engine),
            (None, None) => engine.session(sheaf_store::sql::Door::Far),
        };
        Ok(Asker { session, right, cookie })
    }
}

/// The command of Flight SQL that these bytes are, if they are one.
///
/// # Errors
/// `INVALID_ARGUMENT` for one that is not sound, or that there is not.
pub(crate) fn command(bytes: &[u8]) -> Result<Option<Command>, Status> {
    let Ok(any) = Any::decode(bytes) else { return Ok(None) };
    if !any.type_url.starts_with(TYPES) {
        return Ok(None);
    }
    match Command::try_from(any) {
        Ok(Command::Unknown(any)) => {
            let name = any.type_url.strip_prefix(TYPES).unwrap_or_default().to_owned();
            Err(Status::unimplemented(format!("there is no {name} here")))
        }
        Ok(command) => Ok(Some(command)),
        Err(error) => Err(Status::invalid_argument(format!("the command is not sound: {error}"))),
    }
}

/// The command that a ticket of Flight SQL has, if it is one.
///
/// # Errors
/// As [`command`].
pub(crate) fn command_of_ticket(ticket: &Ticket) -> Result<Option<Command>, Status> {
    command(&ticket.ticket)
}
