//! The file of tokens: a line for each, with what it may do and its hash.
//!
//! ```text
//! # name   right   SHA-256 of the token, in hexadecimal
//! alice    write   9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! report   read    60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
//! ```
//!
//! Tokens are random and long, so a fast hash is enough: nobody guesses one from it. The file is
//! read anew when it changes; one that can't be read any more lets nobody in.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sheaf_store::{Error, Kind};
use subtle::ConstantTimeEq;

use super::Right;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The most tokens.
const MOST_TOKENS: usize = 10_000;

/// The tokens of a file.
pub(crate) struct Tokens {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    entries: Vec<Entry>,
    stamp: Option<Stamp>,
    looked: Instant,
}

#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

struct Entry {
    right: Right,
    hash: [u8; 32],
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it can't be read or has a line that is no token.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let entries = read(path)?;
        let loaded = Loaded { entries, stamp: stamp(path), looked: Instant::now() };
        Ok(Self { path: path.to_owned(), loaded: Mutex::new(loaded) })
    }

    /// What the holder of this token may do; nothing if nobody knows it.
    pub(crate) fn right(&self, token: &str) -> Option<Right> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut loaded);
        // All are compared, whichever it is, each in constant time.
        let mut found = None;
        for entry in &loaded.entries {
            if bool::from(entry.hash.ct_eq(&hash)) {
                found = Some(entry.right);
            }
        }
        found
    }

    fn refresh(&self, loaded: &mut Loaded) {
        if loaded.looked.elapsed() < LOOK {
            return;
        }
        loaded.looked = Instant::now();
        let now = stamp(&self.path);
        if now == loaded.stamp && now.is_some() {
            return;
        }
        match read(&self.path) {
            Ok(entries) => {
                tracing::info!(tokens = entries.len(), "the file of tokens was read again");
                *loaded = Loaded { entries, stamp: now, looked: loaded.looked };
            }
            Err(error) => {
                tracing::error!(%error, "the file of tokens can't be read: nobody is let in");
                *loaded = Loaded { entries: Vec::new(), stamp: None, looked: loaded.looked };
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(path).ok()?;
    let changed = (facts.mtime(), facts.mtime_nsec());
    Some(Stamp { inode: facts.ino(), bytes: facts.len(), changed })
}

fn read(path: &Path) -> Result<Vec<Entry>, Error> {
    let invalid = |what: String| {
        Error::new(Kind::Invalid, format!("the file of tokens {}: {what}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
    let mut entries = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = entry(line).ok_or_else(|| {
            let number = number + 1;
            invalid(format!("line {number} is not NAME read|write SHA-256: see `sheaf token`"))
        })?;
        entries.push(entry);
    }
    if entries.len() > MOST_TOKENS {
        return Err(invalid(format!("{} tokens; the most is {MOST_TOKENS}", entries.len())));
    }
    Ok(entries)
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace();
    let (_name, right, digits) = (words.next()?, words.next()?, words.next()?);
    let right = match right {
        "read" => Right::Read,
        "write" => Right::Write,
        _ => return None,
    };
    if words.next().is_some() || digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(Entry { right, hash })
}

/// The hash of a token, as the file has it.
#[must_use]
pub fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The line of the file for a token.
#[must_use]
pub fn line(name: &str, right: Right, token: &str) -> String {
    let right = if right == Right::Write { "write" } else { "read" };
    format!("{name} {right} {}", hash(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_token_may_do_what_its_line_says() {
        let text = format!(
            "# who\n\n{}\n  {}  \n",
            line("a", Right::Write, "one"),
            line("b", Right::Read, "two")
        );
        let tokens = Tokens::read(file(&text).path()).unwrap();

        assert_eq!(tokens.right("one"), Some(Right::Write));
        assert_eq!(tokens.right("two"), Some(Right::Read));
        assert_eq!(tokens.right("three"), None);
        assert_eq!(tokens.right(""), None);
    }

    #[test]
    fn a_line_that_is_none_is_an_error_that_names_it() {
        for bad in ["a write", "a admin 00", "a write zz", &format!("a write {} x", "0".repeat(64))]
        {
            let error = Tokens::read(file(&format!("#\n{bad}\n")).path()).err().unwrap();
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.message().contains("line 2"), "{error}");
        }
        let missing = Tokens::read(Path::new("/nowhere/tokens")).err().unwrap();
        assert!(missing.message().contains("/nowhere/tokens"));
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_one_that_is_gone_lets_nobody_in() {
        let file = file(&line("a", Right::Write, "one"));
        let tokens = Tokens::read(file.path()).unwrap();
        let look = || tokens.loaded.lock().unwrap().looked -= 2 * LOOK;

        std::fs::write(file.path(), line("a", Right::Read, "another one")).unwrap();
        look();
        assert_eq!(tokens.right("one"), None);
        assert_eq!(tokens.right("another one"), Some(Right::Read));

        std::fs::remove_file(file.path()).unwrap();
        look();
        assert_eq!(tokens.right("another one"), None);
    }
}
