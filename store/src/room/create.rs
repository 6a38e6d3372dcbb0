//! Create, put and grow: what takes from the budget, now or when there is room.
//!
//! Each request goes the same way: may it be done at all, how much does it take, is there room;
//! then it is done, waits in the queue, or is refused. A request from the queue is examined
//! again when its turn comes, for the world may have changed.

use super::Room;
use super::effect::Answer;
use super::ids::{ClientId, ObjectId, Ticket};
use super::landing::Cargo;
use super::queue::{Job, Pending};
use super::refusal;
use super::space::Outlook;
use crate::error::Error;
use crate::object::{Metadata, Name, ObjectKind};

/// How long a request that may not wait still does for memory that the kernel is giving back.
const GRACE_MS: u64 = 1000;

/// An object to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Its name.
    pub name: Name,
    /// What its bytes will be.
    pub kind: ObjectKind,
    /// How many bytes; a draft may be sealed with fewer.
    pub bytes: u64,
    /// Take the name from the object that has it, at seal.
    pub replace: bool,
    /// Only from this very object.
    pub replaces: Option<ObjectId>,
    /// It may be dropped for room while nobody holds it.
    pub droppable: bool,
    /// User metadata.
    pub metadata: Metadata,
    /// Until when to wait for room, in Unix milliseconds; none fails at once.
    pub deadline_ms: Option<u64>,
}

impl Room {
    /// Creates a draft. Answers [`Answer::Created`], now or once there is room, or
    /// [`Answer::Failed`]: `Exists`, `Full` or `Invalid`.
    pub fn create(&mut self, now_ms: u64, client: ClientId, ticket: Ticket, create: Create) {
        self.at(now_ms);
        let deadline_ms = create.deadline_ms;
        self.ask(client, ticket, deadline_ms, Job::Create(create));
    }

    /// Creates and seals a small object in one step. Answers [`Answer::Stored`] after the
    /// [`super::Effect::Write`] that places it, or [`Answer::Failed`] as [`Room::create`] does;
    /// `Invalid` when it is larger than [`super::Config::small_bytes`].
    pub fn put(
        &mut self,
        now_ms: u64,
        client: ClientId,
        ticket: Ticket,
        create: Create,
        rows: u64,
        batches: u64,
    ) {
        self.at(now_ms);
        let deadline_ms = create.deadline_ms;
        self.ask(client, ticket, deadline_ms, Job::Put { create, rows, batches });
    }

    /// Makes a draft larger. Answers [`Answer::Grown`], now or once there is room before
    /// `deadline_ms`, or [`Answer::Failed`]. A small draft may become large by it.
    pub fn grow(
        &mut self,
        now_ms: u64,
        client: ClientId,
        ticket: Ticket,
        object: ObjectId,
        bytes: u64,
        deadline_ms: Option<u64>,
    ) {
        self.at(now_ms);
        self.ask(client, ticket, deadline_ms, Job::Grow { object, bytes });
    }

    fn ask(&mut self, client: ClientId, ticket: Ticket, deadline_ms: Option<u64>, job: Job) {
        if let Err(error) = self.may_ask(client, ticket).and_then(|()| self.may(client, &job, None))
        {
            self.answer(client, ticket, Answer::Failed(error));
            return;
        }
        let (need, _) = self.need(&job);
        let outlook = if need == 0 {
            Outlook::Ready
        } else if self.queue.is_empty() {
            self.prepare(&job)
        } else if self.budget.free() >= need && self.queue.let_pass(need) {
            Outlook::Ready
        } else {
            self.outlook(need.saturating_add(self.queue.need))
        };
        let deadline_ms = deadline_ms.filter(|deadline| *deadline > self.now_ms);
        match (outlook, deadline_ms) {
            (Outlook::Ready, _) => self.fulfil(client, ticket, job),
            (_, Some(deadline)) => self.enqueue(client, ticket, deadline, true, need, job),
            (Outlook::Coming, None) => {
                let deadline = self.now_ms.saturating_add(GRACE_MS);
                self.enqueue(client, ticket, deadline, false, need, job);
            }
            (Outlook::Lacking, None) => {
                let error = self.full(&job);
                self.answer(client, ticket, Answer::Failed(error));
            }
        }
        self.tidy();
    }

