//! A memfd that the store owns.
//!
//! The descriptor that `memfd_create` returned never leaves the store: it could write and resize,
//! and the lease oracle cannot see it. Others get fresh descriptions, opened through
//! `/proc/self/fd`: read-write for the one writer, read-only for readers. Close them here as soon
//! as they are sent, or the store counts itself as a holder.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags, fchmod, fstat, ftruncate, memfd_create};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result, human_bytes};

use super::{Outcome, Probe, lease, seals};

/// The kernel refuses longer names; this many bytes tell containers apart in `/proc`.
const LABEL_BYTES: usize = 200;

/// A memfd that the store owns, and its length.
#[derive(Debug)]
pub struct Memfd {
    /// Never sent, never duplicated: see the module.
    original: OwnedFd,
    bytes: u64,
    /// The lock keeps our own `open` out of the instant in which the lease is held.
    own: Mutex<Own>,
}

/// The store's own further descriptions of a container.
#[derive(Debug, Default)]
struct Own {
    /// The lease oracle's, opened before anyone else's.
    keeper: Option<OwnedFd>,
    /// One that the next reader gets, so that it need not wait for an `open`.
    spare: Option<OwnedFd>,
}

impl Memfd {
    /// Creates a container of `bytes` bytes, all zero and not yet backed by memory. `label` shows
    /// in `/proc`; it need not be unique.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for 0 bytes or more than a file can have; [`Kind::Full`] if the
    /// process has no descriptor left.
    pub fn create(label: &str, bytes: u64) -> Result<Self> {
        Self::create_with(label, bytes, Probe::get().noexec_seal)
    }

    /// As [`Memfd::create`], for the probe itself, which finds out about `noexec`.
    pub(super) fn create_with(label: &str, bytes: u64, noexec: bool) -> Result<Self> {
        let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        flags.set(MemfdFlags::NOEXEC_SEAL, noexec);
        let original = memfd_create(shown(label), flags)
            .map_err(|errno| open_error("creating a container", errno))?;
        // Created with mode 0666 or 0777: without this another user could open it through /proc.
        fchmod(&original, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::os("restricting a container", errno))?;
        set_bytes(&original, bytes)?;
        Ok(Self { original, bytes, own: Mutex::default() })
    }

    /// The length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The memory behind it, in bytes: a huge page counts whole, so that up to 1 MiB more than
    /// the length may be there. A draft whose writer punched holes has less.
    ///
    /// # Errors
    /// [`Kind::Internal`] if the kernel cannot say.
    pub fn resident_bytes(&self) -> Result<u64> {
        let stat = fstat(&self.original)
            .map_err(|errno| Error::os("asking for a container's memory", errno))?;
        Ok(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512))
    }

    /// Changes the length. Memory past the new end is given back at once; a huge page across the
    /// end is split, which takes about 0.1 ms. New bytes are zero and not yet backed by memory: see
    /// [`super::prepare()`].
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a length that a file cannot have, [`Kind::Denied`] once sealed.
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        set_bytes(&self.original, bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    /// A read-write description for the one writer. Nobody without privilege can make another.
    ///
    /// # Errors
    /// [`Kind::Denied`] the second time, unless the store runs as root; [`Kind::Full`] if the
    /// process has no descriptor left.
    pub fn reopen_write(&self) -> Result<OwnedFd> {
        let writer = self.opened(OFlags::RDWR)?;
        fchmod(&self.original, Mode::RUSR)
            .map_err(|errno| Error::os("restricting a container to reading", errno))?;
        Ok(writer)
    }

    /// A read-only description for a reader.
    ///
    /// # Errors
    /// [`Kind::Full`] if the process has no descriptor left.
    pub fn reopen_read(&self) -> Result<OwnedFd> {
        let spare = self.own().spare.take();
        spare.map_or_else(|| self.opened(OFlags::RDONLY), Ok)
    }

    /// Opens the next reader's description now: an `open` takes as long as the rest of a get.
    /// Failure is no matter, since the reader's own turn will tell.
    pub fn open_ahead(&self) {
        let ahead = self.opened(OFlags::RDONLY).ok();
        self.own().spare = ahead;
    }

    /// Closes what [`Memfd::open_ahead`] opened, if nobody has it.
    pub fn close_ahead(&self) {
        self.own().spare = None;
    }

    /// Seals the container: nobody, the store included, can write or resize it any more. May take
    /// 0.2 s if a hostile writer pins pages, so call it where that stalls nobody. A container that
    /// stays [`Outcome::Busy`] can only be copied into a fresh one, or given up.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if the writer changed the length or sealed it in a way of its own.
    pub fn seal(&self) -> Result<Outcome> {
        let outcome = seals::seal_object(&self.original)?;
        if outcome == Outcome::Sealed {
            // Checked after the fact: until now the writer's descriptor could resize it.
            let now = seals::file_bytes(&self.original)?;
            if now != self.bytes {
                let (had, has) = (human_bytes(self.bytes), human_bytes(now));
                let message = format!("the writer resized its memory from {had} to {has}");
                return Err(Error::new(Kind::Invalid, message));
            }
        }
        Ok(outcome)
    }

    /// Whether anyone holds a description of this container, in a descriptor, a mapping or a
    /// message on its way; a mapping inside this process counts too. `None` if leases do not work
    /// here. See `lease` for what it cannot see.
    #[must_use]
    pub fn is_held(&self) -> Option<bool> {
        if !Probe::get().leases {
            return None;
        }
        self.asks_held()
    }

    /// As [`Memfd::is_held`], for the probe itself.
    pub(super) fn asks_held(&self) -> Option<bool> {
        let mut own = self.own();
        own.spare = None;
        if own.keeper.is_none() {
            own.keeper = lease::keeper(self.original.as_fd()).ok();
        }
        lease::is_held(own.keeper.as_ref()?)
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        // A descriptor is whole or absent, whatever panicked beside it.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, access: OFlags) -> Result<OwnedFd> {
        let mut own = self.own();
        if own.keeper.is_none() {
            own.keeper = Some(lease::keeper(self.original.as_fd())?);
        }
        reopen(self.original.as_fd(), access)
    }
}

