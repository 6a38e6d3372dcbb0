//! The token that a request brings, in whichever of the ways clients have.

use arrow_flight::BasicAuth;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderMap;
use prost::Message;
use tonic::Status;

/// The header that older clients of Flight send after their handshake.
const AUTH_TOKEN: &str = "auth-token-bin";

/// The token in a request's headers: `authorization: Bearer TOKEN`, `authorization: Basic …` with
/// the token as password, or `auth-token-bin`.
///
/// # Errors
/// `UNAUTHENTICATED` for what is none of these.
pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Option<String>, Status> {
    if let Some(value) = headers.get(http::header::AUTHORIZATION) {
        return authorization(value).map(Some).ok_or_else(malformed);
    }
    let Some(value) = headers.get(AUTH_TOKEN) else { return Ok(None) };
    decoded(value.as_bytes()).map(Some).ok_or_else(malformed)
}

/// The token in the first message of an older client's handshake.
pub(crate) fn of_basic_auth(payload: &[u8]) -> Option<String> {
    let auth = BasicAuth::decode(payload).ok()?;
    (!auth.password.is_empty()).then_some(auth.password)
}

fn authorization(value: &http::HeaderValue) -> Option<String> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = decoded(rest.trim().as_bytes())?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

fn decoded(base64: &[u8]) -> Option<String> {
    let bytes = STANDARD.decode(base64).or_else(|_| STANDARD_NO_PAD.decode(base64)).ok()?;
    String::from_utf8(bytes).ok()
}

fn malformed() -> Status {
    Status::unauthenticated("the credentials are neither Bearer nor Basic")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &'static str, value: &str) -> Result<Option<String>, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        of_headers(&headers)
    }

    #[test]
    fn every_way_to_bring_a_token_is_understood() {
        for (name, value) in [
            ("authorization", "Bearer s3cret"),
            ("authorization", "bearer s3cret"),
            ("authorization", "Basic bWU6czNjcmV0"),
            ("auth-token-bin", "czNjcmV0"),
        ] {
            assert_eq!(of(name, value).unwrap().as_deref(), Some("s3cret"), "{name}: {value}");
        }
        assert_eq!(of_headers(&HeaderMap::new()).unwrap(), None);
        let auth = BasicAuth { username: "me".into(), password: "s3cret".into() };
        assert_eq!(of_basic_auth(&auth.encode_to_vec()).as_deref(), Some("s3cret"));
    }

    #[test]
    fn anything_else_is_unauthenticated() {
        for value in ["s3cret", "Basic §", "Basic bWU=", "Digest x", "Bearer"] {
            let error = of("authorization", value).unwrap_err();
            assert_eq!(error.code(), tonic::Code::Unauthenticated, "{value}");
        }
        assert_eq!(of_basic_auth(&[0xff]), None);
    }
}
