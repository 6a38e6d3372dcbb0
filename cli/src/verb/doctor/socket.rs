//! The socket: may only its owner reach it, and does a store answer?

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;

use super::check::Check;
use crate::args::socket_of;
use crate::error::Error;
use crate::units::human_bytes;

/// What a socket's address can hold, in bytes.
const PATH_BYTES: usize = 107;

pub(super) fn checks(url: &str, planned: Option<u64>) -> Vec<Check> {
    let path = socket_of(url);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    vec![rights(path, folder.unwrap_or(Path::new("."))), store(url, path, planned)]
}

fn rights(path: &Path, folder: &Path) -> Check {
    const NAME: &str = "socket rights";
    let length = path.as_os_str().as_bytes().len();
    if length > PATH_BYTES {
        let found = format!("the socket's path has {length} bytes; {PATH_BYTES} is the most");
        return Check::fail(NAME, found, "export SHEAF_STORE=unix:/tmp/sheaf-$UID/store.sock");
    }
    let facts = match folder.metadata() {
        Ok(facts) => facts,
        Err(_) => {
            let found = format!("{} is not there yet; serve makes it, mode 700", folder.display());
            return Check::ok(NAME, found);
        }
    };
    if let Some(check) = folder_rights(NAME, folder, &facts) {
        return check;
    }
    match path.metadata() {
        Ok(socket) if socket.mode() & 0o077 != 0 => Check::warn(
            NAME,
            format!("{} has mode {:o}: others may use it", path.display(), socket.mode() & 0o777),
            format!("chmod 600 {}", path.display()),
        ),
        _ => {
            let mode = facts.mode() & 0o7777;
            Check::ok(NAME, format!("{} is yours or root's, mode {mode:o}", folder.display()))
        }
    }
}

/// Who may write in the folder may put a socket of his own in place of the store's.
fn folder_rights(name: &'static str, folder: &Path, facts: &Metadata) -> Option<Check> {
    let uid = rustix::process::geteuid().as_raw();
    let shown = folder.display();
    let sticky = facts.mode() & 0o1000 != 0;
    if facts.uid() != uid && facts.uid() != 0 {
        let found = format!("{shown} belongs to uid {}, and you are {uid}", facts.uid());
        return Some(Check::fail(name, found, format!("sudo chown {uid} {shown}")));
    }
    if facts.mode() & 0o022 != 0 && !sticky {
        let found = format!("{shown} has mode {:o}: others may write in it", facts.mode() & 0o7777);
        return Some(Check::fail(name, found, format!("chmod 700 {shown}")));
    }
    None
}

fn store(url: &str, path: &Path, planned: Option<u64>) -> Check {
    const NAME: &str = "store";
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let size = planned.map_or(String::new(), |bytes| format!(" --memory {bytes}"));
    let serve = format!("sheaf serve --socket {}{size}", path.display());
    match sheaf_store::connect(url).and_then(|client| client.stat()) {
        Ok(stat) => {
            let (all, free) = (stat.get("budget_bytes"), stat.get("free_bytes"));
            let free = format!("{} of {} free", human_bytes(free), human_bytes(all));
            let found = format!("sheaf {} answers, pid {}, {free}", stat.version, stat.store_pid);
            if stat.version == OURS {
                return Check::ok(NAME, found);
            }
            let found = format!("{found}; this program is {OURS}");
            Check::warn(NAME, found, format!("kill {} && {serve}", stat.store_pid))
        }
        // That no store runs is a state, not a fault: the machine may be fit for one.
        Err(error) if nobody_listens(&error) => {
            Check::warn(NAME, format!("none runs at {url}"), serve)
        }
        Err(error) => Check::fail(NAME, Error::from(error).line(), serve),
    }
}

/// Whether no store runs there, rather than one that does not answer.
fn nobody_listens(error: &sheaf_store::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(&(Errno::NOENT | Errno::CONNREFUSED)))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::check::State;
    use super::*;

    #[test]
    fn a_folder_that_others_may_write_in_fails_with_its_fix() {
        let folder = tempfile::tempdir().unwrap();
        set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();

        let check = rights(&folder.path().join("s.sock"), folder.path());

        assert_eq!(check.state, State::Fail);
        assert_eq!(check.fix, Some(format!("chmod 700 {}", folder.path().display())));
    }

    #[test]
    fn a_private_or_a_missing_folder_is_well() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("later");

        assert_eq!(rights(&folder.path().join("s.sock"), folder.path()).state, State::Ok);
        assert_eq!(rights(&missing.join("s.sock"), &missing).state, State::Ok);
    }

    #[test]
    fn a_path_that_no_socket_can_have_fails() {
        let long = format!("/tmp/{}/s.sock", "x".repeat(120));

        assert_eq!(rights(Path::new(&long), Path::new("/tmp")).state, State::Fail);
    }
}