impl AsFd for Memfd {
    /// The original description, for use inside the store: never send it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.original.as_fd()
    }
}

/// A fresh description of the same file. `O_NONBLOCK` makes a lease that someone else holds an
/// error instead of a wait; it means nothing to the file itself.
pub(super) fn reopen(fd: BorrowedFd<'_>, access: OFlags) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::open(path, access | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(|errno| open_error("opening a container through /proc/self/fd", errno))
}

fn open_error(what: &str, errno: Errno) -> Error {
    let limit = match errno {
        Errno::MFILE => "this process has no file descriptor left: raise RLIMIT_NOFILE",
        Errno::NFILE => "this machine has no file descriptor left: raise fs.file-max",
        _ => return Error::os(what, errno),
    };
    Error::new(Kind::Full, format!("{what}: {limit}")).because(errno)
}

fn set_bytes(fd: &OwnedFd, bytes: u64) -> Result<()> {
    if bytes == 0 {
        return Err(Error::new(Kind::Invalid, "a container needs at least one byte"));
    }
    ftruncate(fd, bytes).map_err(|errno| match errno {
        Errno::INVAL | Errno::FBIG => {
            let asked = human_bytes(bytes);
            Error::new(Kind::Invalid, format!("{asked} are more than a file can have"))
        }
        _ => Error::os(format_args!("resizing a container to {}", human_bytes(bytes)), errno),
    })
}

/// The label as the kernel takes it: short, and without a NUL.
fn shown(label: &str) -> String {
    let mut end = label.len().min(LABEL_BYTES);
    while !label.is_char_boundary(end) {
        end -= 1;
    }
    label[..end].replace('\0', "?")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MIB, prepared, quiet, shared_memory_bytes};
    use super::*;

    #[test]
    fn a_length_that_no_file_can_have_is_invalid() {
        for bytes in [0, u64::MAX, 1 << 63] {
            assert_eq!(Memfd::create("odd", bytes).unwrap_err().kind(), Kind::Invalid);
        }
    }

    #[test]
    fn a_label_may_be_anything() {
        for label in ["", "a\0b", &"é".repeat(300)] {
            Memfd::create(label, 1).unwrap();
        }
    }

    #[test]
    fn running_out_of_descriptors_names_the_limit() {
        let error = open_error("opening", Errno::MFILE);

        assert_eq!(error.kind(), Kind::Full);
        assert!(error.message().contains("RLIMIT_NOFILE"), "{error}");
    }

    #[test]
    fn what_a_container_is_cut_by_is_given_back_at_once() {
        let mut memfd = prepared(8 * MIB);

        memfd.resize(3 * MIB + 5).unwrap();

        assert_eq!(memfd.bytes(), 3 * MIB + 5);
        let page = rustix::param::page_size() as u64;
        assert!(memfd.resident_bytes().unwrap() <= 3 * MIB + page);
    }

    #[test]
    fn memory_returns_with_the_last_holder() {
        let _quiet = quiet();
        let memfd = prepared(256 * MIB);
        let holder = memfd.reopen_read().unwrap();
        drop(memfd);
        let held = shared_memory_bytes();

        drop(holder);

        // Other tests come and go meanwhile, so only the order of magnitude counts.
        assert!(shared_memory_bytes() + 128 * MIB < held);
    }

    #[test]
    fn a_description_opened_ahead_holds_nothing_until_a_reader_has_it() {
        let _quiet = quiet();
        let memfd = prepared(4096);

        memfd.open_ahead();
        assert_ne!(memfd.is_held(), Some(true));
        memfd.open_ahead();
        let reader = memfd.reopen_read().unwrap();
        assert_ne!(memfd.is_held(), Some(false));

        drop(reader);
        assert_ne!(memfd.is_held(), Some(true));
    }

    #[test]
    fn the_mode_keeps_others_from_writing_once_the_writer_is_in() {
        let memfd = Memfd::create("mode", 1).unwrap();
        assert_eq!(fstat(&memfd).unwrap().st_mode & 0o777, 0o600);

        let _writer = memfd.reopen_write().unwrap();

        assert_eq!(fstat(&memfd).unwrap().st_mode & 0o777, 0o400);
    }

    #[test]
    fn a_writer_that_resized_its_draft_cannot_have_it_sealed() {
        let memfd = prepared(2 * MIB);
        let writer = memfd.reopen_write().unwrap();
        ftruncate(&writer, 4096).unwrap();

        let error = memfd.seal().unwrap_err();

        assert_eq!(error.kind(), Kind::Invalid);
    }

    #[test]
    fn a_writer_that_sealed_its_draft_its_own_way_is_told() {
        let memfd = prepared(1);
        let writer = memfd.reopen_write().unwrap();
        rustix::fs::fcntl_add_seals(&writer, rustix::fs::SealFlags::SEAL).unwrap();

        assert_eq!(memfd.seal().unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn sealing_twice_is_sealing_once() {
        let memfd = prepared(1);

        assert_eq!(memfd.seal().unwrap(), Outcome::Sealed);
        assert_eq!(memfd.seal().unwrap(), Outcome::Sealed);
    }
}
