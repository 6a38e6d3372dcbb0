//! The room in numbers.

use super::Room;
use super::budget::Part;

/// What is counted as it happens: sums since the room began, but for what is held now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) held: u64,
    pub(super) held_bytes: u64,
    pub(super) puts: u64,
    pub(super) put_bytes: u64,
    pub(super) gets: u64,
    pub(super) hits: u64,
    pub(super) get_bytes: u64,
    pub(super) deletes: u64,
    pub(super) evictions: u64,
    pub(super) expirations: u64,
    pub(super) moved_bytes: u64,
}

/// The room in numbers: what there is now, and what has happened since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The budget. The next six amount to it.
    pub budget_bytes: u64,
    /// Nobody's.
    pub free_bytes: u64,
    /// Sealed objects.
    pub sealed_bytes: u64,
    /// Drafts.
    pub draft_bytes: u64,
    /// Memory that nothing is bound to and that the kernel has not given back.
    pub retired_bytes: u64,
    /// Dead and free bytes of segments.
    pub slack_bytes: u64,
    /// Prepared containers.
    pub pool_bytes: u64,
    /// Names that are bound, drafts with a name of their own included.
    pub names: u64,
    /// Objects, drafts and retired ones included.
    pub objects: u64,
    /// Drafts.
    pub drafts: u64,
    /// Clients.
    pub clients: u64,
    /// Gets that wait for objects.
    pub waits: u64,
    /// Creates that wait for room.
    pub queued: u64,
    /// Watches.
    pub watches: u64,
    /// Segments with live objects.
    pub segments: u64,
    /// Containers on their way out.
    pub retiring: u64,
    /// Pooled containers.
    pub pooled: u64,
    /// Those of them that are prepared.
    pub pooled_ready: u64,
    /// Objects that may be dropped for room now.
    pub droppable: u64,
    /// Objects that clients hold, or gets that have found them and wait for others.
    pub held: u64,
    /// What those are charged, each once.
    pub held_bytes: u64,
    /// Objects sealed so far.
    pub puts: u64,
    /// Their bytes.
    pub put_bytes: u64,
    /// Names asked for so far.
    pub gets: u64,
    /// Those of them that were there at once.
    pub hits: u64,
    /// The bytes that gets have handed out so far; not those of tiny objects that clients have
    /// found by the index, of which no store hears.
    pub get_bytes: u64,
    /// Objects deleted so far.
    pub deletes: u64,
    /// Objects dropped for room so far.
    pub evictions: u64,
    /// Requests whose time ran out so far.
    pub expirations: u64,
    /// Bytes moved so far to empty segments.
    pub moved_bytes: u64,
}

impl Room {
    /// The room in numbers.
    #[must_use]
    pub fn stat(&self) -> Stat {
        let count = |n: usize| n as u64;
        let counters = &self.counters;
        Stat {
            budget_bytes: self.budget.limit(),
            free_bytes: self.budget.free(),
            sealed_bytes: self.budget.part(Part::Sealed),
            draft_bytes: self.budget.part(Part::Drafts),
            retired_bytes: self.budget.part(Part::Retired),
            slack_bytes: self.budget.part(Part::Slack),
            pool_bytes: self.budget.part(Part::Pool),
            names: count(self.bound.len()),
            objects: count(self.objects.len()),
            drafts: self.clients.values().map(|books| count(books.drafts.len())).sum(),
            clients: count(self.clients.len()),
            waits: count(self.waits.len()),
            queued: count(self.queue.len()),
            watches: count(self.watches.len()),
            segments: count(self.segments.map.len()),
            retiring: count(self.retiring_count()),
            pooled: count(self.pool.len()),
            pooled_ready: count(self.pool.ready()),
            droppable: count(self.idle.droppable()),
            held: counters.held,
            held_bytes: counters.held_bytes,
            puts: counters.puts,
            put_bytes: counters.put_bytes,
            gets: counters.gets,
            hits: counters.hits,
            get_bytes: counters.get_bytes,
            deletes: counters.deletes,
            evictions: counters.evictions,
            expirations: counters.expirations,
            moved_bytes: counters.moved_bytes,
        }
    }
}
