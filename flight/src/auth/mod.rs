//! Who may come in, and what each may do.
//!
//! ```text
//! headers ─▶ credential ─▶ Guard ─┬─ tokens     those of the file, read again when it changes
//!                                 ├─ sessions   those that Handshake has handed out
//!                                 └─ failures   who was wrong too often is not listened to
//! ```
//!
//! **No secret is kept, logged or repeated**: `digest` says how. Without a token file everybody
//! who reaches the endpoint may do everything; who can reach it is the business of `listen`.

mod credential;
mod digest;
mod failures;
mod handshake;
mod sessions;
mod tokens;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use sheaf_store::Result;
use tonic::Status;

use self::credential::Credential;
pub(crate) use self::digest::{Digest, new_secret};
use self::failures::Failures;
pub(crate) use self::handshake::handshake;
use self::sessions::Sessions;
pub use self::tokens::{NewToken, Right, token_line};
use self::tokens::{Token, TokenFile};
use crate::peer::Peer;

/// Who makes a call: in the request's extensions, for whoever wants to log or to decide.
#[derive(Clone)]
pub(crate) struct Caller {
    peer: Arc<Peer>,
    /// The name of the token that was shown.
    token: Option<Arc<str>>,
    right: Right,
}

impl Caller {
    /// Somebody who has shown nothing.
    fn of(peer: &Arc<Peer>, right: Right) -> Self {
        Self { peer: peer.clone(), token: None, right }
    }

    /// What he may do.
    pub(crate) fn right(&self) -> Right {
        self.right
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.token {
            Some(name) => write!(f, "{name} ({})", self.peer),
            None => self.peer.fmt(f),
        }
    }
}

/// Decides who comes in.
#[derive(Default)]
pub(crate) struct Guard {
    /// None: everybody.
    tokens: Option<TokenFile>,
    sessions: Sessions,
    failures: Failures,
}

impl Guard {
    /// A guard with this list.
    ///
    /// # Errors
    /// [`sheaf_store::Kind::Invalid`] when the file can't be read or is not sound.
    pub(crate) fn new(token_file: Option<&Path>) -> Result<Self> {
        let tokens = token_file.map(TokenFile::open).transpose()?;
        Ok(Self { tokens, ..Self::default() })
    }

    /// Who makes a call with these headers.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a good token, RESOURCE_EXHAUSTED after too many bad ones.
    pub(crate) fn admit(&self, peer: &Arc<Peer>, headers: &HeaderMap) -> Result<Caller, Status> {
        if self.tokens.is_none() {
            return self.open(peer).map(|()| Caller::of(peer, Right::Write));
        }
        let Some(credential) = Credential::of(headers).inspect_err(|_| self.wrong(peer, None))?
        else {
            return Err(Status::unauthenticated(
                "a token is needed here: send `authorization: Bearer <token>`, or it as password",
            ));
        };
        self.known(peer, &credential).map(|token| caller(peer, &token))
    }

    /// Lets in whom the near door lets in, where there are no tokens.
    fn open(&self, peer: &Peer) -> Result<(), Status> {
        if !peer.is_foreign {
            return Ok(());
        }
        tracing::warn!(%peer, "refused: another user of this machine");
        Err(Status::permission_denied(
            "without tokens this endpoint is for its own user: --token-file lets in others, \
             --insecure everybody",
        ))
    }

    /// Who makes a call that shows in its own way who makes it: Handshake.
    pub(crate) fn stranger(&self, peer: &Arc<Peer>) -> Caller {
        Caller::of(peer, Right::Read)
    }

    /// The token behind a credential.
    fn known(&self, peer: &Arc<Peer>, credential: &Credential) -> Result<Token, Status> {
        let now = Instant::now();
        if !peer.is_good(&credential.secret) {
            self.failures.may_try(peer.origin.ip(), now).map_err(|wait| {
                tracing::debug!(%peer, "not listened to: too many bad tokens");
                Status::resource_exhausted(format!(
                    "too many bad tokens from this address: wait {} s",
                    wait.as_secs().max(1)
                ))
            })?;
        }
        let Some(token) = self.find(&credential.secret, now) else {
            self.wrong(peer, credential.name.as_deref());
            return Err(Status::unauthenticated("the token is not known here, or has expired"));
        };
        peer.set_good(credential.secret);
        Ok(token)
    }

    fn find(&self, secret: &Digest, now: Instant) -> Option<Token> {
        let tokens = self.tokens.as_ref()?.current();
        if let Some(token) = tokens.find(secret) {
            return Some(token.clone());
        }
        let behind = self.sessions.find(secret, now)?;
        let token = tokens.find(&behind).cloned();
        if token.is_none() {
            self.sessions.end(secret);
        }
        token
    }

