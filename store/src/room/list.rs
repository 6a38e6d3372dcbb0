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
    /// oldest draft. With `holders` who holds them is filled in, and the retired objects of each
    /// name follow it, oldest first.
    ///
    /// A page ends with the last object of a name, so that the next one goes on behind that name;
    /// of a name with more than `limit` objects, which is at least 1, the youngest are left out.
    #[must_use]
    pub fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        holders: bool,
    ) -> (Vec<Info>, bool) {
        let mut infos = Vec::new();
        for name in self.names(prefix, after, holders) {
            let group = self.named(name, limit, holders);
            if !infos.is_empty() && infos.len() + group.len() > limit {
                return (infos, true);
            }
            infos.extend(group);
        }
        (infos, false)
    }

    /// Every name with this prefix after `after` that is bound, written or waited for, and with
    /// `retired` also those of retired objects: in order, each once.
    pub(super) fn names<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        retired: bool,
    ) -> impl Iterator<Item = &'a Name> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let range = (start, Bound::Unbounded);
        let bound = self.bound.range::<[u8], _>(range).map(|(name, _)| name);
        let drafts = self.expected.range::<[u8], _>(range).map(|(name, _)| name);
        let lost = self.retired.range::<[u8], _>(range).map(|(name, _)| name);
        merge(merge(bound, drafts), lost.filter(move |_| retired))
            .take_while(move |name| name.as_bytes().starts_with(prefix))
    }

    /// What there is of one name, at most `limit` objects.
    fn named(&self, name: &Name, limit: usize, holders: bool) -> Vec<Info> {
        let retired = self.retired.get(name).filter(|_| holders);
        let retired = retired.into_iter().flatten();
        let retired = retired.filter_map(|id| Some((*id, self.objects.get(id)?)));
        let all = self.shown(name).into_iter().chain(retired).take(limit);
        all.map(|(id, entry)| self.describe(id, entry, holders)).collect()
    }

    /// The object of this name: the sealed one, else the oldest draft.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn info(&self, name: &Name, holders: bool) -> Result<Info> {
        let shown = self.shown(name).ok_or_else(|| refusal::absent(name, false, None))?;
        Ok(self.describe(shown.0, shown.1, holders))
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
            id: object.0,
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

/// The names of both, which are in order, in order and each once.
fn merge<'a>(
    left: impl Iterator<Item = &'a Name>,
    right: impl Iterator<Item = &'a Name>,
) -> impl Iterator<Item = &'a Name> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || {
        let name = match (left.peek().copied(), right.peek().copied()) {
            (Some(first), Some(second)) => first.min(second),
            (first, second) => first.or(second)?,
        };
        left.next_if_eq(&name);
        right.next_if_eq(&name);
        Some(name)
    })
}
