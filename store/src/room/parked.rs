//! Requests that wait: their limit, their deadlines, and their end.
//!
//! A parked request is a get that waits for objects (`wait.rs`) or a create that waits for room
//! (`queue.rs`). Both share one sequence of numbers, so that a deadline or a ticket finds either.

use super::Room;
use super::effect::{Answer, Effect};
use super::ids::{ClientId, Ticket};
use super::refusal;
use crate::error::Result;

impl Room {
    /// Answers a ticket.
    pub(super) fn answer(&mut self, client: ClientId, ticket: Ticket, answer: Answer) {
        self.effects.push(Effect::Answer { client, ticket, answer });
    }

    /// Whether this client may use this ticket now.
    pub(super) fn may_ask(&self, client: ClientId, ticket: Ticket) -> Result<()> {
        let books = self.client(client)?;
        let twice = books.parked.contains_key(&ticket);
        if twice { Err(refusal::ticket_in_use(ticket)) } else { Ok(()) }
    }

    /// Parks a request until its deadline.
    pub(super) fn park(
        &mut self,
        client: ClientId,
        ticket: Ticket,
        deadline_ms: u64,
    ) -> Result<u64> {
        let seq = self.next_seq();
        let most = self.config.limits.waits_per_client;
        let books = self.clients.get_mut(&client).ok_or_else(refusal::unknown_client)?;
        if books.parked.len() >= most {
            return Err(refusal::limit("requests waiting", most, "cancel one first"));
        }
        books.parked.insert(ticket, seq);
        self.deadlines.insert((deadline_ms, seq));
        Ok(seq)
    }

    /// Ends a parked request without an answer.
    pub(super) fn unpark(&mut self, seq: u64) {
        if self.leave_queue(seq).is_none()
            && let Some(wait) = self.leave_wait(seq)
        {
            self.drop_wait(wait);
        }
    }

    /// Ends a waiting request or a watch; it is answered with `Timeout`. An unknown ticket is
    /// nothing to cancel: its answer is on its way.
    pub fn cancel(&mut self, client: ClientId, ticket: Ticket) {
        let parked = self.clients.get(&client).and_then(|books| books.parked.get(&ticket));
        if let Some(seq) = parked.copied() {
            self.unpark(seq);
        } else if self.watches.remove(&(client, ticket)).is_none() {
            return;
        }
        self.answer(client, ticket, Answer::Failed(refusal::cancelled()));
        self.pump();
    }

    /// Ends what has waited long enough, and gives up a pool that has been idle.
    pub fn tick(&mut self, now_ms: u64) {
        self.at(now_ms);
        while let Some(&(deadline_ms, seq)) = self.deadlines.first() {
            if deadline_ms > self.now_ms {
                break;
            }
            self.deadlines.remove(&(deadline_ms, seq));
            self.counters.expirations += 1;
            if let Some(wait) = self.leave_wait(seq) {
                self.finish_wait(wait);
            } else {
                self.give_up(seq);
            }
        }
        self.shrink_pool();
        self.pump();
    }

    /// When [`Room::tick`] has something to do next, in Unix milliseconds.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let parked = self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms);
        let (pool, moving) = (self.pool_deadline_ms(), self.moving_deadline_ms());
        parked.into_iter().chain(pool).chain(moving).min()
    }
}