    fn enqueue(
        &mut self,
        client: ClientId,
        ticket: Ticket,
        deadline_ms: u64,
        patient: bool,
        need: u64,
        job: Job,
    ) {
        let grown = if let Job::Grow { object, .. } = job { Some(object) } else { None };
        match self.park(client, ticket, deadline_ms) {
            Err(error) => self.answer(client, ticket, Answer::Failed(error)),
            Ok(seq) => {
                if let Some(entry) = grown.and_then(|object| self.objects.get_mut(&object)) {
                    entry.growing = Some(seq);
                }
                let pending = Pending::new((client, ticket), deadline_ms, patient, need, job);
                self.queue.push(seq, pending);
            }
        }
    }

    /// Empties sparse segments and serves those who wait for room, in order, as far as it goes:
    /// the last step of every method that may have freed something.
    pub(super) fn pump(&mut self) {
        self.tidy();
        while let Some((seq, pending)) = self.queue.first() {
            let (client, patient) = (pending.client, pending.patient);
            let job = pending.job.clone();
            let allowed = self.may(client, &job, Some(seq));
            if allowed.is_ok() {
                let outlook = self.prepare(&job);
                if outlook == Outlook::Coming || (outlook == Outlook::Lacking && patient) {
                    break;
                }
                if outlook == Outlook::Lacking {
                    self.give_up(seq);
                    continue;
                }
            }
            let Some(pending) = self.leave_queue(seq) else {
                break;
            };
            match allowed {
                Ok(()) => self.fulfil(client, pending.ticket, pending.job),
                Err(error) => self.answer(client, pending.ticket, Answer::Failed(error)),
            }
        }
        self.tidy();
    }

    /// Refuses those who counted on memory that did not come back.
    pub(super) fn disappoint(&mut self) {
        for seq in self.queue.disappointed(self.coming()) {
            self.give_up(seq);
        }
    }

    /// Takes a request out of the queue, to be served or refused.
    pub(super) fn leave_queue(&mut self, seq: u64) -> Option<Pending> {
        let pending = self.queue.remove(seq)?;
        self.deadlines.remove(&(pending.deadline_ms, seq));
        if let Some(books) = self.clients.get_mut(&pending.client) {
            books.parked.remove(&pending.ticket);
        }
        if let Job::Grow { object, .. } = pending.job
            && let Some(entry) = self.objects.get_mut(&object)
        {
            entry.growing = None;
        }
        Some(pending)
    }

    /// Refuses a request that waited for room in vain.
    pub(super) fn give_up(&mut self, seq: u64) {
        if let Some(pending) = self.leave_queue(seq) {
            let error = self.full(&pending.job);
            self.answer(pending.client, pending.ticket, Answer::Failed(error));
        }
    }

    /// Makes room for a request.
    fn prepare(&mut self, job: &Job) -> Outlook {
        // Making room may cost the segment that a small object was meant for: look again then.
        let (mut need, mut keep) = self.need(job);
        for _ in 0..3 {
            let outlook = self.make_room(need, keep);
            (need, keep) = self.need(job);
            if outlook != Outlook::Ready || self.budget.free() >= need {
                return outlook;
            }
        }
        self.outlook(need)
    }

    /// The error of a request for which there is no room.
    fn full(&self, job: &Job) -> Error {
        let (object, bytes) = match job {
            Job::Create(create) | Job::Put { create, .. } => {
                let need = self.charge(&create.name, create.bytes);
                return self.full_for(&create.name, need);
            }
            Job::Grow { object, bytes } => (object, *bytes),
        };
        match self.objects.get(object) {
            Some(entry) => {
                let more = self.grown_charge(entry, bytes) - entry.charge;
                self.full_for(&entry.name, more)
            }
            None => refusal::no_draft(*object),
        }
    }

    fn fulfil(&mut self, client: ClientId, ticket: Ticket, job: Job) {
        match job {
            Job::Create(create) => {
                let draft = self.start_draft(client, create);
                self.answer(client, ticket, Answer::Created(draft));
            }
            Job::Grow { object, bytes } => match self.grow_draft(object, bytes) {
                Some(draft) => self.answer(client, ticket, Answer::Grown(draft)),
                None => self.answer(client, ticket, Answer::Failed(refusal::no_draft(object))),
            },
            Job::Put { create, rows, batches } => {
                let (name, len) = (create.name.clone(), create.bytes);
                self.bring(&name, len, Cargo::Put { client, ticket, create, rows, batches });
            }
        }
    }
}
