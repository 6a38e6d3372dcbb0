//! What a request shows to be let in.
//!
//! | header | |
//! |---|---|
//! | `authorization: Bearer <token>` | a token of the file, or one that Handshake handed out |
//! | `authorization: Basic <base64 of name:token>` | the same, as user and password |
//! | `auth-token-bin` | what Handshake answered to a `BasicAuth` payload, from older clients |
//!
//! The token says who it is; the name beside it is for the log, and may be any.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::Status;

use super::digest::Digest;

/// The header of clients that authenticate by payload.
const TOKEN_HEADER: &str = "auth-token-bin";

/// gRPC pads its binary headers or does not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request shows. The secret itself is not kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Credential {
    /// The name beside it, if there is one.
    pub(crate) name: Option<String>,
    pub(crate) secret: Digest,
}

impl Credential {
    /// One of a name and a token.
    pub(crate) fn basic(name: &str, token: &[u8]) -> Self {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Self { name, secret: Digest::of(token) }
    }

    fn bearer(token: &[u8]) -> Self {
        Self { name: None, secret: Digest::of(token) }
    }

    /// What the headers show; nothing if they show nothing.
    ///
    /// # Errors
    /// UNAUTHENTICATED for a header that can't be read.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            return of_authorization(value.as_bytes()).map(Some);
        }
        match headers.get(TOKEN_HEADER).map(|value| BASE64.decode(value.as_bytes())) {
            Some(Ok(token)) if token.is_empty() => Ok(None),
            Some(Ok(token)) => Ok(Some(Self::bearer(&token))),
            Some(Err(_)) => Err(Status::unauthenticated("auth-token-bin is no base64")),
            None => Ok(None),
        }
    }
}

fn of_authorization(value: &[u8]) -> Result<Credential, Status> {
    let split = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(split);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(Credential::bearer(rest));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(Status::unauthenticated("authorization is neither Bearer nor Basic"));
    }
    let decoded = BASE64.decode(rest).ok();
    let pair = decoded.as_deref().and_then(|pair| {
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&pair[..colon]).ok()?;
        Some(Credential::basic(name, &pair[colon + 1..]))
    });
    pair.ok_or_else(|| Status::unauthenticated("Basic is not followed by base64 of name:token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &'static str, value: &str) -> Result<Option<Credential>, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(header, value.parse().unwrap());
        Credential::of(&headers)
    }

    #[test]
    fn every_way_to_show_a_token_is_understood() {
        let bearer = Credential { name: None, secret: Digest::of(b"a:b") };
        let basic = Credential { name: Some("n".into()), secret: Digest::of(b"a:b") };

        for value in ["Bearer a:b", "bearer  a:b ", "BEARER a:b"] {
            assert_eq!(of("authorization", value).unwrap(), Some(bearer.clone()), "{value}");
        }
        for value in ["Basic bjphOmI=", "basic bjphOmI"] {
            assert_eq!(of("authorization", value).unwrap(), Some(basic.clone()), "{value}");
        }
        assert_eq!(of("authorization", "Basic OmE6Yg==").unwrap(), Some(bearer.clone()));
        assert_eq!(of("auth-token-bin", "YTpi").unwrap(), Some(bearer));
        assert_eq!(of("auth-token-bin", "").unwrap(), None);
        assert_eq!(of("x", "Bearer a").unwrap(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(bytes: Vec<u8>, scheme in "(Basic |Bearer |basic|)") {
            let value = [scheme.as_bytes(), &bytes].concat();
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                for name in ["authorization", "auth-token-bin"] {
                    let mut headers = HeaderMap::new();
                    headers.insert(name, value.clone());
                    let _ = Credential::of(&headers);
                }
            }
        }
    }

    #[test]
    fn what_can_not_be_read_is_unauthenticated_and_not_repeated() {
        for value in
            ["", "hunter2", "Basic", "Basic hunter2", "Basic aHVudGVyMg==", "Digest hunter2"]
        {
            let status = of("authorization", value).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated, "{value}");
            assert!(!status.message().contains("hunter2"), "{status}");
        }
        assert!(of("auth-token-bin", "%").is_err());
    }
}
