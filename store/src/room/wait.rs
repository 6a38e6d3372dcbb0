//! Gets that wait for objects.
//!
//! Each name of a wait is decided on its own: found (and held for the wait from then on),
//! or hopeless because its writer is gone. The wait ends when all are decided or its
//! deadline passes.

use super::Room;
use super::effect::Answer;
use super::ids::{ClientId, ObjectId, Ticket};
use super::refusal;
use crate::error::Error;
use crate::object::Name;

/// One name of a get.
#[derive(Debug)]
pub(super) enum Slot {
    /// Not there yet.
    Open(Name),
    /// There, and held once by the get itself until it is answered.
    Found(ObjectId),
    /// It will not come.
    Gone(Error),
}

/// A get that waits.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) client: ClientId,
    pub(super) ticket: Ticket,
    pub(super) hold: bool,
    pub(super) deadline_ms: u64,
    pub(super) slots: Vec<Slot>,
    /// How many are still open.
    pub(super) open: usize,
}

impl Room {
    /// Those who wait for a name now have it.
    pub(super) fn satisfy(&mut self, name: &Name, object: ObjectId) {
        for (seq, index) in self.take_waiters(name) {
            self.hold(object);
            self.decide(seq, index, Slot::Found(object));
        }
    }

    /// Those who wait for a name learn that it will not come, and why.
    pub(super) fn bereave(&mut self, name: &Name, why: Option<&Error>) {
        for (seq, index) in self.take_waiters(name) {
            self.decide(seq, index, Slot::Gone(refusal::writer_gone(name, why)));
        }
    }

    fn take_waiters(&mut self, name: &Name) -> impl Iterator<Item = (u64, usize)> + use<> {
        let expected = self.expected.get_mut(name);
        let waiters = expected.map(|expected| std::mem::take(&mut expected.waiters));
        self.forget_expected(name);
        waiters.unwrap_or_default().into_iter()
    }

    /// Strikes out a name that nobody writes and nobody waits for.
    pub(super) fn forget_expected(&mut self, name: &Name) {
        if self.expected.get(name).is_some_and(|e| e.drafts.is_empty() && e.waiters.is_empty()) {
            self.expected.remove(name);
        }
    }

    fn decide(&mut self, seq: u64, index: usize, slot: Slot) {
        let Some(wait) = self.waits.get_mut(&seq) else {
            return;
        };
        let Some(open @ Slot::Open(_)) = wait.slots.get_mut(index) else { return };
        *open = slot;
        wait.open -= 1;
        if wait.open == 0
            && let Some(wait) = self.leave_wait(seq)
        {
            self.finish_wait(wait);
        }
    }

    /// Takes a wait out of the books, to be answered or dropped.
    pub(super) fn leave_wait(&mut self, seq: u64) -> Option<Wait> {
        let wait = self.waits.remove(&seq)?;
        self.deadlines.remove(&(wait.deadline_ms, seq));
        if let Some(books) = self.clients.get_mut(&wait.client) {
            books.parked.remove(&wait.ticket);
        }
        for (index, slot) in wait.slots.iter().enumerate() {
            if let Slot::Open(name) = slot
                && let Some(expected) = self.expected.get_mut(name)
            {
                expected.waiters.remove(&(seq, index));
                self.forget_expected(name);
            }
        }
        Some(wait)
    }

    /// Answers a wait with what was decided; what is still open has timed out.
    pub(super) fn finish_wait(&mut self, wait: Wait) {
        let Wait { client, ticket, hold, slots, .. } = wait;
        self.answer_get(client, ticket, hold, true, slots);
    }

    /// Ends a wait that nobody will hear of.
    pub(super) fn drop_wait(&mut self, wait: Wait) {
        for slot in wait.slots {
            if let Slot::Found(object) = slot {
                self.let_go(object, 1);
            }
        }
    }

    /// Answers a get. Its own holds pass to the client where the answer grants holds, and end
    /// after the answer where it does not.
    pub(super) fn answer_get(
        &mut self,
        client: ClientId,
        ticket: Ticket,
        hold: bool,
        waited: bool,
        slots: Vec<Slot>,
    ) {
        let mut passing = Vec::new();
        let mut results = Vec::with_capacity(slots.len());
        for slot in slots {
            results.push(match slot {
                Slot::Gone(error) => Err(error),
                Slot::Open(name) => Err(self.absent(&name, waited)),
                Slot::Found(object) => match self.grant(client, object, hold) {
                    Some(grant) => {
                        if !grant.held {
                            passing.push(object);
                        }
                        Ok(grant)
                    }
                    None => Err(refusal::no_draft(object)),
                },
            });
        }
        self.answer(client, ticket, Answer::Got(results));
        for object in passing {
            self.let_go(object, 1);
        }
    }
}
