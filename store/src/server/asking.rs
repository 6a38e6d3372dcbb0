//! Statements of SQL: handed to the engine, whose results are handed out like any object.
//!
//! The engine is a client of this store. What it answers with is an object that it holds, or bytes
//! of its own; the one who asked is lent the same object, by the same grant that a get brings.

use std::sync::Arc;

use bytes::Bytes;

use super::effects;
use super::keeper::{Books, Keeper, Session};
use super::routes::Route;
use crate::client::Object;
use crate::error::{Error, Kind, Result};
use crate::object::{Name, PutOptions};
use crate::protocol::message::{Got, Grant, Query, Reply};
use crate::room::{ObjectId, Ticket};
use crate::sql::{Destination, Door, Question, Work};

/// The statements that one client may have running at a time.
const MOST_STATEMENTS: usize = 64;

impl Keeper {
    /// Has a statement run; the reply follows.
    pub(super) fn query(
        self: &Arc<Self>,
        session: &Session,
        id: u64,
        query: Query,
    ) -> Result<Option<Reply>> {
        let Some(engine) = &self.engine else {
            let message = "this store answers no SQL: it was started without (`sheaf serve` does)";
            return Err(Error::new(Kind::Unavailable, message));
        };
        let Query { sql, into, replace } = query;
        let into = match into.is_empty() {
            true => None,
            false => {
                let options = PutOptions { replace, ..PutOptions::default() };
                Some(Destination { name: Name::new(&into)?, options })
            }
        };
        let asked = session.sql.get_or_init(|| engine.session(Door::Near)).clone();
        let mut books = self.lock();
        let ticket = books.ticket();
        let Some(guest) = books.guests.get_mut(&session.client) else { return Ok(None) };
        if guest.routes.statements() >= MOST_STATEMENTS {
            let message = format!(
                "{MOST_STATEMENTS} statements of this client run already: wait for one to end"
            );
            return Err(Error::new(Kind::Full, message));
        }
        let keeper = self.clone();
        let client = session.client;
        let work = self.jobs.spawn(async move {
            let outcome = match asked.plan(Question::new(sql)).await {
                Ok(statement) => statement.object(into).await,
                Err(error) => Err(error),
            };
            keeper.answered(client, ticket, outcome);
        });
        let work = Work::new(work.abort_handle(), None);
        guest.routes.insert(ticket, Route::Query { request: id, _work: work });
        guest.routes.wait(ticket);
        Ok(None)
    }

    /// Ends a statement that its client does not want any more; whether it was one.
    pub(super) fn end_statement(
        &self,
        books: &mut Books,
        session: &Session,
        ticket: Ticket,
    ) -> bool {
        let Some(guest) = books.guests.get_mut(&session.client) else { return false };
        if !matches!(guest.routes.get(ticket), Some(Route::Query { .. })) {
            return false;
        }
        if let Some(route) = guest.routes.remove(ticket) {
            let error = Error::new(Kind::Timeout, "cancelled by the client");
            guest.outbox.fail(route.request(), &error);
        }
        true
    }

    /// A statement has ended: whoever asked it is told, if it still waits.
    fn answered(
        self: &Arc<Self>,
        client: crate::room::ClientId,
        ticket: Ticket,
        outcome: Result<Object>,
    ) {
        let mut books = self.lock();
        let Some(guest) = books.guests.get_mut(&client) else { return };
        let Some(Route::Query { request, .. }) = guest.routes.remove(ticket) else { return };
        let outbox = guest.outbox.clone();
        let object = match outcome {
            Ok(object) => object,
            Err(error) => return outbox.fail(request, &error),
        };
        if object.mapped_range().is_some() {
            let lent = books.room.lend(client, ObjectId(object.info().id));
            effects::grant(&mut books, client, request, true, vec![lent]);
        } else {
            let grant = Grant {
                info: object.info().clone(),
                object: 0,
                container: 0,
                segment: false,
                descriptor: false,
                offset: 0,
                inline: Bytes::copy_from_slice(object.as_bytes()),
            };
            outbox.reply(request, Got { grants: vec![Ok(grant)] });
        }
        self.settle(&mut books);
        drop(books);
        // The engine's own hold goes back by a message to this very thread, which must not wait
        // for itself.
        self.jobs.spawn_blocking(move || drop(object));
    }
}
