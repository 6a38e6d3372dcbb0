//! A file that is either written whole or not at all.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file that is being written. It takes its name when it is done; until then, and after a
/// failure, what had the name before still has it.
pub(crate) struct Target {
    /// As the user gave it.
    given: PathBuf,
    /// Where it lies: links are followed.
    path: PathBuf,
    out: Out,
}

enum Out {
    New(BufWriter<NamedTempFile>),
    /// A device or a fifo: it can't be replaced, only written to.
    Existing(BufWriter<File>),
}

impl Target {
    /// Starts writing what will be `path`.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Self::open(path).map_err(Error::of(path))
    }

    fn open(given: &Path) -> Result<Self> {
        const BUFFER_BYTES: usize = 1 << 20;
        // Through a link, so that the link stays one.
        let path = given.canonicalize().unwrap_or_else(|_| given.to_owned());
        let out = match path.metadata() {
            Ok(facts) if facts.is_dir() => return Err(Error::failed("is a folder")),
            Ok(facts) if !facts.is_file() => {
                let file = File::options().write(true).open(&path)?;
                Out::Existing(BufWriter::with_capacity(BUFFER_BYTES, file))
            }
            facts => {
                // As any program would create it: the mask applies. An old file keeps its rights.
                let mode = facts.map_or(0o666, |facts| facts.permissions().mode() & 0o777);
                Out::New(BufWriter::with_capacity(BUFFER_BYTES, beside(&path, mode)?))
            }
        };
        Ok(Self { given: given.to_owned(), path, out })
    }

    /// Done: the file has its name now.
    pub(crate) fn finish(self) -> Result<()> {
        let done = match self.out {
            Out::Existing(mut out) => out.flush(),
            Out::New(out) => out
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error)
                .and_then(|file| Ok(file.persist(&self.path).map(drop)?)),
        };
        done.map_err(|error| Error::of(&self.given)(error.into()))
    }
}

/// A file without a lasting name, in the folder where it will have one.
fn beside(path: &Path, mode: u32) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Error::failed(format!("there is no folder {}", folder.display())));
    }
    let made = tempfile::Builder::new()
        .prefix(".sheaf-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder);
    // The error names the file that was tried; the user knows another one.
    made.map_err(|error| {
        let text = error.to_string();
        Error::failed(text.split(" at path ").next().unwrap_or_default())
    })
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.out {
            Out::New(out) => out.write(bytes),
            Out::Existing(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.out {
            Out::New(out) => out.flush(),
            Out::Existing(out) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "old").unwrap();

        let mut target = Target::create(&path).unwrap();
        target.write_all(b"half of the n").unwrap();
        drop(target);

        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_by_the_name_it_was_to_have() {
        let missing = Target::create(Path::new("/no/such/folder/a.csv")).err().unwrap().line();
        let refused = Target::create(Path::new("/proc/a.csv")).err().unwrap().line();

        assert_eq!(missing, "/no/such/folder/a.csv: there is no folder /no/such/folder");
        assert_eq!(refused, "/proc/a.csv: No such file or directory");
    }

    #[test]
    fn a_finished_file_replaces_the_old_one_and_keeps_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();

        let mut target = Target::create(&path).unwrap();
        target.write_all(b"new").unwrap();
        target.finish().unwrap();

        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
}
