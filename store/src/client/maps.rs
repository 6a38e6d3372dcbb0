//! What this process has mapped: each container once.
//!
//! A large object's mapping lives as long as something in it is used. A segment's is kept while
//! the store uses the segment, since the next small object likely lies in it.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::object::{Object, Opened};
use crate::error::{Error, Kind, Result};
use crate::memory::{Expect, ReadMap};

/// The most idle segments that stay mapped.
const IDLE_SEGMENTS: usize = 16;

struct Slot {
    map: Weak<ReadMap>,
    kept: Option<Arc<ReadMap>>,
    /// The object that a large container is.
    object: Weak<Opened>,
}

/// The mappings of one connection, by container.
#[derive(Default)]
pub(super) struct Maps {
    slots: Mutex<HashMap<u64, Slot>>,
    keeps_descriptors: bool,
}

impl Maps {
    /// No mappings yet; of each that is made the descriptor is kept too, if so.
    pub(super) fn new(keeps_descriptors: bool) -> Self {
        Self { slots: Mutex::default(), keeps_descriptors }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<u64, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container's mapping, if it is mapped.
    pub(super) fn get(&self, container: u64) -> Option<Arc<ReadMap>> {
        self.slots().get(&container)?.map.upgrade()
    }

    /// The object that a large container is, if somebody has it.
    pub(super) fn object(&self, container: u64) -> Option<Object> {
        self.slots().get(&container)?.object.upgrade().map(Object::again)
    }

    /// Notes which object a large container is.
    pub(super) fn note_object(&self, container: u64, object: &Object) {
        if let Some(slot) = self.slots().get_mut(&container) {
            slot.object = object.downgrade();
        }
    }

    /// Maps a container that came with a descriptor; one that is mapped already stays so.
    pub(super) fn insert(
        &self,
        container: u64,
        descriptor: OwnedFd,
        segment: bool,
    ) -> Result<Arc<ReadMap>> {
        let mut slots = self.slots();
        if let Some(map) = slots.get(&container).and_then(|slot| slot.map.upgrade()) {
            return Ok(map);
        }
        let len = rustix::fs::fstat(&descriptor)
            .map_err(|errno| Error::os("asking for a container's size", errno))?
            .st_size;
        let len = usize::try_from(len)
            .map_err(|_| Error::new(Kind::Internal, "a container of negative size"))?;
        let expect = if segment { Expect::Segment } else { Expect::Sealed };
        let map = ReadMap::new(descriptor.as_fd(), len, expect)?;
        let map = if self.keeps_descriptors { map.with_file(descriptor) } else { map };
        let map = Arc::new(map);
        if segment && slots.values().filter(|slot| slot.kept.is_some()).count() >= IDLE_SEGMENTS {
            slots.values_mut().for_each(|slot| slot.kept = None);
        }
        let kept = segment.then(|| map.clone());
        slots.insert(container, Slot { map: Arc::downgrade(&map), kept, object: Weak::new() });
        Ok(map)
    }

    /// The store has retired these: they are unmapped as soon as nothing in them is used.
    pub(super) fn retire(&self, containers: &[u64]) {
        let mut slots = self.slots();
        for container in containers {
            if let Some(slot) = slots.get_mut(container) {
                slot.kept = None;
            }
        }
    }

    /// Lets go of every segment that is kept for its next use; those that nothing uses are
    /// forgotten and returned.
    pub(super) fn let_go(&self) -> Vec<u64> {
        let mut slots = self.slots();
        slots.values_mut().for_each(|slot| slot.kept = None);
        let unused: Vec<u64> = slots
            .iter()
            .filter(|(_, slot)| slot.map.strong_count() == 0)
            .map(|(container, _)| *container)
            .collect();
        unused.iter().for_each(|container| drop(slots.remove(container)));
        unused
    }

    /// Forgets a container that nothing uses any more; whether it did.
    pub(super) fn forget_unused(&self, container: u64) -> bool {
        let mut slots = self.slots();
        let unused = slots.get(&container).is_some_and(|slot| slot.map.strong_count() == 0);
        if unused {
            slots.remove(&container);
        }
        unused
    }
}
