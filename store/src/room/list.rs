//! What there is: objects in the order of their names, and who holds them.

use std::ops::Bound;

use super::Room;
use super::entry::{Entry, Phase};
use super::ids::ObjectId;
use super::refusal;
use crate::error::Result;
use crate::object::{Holder, Info, Name, State};

impl Room {
    /// At most `limit` objects whose names begin with `prefix` and come after `after`, in the order
    /// of their names, and whether there are more. One per name: the sealed one, else the
    /// oldest draft. Their holders are filled in when asked for.
    #[must_use]
    pub fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        holders: bool,
    ) -> (Vec<Info>, bool) {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let range = (start, Bound::Unbounded);
        let mut bound = self.bound.range::<[u8], _>(range).map(|(name, _)| name).peekable();
        let mut drafts = self.expected.range::<[u8], _>(range).map(|(name, _)| name).peekable();
        let mut infos = Vec::new();
        loop {
            // The two maps are merged; a name in both comes once.
            let name = match (bound.peek().copied(), drafts.peek().copied()) {
                (Some(left), Some(right)) => left.min(right),
                (Some(name), None) | (None, Some(name)) => name,
                (None, None) => return (infos, false),
            };
            bound.next_if_eq(&name);
            drafts.next_if_eq(&name);
            if !name.as_bytes().starts_with(prefix) {
                return (infos, false);
            }
            let Some((object, entry)) = self.shown(name) else {
                continue;
            };
            if infos.len() >= limit {
                return (infos, true);
            }
            infos.push(self.describe(object, entry, holders));
        }
    }

    /// The object of this name: the sealed one, else the oldest draft.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn info(&self, name: &Name, holders: bool) -> Result<Info> {
        let shown = self.shown(name).ok_or_else(|| refusal::absent(name, false, None))?;
        Ok(self.describe(shown.0, shown.1, holders))
    }

    /// At most `limit` objects that have lost their names and are still held, oldest first.
    #[must_use]
    pub fn retired(&self, limit: usize, holders: bool) -> Vec<Info> {
        let entries = self.objects.iter().map(|(object, entry)| (*object, entry));
        let mut retired: Vec<_> =
            entries.filter(|(_, entry)| entry.phase == Phase::Retired).collect();
        retired.sort_unstable_by_key(|(object, _)| *object);
        retired.truncate(limit);
        retired.into_iter().map(|(id, entry)| self.describe(id, entry, holders)).collect()
    }

    fn shown(&self, name: &Name) -> Option<(ObjectId, &Entry)> {
        let bound = self.bound.get(name).copied();
        let object = bound.or_else(|| self.expected.get(name)?.drafts.first().copied())?;
        Some((object, self.objects.get(&object)?))
    }

    pub(super) fn describe(&self, object: ObjectId, entry: &Entry, holders: bool) -> Info {
        let state = match entry.phase {
            Phase::Draft | Phase::Sealing | Phase::Orphan => State::Draft,
            Phase::Sealed => State::Sealed,
            Phase::Retired => State::Retired,
        };
        Info {
            name: entry.name.clone(),
            kind: entry.kind,
            state,
            bytes: entry.bytes,
            charged_bytes: entry.charge,
            rows: entry.rows,
            batches: entry.batches,
            created_ms: entry.created_ms,
            sealed_ms: entry.sealed_ms,
            droppable: entry.droppable,
            metadata: entry.metadata.clone(),
            holders: if holders { self.holders(object, state) } else { Vec::new() },
        }
    }

    fn holders(&self, object: ObjectId, state: State) -> Vec<Holder> {
        let writer = state == State::Draft;
        let holds = self.clients.values().filter_map(|books| {
            let writes = writer && books.drafts.contains(&object);
            let holds = if writes { Some(1) } else { books.holds.get(&object).copied() };
            Some(Holder { peer: books.peer.clone(), holds: holds?, writer: writes })
        });
        holds.collect()
    }
}
