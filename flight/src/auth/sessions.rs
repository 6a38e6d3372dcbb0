//! Tokens that Handshake hands out: they stand for one of the file, for a while.
//!
//! **Invariant:** at most [`MOST_OF_ONE`] sessions for each token of the file, and none of a token
//! that is no longer in it. The one that was not used for longest makes room for a new one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::digest::Digest;

/// How long a session lives without a call.
pub(crate) const IDLE: Duration = Duration::from_secs(3600);

/// How long it lives at most.
pub(crate) const TOTAL: Duration = Duration::from_secs(24 * 3600);

/// The most sessions of one token.
const MOST_OF_ONE: usize = 256;

struct Session {
    /// The token it stands for.
    token: Digest,
    begun: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) >= IDLE || now.duration_since(self.begun) >= TOTAL
    }
}

/// All sessions, by the digest of what was handed out.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Digest, Session>>);

impl Sessions {
    /// Begins a session for a token.
    pub(crate) fn begin(&self, secret: &Digest, token: &Digest, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, session| !session.is_over(now));
        let own = table.iter().filter(|(_, session)| session.token == *token);
        if own.clone().count() >= MOST_OF_ONE {
            let oldest = own.min_by_key(|(_, session)| session.used).map(|(secret, _)| *secret);
            oldest.and_then(|oldest| table.remove(&oldest));
        }
        table.insert(*secret, Session { token: *token, begun: now, used: now });
    }

    /// The token that a session stands for.
    pub(crate) fn find(&self, secret: &Digest, now: Instant) -> Option<Digest> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = table.get_mut(secret).filter(|session| !session.is_over(now))?;
        session.used = now;
        Some(session.token)
    }

    /// Ends a session.
    pub(crate) fn end(&self, secret: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(secret);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_or_too_old() {
        let sessions = Sessions::default();
        let token = Digest::of(b"token");
        let start = Instant::now();
        sessions.begin(&digest(1), &token, start);

        let almost = IDLE - Duration::from_secs(1);
        assert_eq!(sessions.find(&digest(1), start + almost), Some(token));
        assert_eq!(sessions.find(&digest(1), start + 2 * almost), Some(token));
        assert_eq!(sessions.find(&digest(1), start + 2 * almost + IDLE), None);

        sessions.begin(&digest(2), &token, start);
        let mut now = start;
        while now + almost < start + TOTAL {
            now += almost;
            assert_eq!(sessions.find(&digest(2), now), Some(token));
        }
        assert_eq!(sessions.find(&digest(2), start + TOTAL), None);
    }

    #[test]
    fn who_begins_many_loses_only_his_own() {
        let sessions = Sessions::default();
        let (hungry, modest) = (Digest::of(b"hungry"), Digest::of(b"modest"));
        let start = Instant::now();
        sessions.begin(&digest(0), &modest, start);

        for number in 1..=MOST_OF_ONE + 10 {
            let now = start + Duration::from_millis(number as u64);
            sessions.begin(&digest(number), &hungry, now);
        }

        let now = start + Duration::from_secs(1);
        assert_eq!(sessions.find(&digest(0), now), Some(modest));
        assert_eq!(sessions.find(&digest(10), now), None);
        assert_eq!(sessions.find(&digest(11), now), Some(hungry));
        assert_eq!(sessions.0.lock().unwrap().len(), MOST_OF_ONE + 1);
    }
}
