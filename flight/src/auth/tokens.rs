//! The file of tokens: who may come in, one line each.
//!
//! ```text
//! # name:right:SHA-256 of the token, in hexadecimal
//! ingest:write:5f1c…
//! dashboard:read:e09a…
//! ```
//!
//! Blanks part as well as colons do. The file is looked at with every call and read again when it
//! has changed, so a token that is taken out is refused from the next call on. One that is gone or
//! empty lets nobody in. **One that is not sound changes nothing**, but for a line in the log: a
//! slip of the pen does not lock everybody out.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use sheaf_store::{Error, Kind, Result};
use subtle::Choice;
use tonic::Status;

use super::digest::{Digest, new_secret};

/// The most that the file may take, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// The most tokens in it.
const MOST_TOKENS: usize = 1024;

/// The longest name of a token, in bytes.
const MOST_NAME: usize = 64;

/// What a token's holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Look, read and wait.
    Read,
    /// Everything.
    Write,
}

impl Right {
    /// Refuses a reader.
    pub(crate) fn to_write(self) -> Result<(), Status> {
        match self {
            Self::Write => Ok(()),
            Self::Read => {
                Err(Status::permission_denied("this token may only read: use one that may write"))
            }
        }
    }

    /// The word for it in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Read, Self::Write]
            .into_iter()
            .find(|right| right.word() == text)
            .ok_or_else(|| "the right is neither read nor write".to_owned())
    }
}

/// A new token: what its holder is told, and what the file is.
pub struct NewToken {
    /// The token. Nobody can find it out again.
    pub secret: String,
    /// The file's line, without its end.
    pub line: String,
}

impl NewToken {
    /// Makes a token.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that the file can't have.
    pub fn new(name: &str, right: Right) -> Result<Self> {
        check_name(name).map_err(|reason| Error::new(Kind::Invalid, reason))?;
        let secret = new_secret()?;
        Ok(Self { line: token_line(name, right, &secret), secret })
    }
}

/// The file's line for a token. It must be one that nobody can guess: 256 random bits, as
/// [`NewToken`] has them.
#[must_use]
pub fn token_line(name: &str, right: Right, secret: &str) -> String {
    format!("{name}:{}:{}", right.word(), Digest::of(secret.as_bytes()).to_hex())
}

fn check_name(name: &str) -> Result<(), String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if name.is_empty() || name.len() > MOST_NAME || !name.bytes().all(sound) {
        return Err(format!(
            "a token's name has 1 to {MOST_NAME} letters, digits, dots, dashes, underscores or @"
        ));
    }
    Ok(())
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) name: Arc<str>,
    pub(crate) right: Right,
    pub(crate) digest: Digest,
}

impl FromStr for Token {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let is_between = |letter: char| letter == ':' || letter.is_whitespace();
        let parts: Vec<_> = line.split(is_between).filter(|part| !part.is_empty()).collect();
        let [name, right, digest] = parts[..] else {
            return Err("a line is name:right:digest".to_owned());
        };
        check_name(name)?;
        let digest = Digest::from_hex(digest)
            .ok_or("the digest is not the 64 hexadecimal digits of a SHA-256")?;
        Ok(Self { name: name.into(), right: right.parse()?, digest })
    }
}

/// Everybody who may come in.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<Token>);

impl Tokens {
    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens: Vec<Token> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |reason: String| format!("line {number}: {reason}");
            let token: Token = line.parse().map_err(at)?;
            if tokens.iter().any(|other| other.digest == token.digest) {
                return Err(at(format!("{} has the same token as an earlier line", token.name)));
            }
            if tokens.len() == MOST_TOKENS {
                return Err(at(format!("more than {MOST_TOKENS} tokens")));
            }
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// Whose token this is. Takes as long for one as for another.
    pub(crate) fn find(&self, digest: &Digest) -> Option<&Token> {
        let mut found = None;
        for token in &self.0 {
            let same: Choice = token.digest.matches(digest);
            if same.into() {
                found = Some(token);
            }
        }
        found
    }
}

