//! Where answers go: from a ticket of the room to a request of the client.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::outbox::Outbox;
use crate::error::Result;
use crate::protocol::message::{Sealed, Stored};
use crate::room::Ticket;
use crate::sql::Work;

/// What a ticket's answer turns into.
pub(super) enum Route {
    /// The reply to a create or a grow.
    Draft { request: u64 },
    /// One item of a put: its bytes wait here for their place.
    Item { batch: Arc<Batch>, index: usize, data: Bytes },
    /// The reply to the seal of a small draft: its bytes wait here for their place.
    Seal { request: u64, data: Bytes },
    /// The reply to a get.
    Got { request: u64, hold: bool },
    /// The events of a watch.
    Watch { request: u64 },
    /// The result of a statement, which ends when this is dropped.
    Query { request: u64, _work: Work },
}

impl Route {
    pub(super) fn request(&self) -> u64 {
        match self {
            Self::Draft { request }
            | Self::Seal { request, .. }
            | Self::Got { request, .. }
            | Self::Watch { request }
            | Self::Query { request, .. } => *request,
            Self::Item { batch, .. } => batch.request,
        }
    }
}

/// The items of one put frame; the last one decided sends the reply.
pub(super) struct Batch {
    request: u64,
    outcomes: Mutex<Outcomes>,
}

struct Outcomes {
    items: Vec<Option<Result<Sealed>>>,
    left: usize,
}

impl Batch {
    pub(super) fn new(request: u64, count: usize) -> Arc<Self> {
        let items = (0..count).map(|_| None).collect();
        Arc::new(Self { request, outcomes: Mutex::new(Outcomes { items, left: count }) })
    }

    pub(super) fn decide(&self, index: usize, outcome: Result<Sealed>, outbox: &Outbox) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.items[index] = Some(outcome);
        outcomes.left -= 1;
        if outcomes.left == 0 {
            let items = outcomes.items.drain(..).flatten().collect();
            outbox.reply(self.request, Stored { items });
        }
    }
}

/// One client's routes.
#[derive(Default)]
pub(super) struct Routes {
    by_ticket: HashMap<Ticket, Route>,
    /// Those that wait, by their requests: a cancel finds them without a search. Most are
    /// answered at once and never come here.
    waiting: BTreeSet<(u64, Ticket)>,
}

impl Routes {
    pub(super) fn insert(&mut self, ticket: Ticket, route: Route) {
        self.by_ticket.insert(ticket, route);
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Route> {
        self.by_ticket.get(&ticket)
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Route> {
        let route = self.by_ticket.remove(&ticket)?;
        self.waiting.remove(&(route.request(), ticket));
        Some(route)
    }

    /// The route of a ticket that was not answered at once, from here on found by its request.
    pub(super) fn wait(&mut self, ticket: Ticket) -> Option<&mut Route> {
        let route = self.by_ticket.get_mut(&ticket)?;
        self.waiting.insert((route.request(), ticket));
        Some(route)
    }

    /// The tickets of a request that wait.
    pub(super) fn of_request(&self, request: u64) -> Vec<Ticket> {
        let all = (request, Ticket(0))..=(request, Ticket(u64::MAX));
        self.waiting.range(all).map(|(_, ticket)| *ticket).collect()
    }

    /// How many statements run.
    pub(super) fn statements(&self) -> usize {
        let waiting = self.waiting.iter().map(|(_, ticket)| self.by_ticket.get(ticket));
        waiting.filter(|route| matches!(route, Some(Route::Query { .. }))).count()
    }

    pub(super) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.by_ticket.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_while_it_waits_and_only_then() {
        let mut routes = Routes::default();
        for number in 1..=4 {
            routes.insert(Ticket(number), Route::Draft { request: number / 2 });
        }
        for number in 2..=4 {
            assert!(routes.wait(Ticket(number)).is_some());
        }

        assert_eq!(routes.of_request(0), [], "answered at once");
        assert_eq!(routes.of_request(1), [Ticket(2), Ticket(3)]);
        routes.remove(Ticket(2));
        assert_eq!(routes.of_request(1), [Ticket(3)]);
        routes.remove(Ticket(3));

        assert_eq!(routes.of_request(1), []);
        assert_eq!(routes.tickets().count(), 2);
    }
}
