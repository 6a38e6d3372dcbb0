//! The socket: one daemon on a path, found by a lock that dies with its holder. Whatever else the
//! daemon serves on a Unix socket is bound in the same way.
//!
//! The lock file lies beside the socket. Who holds its `flock` owns the path: a second daemon is
//! told so, and a dead one's socket is replaced without a race. The file itself stays.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::{Error, Kind, Result};

/// A bound socket and the claim to its path.
pub struct Listener {
    /// The socket, not blocking.
    pub socket: UnixListener,
    /// What makes the path ours.
    pub claim: Claim,
}

/// The lock that makes a path ours. The socket there is removed on drop, at the latest.
pub struct Claim {
    path: PathBuf,
    lock: File,
    /// The process that claimed it. A child that it forks is none.
    pid: u32,
}

impl Listener {
    /// Binds `path`, mode 0600, in a folder that is made (0700) when missing. Errors speak of
    /// `option`, with which the path is chosen.
    ///
    /// # Errors
    /// [`Kind::Exists`] when another daemon lives on it, [`Kind::Denied`] for a folder that others
    /// may write to.
    pub fn bind(path: &Path, option: &str) -> Result<Self> {
        let fail = |what: &str, error: std::io::Error| {
            Error::new(Kind::Unavailable, format!("{what} {}: {error}", path.display()))
                .because(error)
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| fail("cannot make the folder of", error))?;
            check_owner(folder, option)?;
        }
        let lock = lock(path, option)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(fail("cannot replace the dead socket", error));
            }
            _ => {}
        }
        let socket = UnixListener::bind(path).map_err(|error| fail("cannot bind", error))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|error| fail("cannot restrict", error))?;
        socket.set_nonblocking(true).map_err(|error| fail("cannot listen on", error))?;
        Ok(Self { socket, claim: Claim { path: path.to_owned(), lock, pid: std::process::id() } })
    }
}

impl Claim {
    /// Removes the socket, so that nobody finds it any more. The path stays ours: no other daemon
    /// starts there until the claim is dropped.
    pub(super) fn unlink(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if std::process::id() != self.pid {
            return;
        }
        self.unlink();
        // In so many words: a child that was forked and has not yet become another program has the
        // file open too, and the lock with it.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

/// Refuses a folder in which somebody else could put a socket of his own in our place.
fn check_owner(folder: &Path, option: &str) -> Result<()> {
    let Ok(facts) = fs::metadata(folder) else { return Ok(()) };
    let uid = rustix::process::geteuid().as_raw();
    let sticky = facts.mode() & 0o1000 != 0;
    let foreign = facts.uid() != uid && facts.uid() != 0;
    let open = facts.mode() & 0o022 != 0 && !sticky;
    if foreign || open {
        return Err(Error::new(
            Kind::Denied,
            format!(
                "the socket's folder {} belongs to uid {} with mode {:o}, so that others could \
                 replace the socket: choose {option} in a folder of your own, or chmod 700 it",
                folder.display(),
                facts.uid(),
                facts.mode() & 0o7777
            ),
        ));
    }
    Ok(())
}

fn lock(path: &Path, option: &str) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(|error| {
            Error::new(Kind::Unavailable, format!("cannot open {}: {error}", lock_path.display()))
                .because(error)
        })?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let owner = fs::read_to_string(&lock_path).unwrap_or_default();
        return Err(Error::new(
            Kind::Exists,
            format!(
                "a store already serves {} (pid {}): stop it, or choose another {option}",
                path.display(),
                owner.trim()
            ),
        ));
    }
    // For people and the message above; the lock itself is what counts.
    let _ = file.set_len(0);
    let _ = writeln!(file, "{}", std::process::id());
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_on_a_live_socket_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sock");
        let _first = Listener::bind(&path, "--socket").unwrap();

        let error = Listener::bind(&path, "--socket").err().unwrap();

        assert_eq!(error.kind(), Kind::Exists);
        assert!(error.message().contains(&std::process::id().to_string()));
    }

    #[test]
    fn a_dead_daemons_socket_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sock");
        drop(UnixListener::bind(&path).unwrap()); // Leaves the file behind, as kill -9 does.

        let listener = Listener::bind(&path, "--socket").unwrap();

        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_forked_childs_copy_of_the_lock_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sock");
        let listener = Listener::bind(&path, "--socket").unwrap();
        let _copy = listener.claim.lock.try_clone().unwrap();

        drop(listener);

        assert!(Listener::bind(&path, "--socket").is_ok());
    }

    #[test]
    fn a_path_stays_claimed_after_its_socket_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sock");
        let Listener { socket, claim } = Listener::bind(&path, "--socket").unwrap();

        claim.unlink();
        drop(socket);

        assert!(!path.exists());
        assert_eq!(Listener::bind(&path, "--socket").err().unwrap().kind(), Kind::Exists);
        drop(claim);
        assert!(Listener::bind(&path, "--socket").is_ok());
    }
}
