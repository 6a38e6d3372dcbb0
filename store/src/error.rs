//! What can go wrong, by what the caller should do about it.
//!
//! A message names the object, both numbers and the way out, in lower case and
//! without a full stop. The kinds travel over both doors unchanged.

use std::borrow::Cow;
use std::fmt;

/// What the caller should do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No object has this name: create it, or wait for it with a time limit.
    NotFound,
    /// The name is taken: choose another, delete it, or put with `replace`.
    Exists,
    /// The budget or a limit is used up: free something, wait for room, or raise the limit.
    Full,
    /// The time limit passed first: the object may still come.
    Timeout,
    /// The writer that was waited for aborted or died: its object will not come from it.
    WriterGone,
    /// The request or the data is wrong: it will fail again unchanged.
    Invalid,
    /// The caller may not do this.
    Denied,
    /// The store is not there, shutting down, or lost the connection: connect again later.
    Unavailable,
    /// The caller's own program ended the wait: nothing is wrong.
    Interrupted,
    /// A fault of Sheaf or of the kernel under it: please report it.
    Internal,
}

impl Kind {
    /// Every kind with its number on the wire (`docs/protocol.md`) and its name.
    pub const ALL: [(Self, u8, &'static str); 10] = [
        (Self::NotFound, 1, "not found"),
        (Self::Exists, 2, "exists"),
        (Self::Full, 3, "full"),
        (Self::Timeout, 4, "timeout"),
        (Self::WriterGone, 5, "writer gone"),
        (Self::Invalid, 6, "invalid"),
        (Self::Denied, 7, "denied"),
        (Self::Unavailable, 8, "unavailable"),
        (Self::Internal, 9, "internal"),
        (Self::Interrupted, 10, "interrupted"),
    ];

    /// The kind's number on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or(9, |(_, code, _)| *code)
    }

    /// The kind with this number; an unknown number is [`Kind::Internal`], so that an older
    /// client survives a newer store.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        Self::ALL.iter().find(|(_, c, _)| *c == code).map_or(Self::Internal, |(kind, ..)| *kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(kind, ..)| kind == self).map_or("internal", |k| k.2);
        f.write_str(name)
    }
}

/// An error of the store: a [`Kind`], a message for people, and what caused it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with a message for people.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause attached.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A call to the kernel that failed: `what` says which, the cause says why.
    pub fn os(what: impl fmt::Display, errno: rustix::io::Errno) -> Self {
        let kind = match errno {
            rustix::io::Errno::NOMEM | rustix::io::Errno::NOSPC | rustix::io::Errno::MFILE => {
                Kind::Full
            }
            rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => Kind::Denied,
            _ => Kind::Internal,
        };
        Self::new(kind, format!("{what}: {errno}")).because(errno)
    }

    /// The caller's own program ended its wait for the store.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "the wait for the store was interrupted")
    }

    /// What the caller should do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The message alone.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl Clone for Error {
    /// Kind and message; the cause stays with the original.
    fn clone(&self) -> Self {
        Self { kind: self.kind, message: self.message.clone(), source: None }
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.message == other.message
    }
}

impl From<sheaf_ipc::Error> for Error {
    fn from(error: sheaf_ipc::Error) -> Self {
        Self::new(Kind::Invalid, error.to_string()).because(error)
    }
}

/// Bytes in units people read, with the exact number when it is not round.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let step = (bytes.max(1).ilog2() / 10).min(5);
    let whole = bytes >> (10 * step);
    if whole << (10 * step) == bytes {
        return format!("{whole} {}", UNITS[step as usize]);
    }
    let value = bytes as f64 / (1u64 << (10 * step)) as f64;
    format!("{value:.1} {}", UNITS[step as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for (kind, code, _) in Kind::ALL {
            assert_eq!(Kind::from_code(code), kind);
            assert_eq!(kind.code(), code);
        }
        assert_eq!(Kind::from_code(200), Kind::Internal);
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(3 << 20), "3 MiB");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(1023), "1023 B");
    }
}
