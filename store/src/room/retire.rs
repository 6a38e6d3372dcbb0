//! Containers on their way out: nobody binds them, but the kernel has not given them back.
//!
//! ```text
//! pinned ── last hold released ─▶ asked ── reclaimed ─▶ gone
//!                                   └─ still held ─▶ mapped ── reclaimed ─▶ gone
//! ```
//!
//! What is asked for and not known to be mapped is *arriving*: a create may count on it for a
//! moment.

use super::Room;
use super::budget::Part;
use super::effect::Effect;
use super::ids::{ContainerId, IdMap};

/// How far out a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The books still hold an object in it, this many times.
    Pinned(u64),
    /// The shell was told to close it.
    Asked,
    /// The kernel says that someone maps it.
    Mapped,
}

/// The containers on their way out.
#[derive(Debug, Default)]
pub(super) struct Retiring {
    map: IdMap<ContainerId, (Way, u64)>,
    /// Bytes that were asked for and are not known to be mapped.
    pub(super) arriving: u64,
}

impl Room {
    /// Puts a container on its way out; its bytes are in the retired part already.
    pub(super) fn retire(&mut self, container: ContainerId, bytes: u64, pins: u64) {
        let way = if pins == 0 { Way::Asked } else { Way::Pinned(pins) };
        self.retiring.map.insert(container, (way, bytes));
        if pins == 0 {
            self.retiring.arriving += bytes;
            self.effects.push(Effect::Retire { container });
        }
    }

    /// The books hold one object fewer in a container that is not bound.
    pub(super) fn unpin(&mut self, container: ContainerId) {
        if let Some(segment) = self.segments.map.get_mut(&container) {
            segment.pins = segment.pins.saturating_sub(1);
            return;
        }
        let Some((way, bytes)) = self.retiring.map.get_mut(&container) else {
            return;
        };
        match way {
            Way::Pinned(pins) if *pins > 1 => *pins -= 1,
            Way::Pinned(_) => {
                *way = Way::Asked;
                self.retiring.arriving += *bytes;
                self.effects.push(Effect::Retire { container });
            }
            Way::Asked | Way::Mapped => {}
        }
    }

    /// The kernel has given a retired container's memory back. Any other container is ignored.
    pub fn reclaimed(&mut self, container: ContainerId) {
        match self.retiring.map.get(&container) {
            Some(&(Way::Asked, bytes)) => self.retiring.arriving -= bytes,
            Some((Way::Mapped, _)) => {}
            Some((Way::Pinned(_), _)) | None => return,
        }
        if let Some((_, bytes)) = self.retiring.map.remove(&container) {
            self.budget.shift(Part::Retired, Part::Free, bytes);
        }
        self.pump();
    }

    /// Someone still maps a retired container: it stays retired until
    /// [`Room::reclaimed`], and nobody counts on it meanwhile.
    pub fn still_held(&mut self, container: ContainerId) {
        if let Some((way @ Way::Asked, bytes)) = self.retiring.map.get_mut(&container) {
            *way = Way::Mapped;
            self.retiring.arriving -= *bytes;
            self.pump();
            self.disappoint();
            self.pump();
        }
    }

    /// How many containers are on their way out.
    pub(super) fn retiring_count(&self) -> usize {
        self.retiring.map.len()
    }
}