    fn wrong(&self, peer: &Arc<Peer>, name: Option<&str>) {
        self.failures.failed(peer.origin.ip(), Instant::now());
        // The name is what the peer says, so it is printed as a literal.
        tracing::warn!(%peer, name = ?name.map(shortened), "refused: a bad token");
    }

    /// Begins a session for a credential; where there are no tokens, anything is good.
    fn session(&self, peer: &Arc<Peer>, credential: &Credential) -> Result<String, Status> {
        let internal = |error: sheaf_store::Error| Status::internal(error.to_string());
        let secret = digest::new_secret().map_err(internal)?;
        if self.tokens.is_some() {
            let token = self.known(peer, credential)?;
            let digest = Digest::of(secret.as_bytes());
            self.sessions.begin(&digest, &token.digest, Instant::now());
            tracing::debug!(caller = %caller(peer, &token), "a session begins");
        } else {
            self.open(peer)?;
        }
        Ok(secret)
    }
}

fn caller(peer: &Arc<Peer>, token: &Token) -> Caller {
    Caller { peer: peer.clone(), token: Some(token.name.clone()), right: token.right }
}

/// The beginning of what a peer sent, for the log.
fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(64)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use tonic::Code;

    use super::*;
    use crate::peer::Origin;

    fn guard(tokens: &[&NewToken]) -> (Guard, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let lines: Vec<_> = tokens.iter().map(|token| token.line.clone()).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        (Guard::new(Some(&path)).unwrap(), folder)
    }

    fn peer() -> Arc<Peer> {
        Peer::new(Origin::Tcp("192.0.2.1:1000".parse().unwrap()), false, 1)
    }

    fn bearer(secret: &str) -> HeaderMap {
        let value = format!("Bearer {secret}").parse().unwrap();
        HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
    }

    fn admit(guard: &Guard, peer: &Arc<Peer>, secret: &str) -> Result<Caller, Code> {
        guard.admit(peer, &bearer(secret)).map_err(|status| status.code())
    }

    #[test]
    fn a_session_stands_for_its_token_and_ends_with_it() {
        let token = NewToken::new("a", Right::Read).unwrap();
        let (guard, folder) = guard(&[&token]);
        let peer = peer();
        let basic = Credential::basic("a", token.secret.as_bytes());

        let session = guard.session(&peer, &basic).unwrap();

        let caller = admit(&guard, &peer, &session).unwrap();
        assert_eq!(caller.right(), Right::Read);
        assert_eq!(caller.to_string(), "a (192.0.2.1:1000)");
        fs::write(folder.path().join("tokens"), "").unwrap();
        assert_eq!(admit(&guard, &peer, &session).err(), Some(Code::Unauthenticated));
    }

    #[test]
    fn who_guesses_is_not_listened_to_and_who_was_good_goes_on() {
        let token = NewToken::new("a", Right::Write).unwrap();
        let (guard, _folder) = guard(&[&token]);
        let good = peer();
        assert!(admit(&guard, &good, &token.secret).is_ok());

        let codes: Vec<_> = (0..10).map(|_| admit(&guard, &peer(), "guess").err()).collect();
        assert_eq!(codes, [Some(Code::Unauthenticated); 10]);
        let refused =
            |_: &_| admit(&guard, &peer(), "guess").err() == Some(Code::ResourceExhausted);
        assert!((0..1000).any(|turn| refused(&turn)));

        assert!(admit(&guard, &good, &token.secret).is_ok());
        assert_eq!(admit(&guard, &peer(), &token.secret).err(), Some(Code::ResourceExhausted));
    }

    #[test]
    fn another_user_is_let_in_by_a_token_alone() {
        let token = NewToken::new("a", Right::Write).unwrap();
        let (guard, _folder) = guard(&[&token]);
        let foreign = Peer::new(Origin::Tcp("127.0.0.1:1000".parse().unwrap()), true, 1);
        let open = Guard::new(None).unwrap();

        assert!(admit(&guard, &foreign, &token.secret).is_ok());
        assert_eq!(admit(&open, &foreign, "any").err(), Some(Code::PermissionDenied));
        let session = open.session(&foreign, &Credential::basic("", b"any"));
        assert_eq!(session.err().map(|status| status.code()), Some(Code::PermissionDenied));
    }

    #[test]
    fn without_tokens_everybody_may_do_everything() {
        let guard = Guard::new(None).unwrap();

        let caller = guard.admit(&peer(), &HeaderMap::new()).ok().unwrap();

        assert_eq!(caller.right(), Right::Write);
    }
}
