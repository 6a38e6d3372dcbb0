//! A draft that grows with what is written to it: for tables whose length is not known yet.

use super::Client;
use super::draft::DraftCore;
use crate::error::{Error, Kind, Result};
use crate::object::{Info, ObjectKind, PutOptions};

/// The least by which a draft grows, in bytes.
const LEAST_GROWTH: u64 = 1 << 20;

/// The most that a draft asks for ahead of need, in bytes: what a large store keeps prepared.
const MOST_GROWTH: u64 = 64 << 20;

/// Who writes so much at a time writes a lot, in bytes.
const MUCH: u64 = 256 << 10;

/// The bytes of an object in the making, written from front to back. Aborts when dropped unsealed.
///
/// What a table's bytes must look like is not its matter: the store checks them at seal.
pub struct GrowingDraft {
    core: DraftCore,
    written: usize,
}

impl Client {
    /// An object whose bytes are written as they come.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn grow(
        &self,
        name: impl AsRef<[u8]>,
        kind: ObjectKind,
        options: &PutOptions,
    ) -> Result<GrowingDraft> {
        let core = DraftCore::create(self, name, kind, 0, options)?;
        Ok(GrowingDraft { core, written: 0 })
    }
}

impl GrowingDraft {
    /// The bytes written so far.
    #[must_use]
    pub fn written(&self) -> usize {
        self.written
    }

    /// Whether `bytes` more have room already: then [`GrowingDraft::extend`] asks nobody for it.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.written + bytes <= self.core.len()
    }

    /// Makes room for `bytes` more, all at once: so that what has none is told of before it is
    /// written. What is not used goes back at the seal.
    ///
    /// # Errors
    /// [`Kind::Full`] when the store has no room for them; the draft is as it was then.
    pub fn reserve(&mut self, bytes: u64) -> Result<()> {
        let end = self.written as u64 + bytes;
        if end <= self.core.len() as u64 {
            return Ok(());
        }
        self.core.reserve(end)
    }

    /// Counts `bytes` more as written, and returns them to be written: shared memory, where the
    /// draft is large. `ahead` says that more follows, so that room for it may be asked for.
    ///
    /// # Errors
    /// [`Kind::Full`] when the store has no room for them; the draft is as it was then.
    pub fn extend(&mut self, bytes: usize, ahead: bool) -> Result<&mut [u8]> {
        let (start, end) = (self.written, self.written + bytes);
        self.make_room(end as u64, ahead)?;
        self.written = end;
        if ahead {
            self.look_ahead(bytes as u64)?;
        }
        Ok(&mut self.core.bytes_mut()[start..end])
    }

    /// The last bytes that were counted as written.
    ///
    /// # Panics
    /// When fewer were.
    pub fn last_mut(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.core.bytes_mut()[self.written - bytes..self.written]
    }

    /// Counts the last `bytes` as not written.
    ///
    /// # Panics
    /// When fewer were.
    pub fn take_back(&mut self, bytes: usize) {
        assert!(bytes <= self.written, "{bytes} bytes of {}", self.written);
        self.written -= bytes;
    }

    /// Seals what was written.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is no table and should be one; [`Kind::Exists`] when another
    /// object took the name; [`Kind::Unavailable`] when the store is gone. The draft ends then.
    pub fn seal(self) -> Result<Info> {
        self.core.seal(self.written)
    }

    /// Ends the draft: nobody gets it, and who waits for it learns so at once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone.
    pub fn abort(self) -> Result<()> {
        self.core.abort()
    }

    /// Makes room for `end` bytes: more than that while there is plenty, so that a long stream
    /// asks seldom.
    fn make_room(&mut self, end: u64, ahead: bool) -> Result<()> {
        let room = self.core.len() as u64;
        if end <= room {
            return Ok(());
        }
        let small = self.core.link().welcome.small_bytes;
        if ahead && end > small {
            let much = end - self.written as u64 >= MUCH;
            let generous = if much {
                end.next_multiple_of(MOST_GROWTH)
            } else {
                end + room.clamp(LEAST_GROWTH, MOST_GROWTH)
            };
            match self.core.reserve(generous) {
                Err(error) if error.kind() == Kind::Full => {}
                outcome => return outcome,
            }
        }
        self.core.reserve(end).map_err(|error| match error.kind() {
            Kind::Full => Error::new(
                Kind::Full,
                format!("{error} ({} bytes are written already)", self.written),
            ),
            _ => error,
        })
    }

    /// When the room gets short, has the store prepare more while this is filled.
    fn look_ahead(&mut self, bytes: u64) -> Result<()> {
        let room = self.core.len() as u64;
        let is_short = room - (self.written as u64) < MOST_GROWTH / 2;
        if room >= MOST_GROWTH && bytes >= MUCH && is_short {
            self.core.reserve_ahead(room + MOST_GROWTH)?;
        }
        Ok(())
    }
}
