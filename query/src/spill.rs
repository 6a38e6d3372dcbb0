//! The folder for what does not fit into memory: one of the engine's own, gone with it.
//!
//! An engine that was killed can't clean up. The next one that is given the same place does:
//! a folder is locked as long as its engine lives, and the kernel ends a dead process's locks.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use sheaf_store::{Error, Kind, Result};
use tempfile::TempDir;

const PREFIX: &str = "sheaf-spill-";

/// A folder of one engine's own.
#[derive(Debug)]
pub(crate) struct SpillFolder {
    folder: TempDir,
    _lock: File,
}

impl SpillFolder {
    /// Makes one in this place, after what dead engines left there is removed.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when there can be none.
    pub(crate) fn new(place: &Path) -> Result<Self> {
        sweep(place);
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place);
            let folder = folder.map_err(|error| unusable(place).because(error))?;
            let lock = locked(folder.path());
            // Another engine may have taken it for a dead one's, until it was locked.
            if let Some(lock) = lock.filter(|lock| is_at(lock, folder.path())) {
                return Ok(Self { folder, _lock: lock });
            }
            if folder.path().is_dir() {
                return Err(unusable(place));
            }
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

fn unusable(place: &Path) -> Error {
    let message = format!("{} can hold no temporary files: name another folder", place.display());
    Error::new(Kind::Invalid, message)
}

/// Removes the folders of engines that live no more. What can't be read or removed is somebody
/// else's.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    let is_spill = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    for entry in entries.flatten().filter(|entry| is_spill(&entry.file_name())) {
        let path = entry.path();
        let Some(_lock) = locked(&path).filter(|lock| is_at(lock, &path)) else { continue };
        match fs::remove_dir_all(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed a dead engine's spill"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "a spill is left"),
        }
    }
}

/// The folder, if nobody else has it.
fn locked(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(path, flags, Mode::empty()).ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(folder.into())
}

/// Whether this is still what is found there.
fn is_at(folder: &File, path: &Path) -> bool {
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let own = folder.metadata().map(place);
    matches!((own, path.symlink_metadata().map(place)), (Ok(own), Ok(found)) if own == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_engine_s_folder_is_removed_and_a_living_one_s_is_not() {
        let place = tempfile::tempdir().unwrap();
        let dead = place.path().join(format!("{PREFIX}dead"));
        fs::create_dir_all(dead.join("datafusion")).unwrap();
        fs::write(dead.join("datafusion/run"), b"rows").unwrap();
        let other = place.path().join("somebody-else");
        fs::create_dir(&other).unwrap();

        let living = SpillFolder::new(place.path()).unwrap();
        let second = SpillFolder::new(place.path()).unwrap();

        assert!(!dead.exists());
        assert!(other.exists() && living.path().is_dir() && second.path().is_dir());
        let path = living.path();
        drop(living);
        assert!(!path.exists() && second.path().is_dir());
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error() {
        let error = SpillFolder::new(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