/// What a file was when it was read: another one has another stamp.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(facts: &fs::Metadata) -> Self {
        Self {
            file: (facts.dev(), facts.ino()),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

/// The file, as it was read last.
pub(crate) struct TokenFile {
    path: PathBuf,
    last: Mutex<(Option<Stamp>, Arc<Tokens>)>,
}

impl TokenFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it can't be read, is not sound, or others may write to it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (stamp, tokens) = read(path).map_err(|reason| {
            let message = format!("the token file {}: {reason}", path.display());
            Error::new(Kind::Invalid, message)
        })?;
        Ok(Self { path: path.to_owned(), last: Mutex::new((Some(stamp), tokens.into())) })
    }

    /// The tokens, read again if the file is another.
    pub(crate) fn current(&self) -> Arc<Tokens> {
        let stamp = fs::metadata(&self.path).ok().map(|facts| Stamp::of(&facts));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp != last.0 {
            // Looked at once for each change, sound or not.
            last.0 = stamp;
            let path = self.path.display();
            if stamp.is_none() {
                tracing::warn!(%path, "the token file is gone: nobody is let in");
                last.1 = Arc::default();
                return last.1.clone();
            }
            match read(&self.path) {
                Ok((stamp, tokens)) => {
                    let count = tokens.0.len();
                    tracing::info!(%path, count, "the token file was read again");
                    *last = (Some(stamp), tokens.into());
                }
                Err(reason) => {
                    tracing::warn!(%path, reason, "the token file is as before: it can't be read");
                }
            }
        }
        last.1.clone()
    }
}

fn read(path: &Path) -> Result<(Stamp, Tokens), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let facts = file.metadata().map_err(|error| error.to_string())?;
    if facts.mode() & 0o022 != 0 {
        return Err(format!(
            "others may write to it (mode {:o}): chmod 600 it",
            facts.mode() & 0o7777
        ));
    }
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("more than {MOST_BYTES} bytes"));
    }
    Ok((Stamp::of(&facts), Tokens::parse(&text)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn line(name: &str, right: &str, secret: &str) -> String {
        format!("{name}:{right}:{}\n", Digest::of(secret.as_bytes()).to_hex())
    }

    fn knows(file: &TokenFile, secret: &str) -> Option<Right> {
        file.current().find(&Digest::of(secret.as_bytes())).map(|token| token.right)
    }

    #[test]
    fn a_new_token_is_found_by_its_line() {
        let token = NewToken::new("a.b-c_d@e", Right::Read).unwrap();

        let tokens = Tokens::parse(&format!("# all\n\n  {}  \n", token.line)).unwrap();

        let found = tokens.find(&Digest::of(token.secret.as_bytes())).unwrap();
        assert_eq!((&*found.name, found.right), ("a.b-c_d@e", Right::Read));
        assert!(tokens.find(&Digest::of(b"")).is_none());
    }

    #[test]
    fn a_line_that_is_not_sound_is_named_and_its_digest_is_not() {
        let good = line("a", "read", "s");
        let digest = good.trim().rsplit(':').next().unwrap().to_owned();
        for bad in [
            "a:read".to_owned(),
            format!("a:admin:{digest}"),
            format!(":read:{digest}"),
            format!("a:read:{digest}:x"),
            format!("a b:read:{digest}"),
            format!("a:read:{}", &digest[1..]),
            format!("b:write:{digest}"),
        ] {
            let error = Tokens::parse(&format!("{good}{bad}\n")).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
            assert!(!error.contains(&digest[1..]), "{error}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_one_that_is_not_sound_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let put = |text: &str| {
            let next = folder.path().join("next");
            fs::write(&next, text).unwrap();
            fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
            fs::rename(&next, &path).unwrap();
        };
        put(&line("a", "read", "one"));
        let file = TokenFile::open(&path).unwrap();
        assert_eq!(knows(&file, "one"), Some(Right::Read));

        put(&line("a", "write", "two"));
        assert_eq!((knows(&file, "one"), knows(&file, "two")), (None, Some(Right::Write)));

        put("nonsense");
        assert_eq!(knows(&file, "two"), Some(Right::Write));

        fs::remove_file(&path).unwrap();
        assert_eq!(knows(&file, "two"), None);

        put(&line("a", "write", "two"));
        assert_eq!(knows(&file, "two"), Some(Right::Write));
    }

    #[test]
    fn a_file_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, line("a", "read", "one")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();

        let error = TokenFile::open(&path).err().unwrap();

        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.message().contains("mode 620"), "{error}");
        assert!(error.message().contains(&path.display().to_string()), "{error}");
    }
}
