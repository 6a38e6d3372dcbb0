//! Replays: what was there before a watch, told as fast as its client reads.
//!
//! The room keeps only how far a replay has come, so that one over a large store costs no memory
//! here: the next page is made when the last one has been sent.

use std::sync::Arc;

use super::keeper::{Books, Keeper, Session};
use crate::room::{ClientId, Ticket};

/// The events of one page: the others get their turn in between.
const PAGE_EVENTS: usize = 256;

impl Keeper {
    /// Tells the first page, so that a small store is told as it was when the watch began, and
    /// has the others follow as there is room for them.
    pub(super) fn begin_replay(
        self: &Arc<Self>,
        books: &mut Books,
        session: &Session,
        ticket: Ticket,
    ) {
        if !books.room.replay(session.client, ticket, PAGE_EVENTS) {
            return;
        }
        let (keeper, outbox, client) = (self.clone(), session.outbox.clone(), session.client);
        self.jobs.spawn(async move {
            outbox.drained().await;
            while keeper.go_on_with_replay(client, ticket) {
                tokio::task::yield_now().await;
                outbox.drained().await;
            }
        });
    }

    /// Tells one page; false at the end of the replay, the watch or the client.
    fn go_on_with_replay(self: &Arc<Self>, client: ClientId, ticket: Ticket) -> bool {
        let mut books = self.lock();
        let more = books.room.replay(client, ticket, PAGE_EVENTS);
        self.settle(&mut books);
        more
    }
}
