//! Who may come in: tokens, rights, addresses.

use arrow_flight::{Action, FlightClient, HandshakeRequest};
use futures_util::stream;
use sheaf_flight::{Address, FlightListener, FlightOptions, Right, token_line};
use sheaf_store::{Kind, PutOptions};
use tonic::{Code, Request};

use crate::get::numbers;
use crate::harness::Endpoint;

const READER: &str = "reader-s3cret";
const WRITER: &str = "writer-s3cret";

fn guarded() -> (Endpoint, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines =
        [token_line("r", Right::Read, READER), token_line("w", Right::Write, WRITER)].join("\n");
    std::fs::write(file.path(), lines).unwrap();
    let path = file.path().to_owned();
    (Endpoint::with(move |options| options.token_file = Some(path)), file)
}

async fn client(endpoint: &Endpoint, authorization: &str) -> FlightClient {
    let mut client = endpoint.client().await;
    if !authorization.is_empty() {
        client.add_header("authorization", authorization).unwrap();
    }
    client
}

async fn list(endpoint: &Endpoint, authorization: &str) -> Result<(), Code> {
    let mut client = client(endpoint, authorization).await;
    match client.list_flights("").await {
        Ok(_) => Ok(()),
        Err(arrow_flight::error::FlightError::Tonic(status)) => Err(status.code()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_a_token_comes_in() {
    let (endpoint, _file) = guarded();
    endpoint.store.put_bytes("b", b"x", &PutOptions::default()).unwrap();

    assert_eq!(list(&endpoint, "").await, Err(Code::Unauthenticated));
    assert_eq!(list(&endpoint, "Bearer wrong").await, Err(Code::Unauthenticated));
    assert_eq!(list(&endpoint, "nonsense").await, Err(Code::Unauthenticated));
    assert_eq!(list(&endpoint, &format!("Bearer {READER}")).await, Ok(()));
    assert_eq!(list(&endpoint, &format!("Bearer {WRITER}")).await, Ok(()));
    // `r:reader-s3cret`
    assert_eq!(list(&endpoint, "Basic cjpyZWFkZXItczNjcmV0").await, Ok(()));

    let mut client = client(&endpoint, "").await;
    assert!(client.do_get(arrow_flight::Ticket::new("b")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_may_not_write() {
    let (endpoint, _file) = guarded();
    endpoint.store.put_bytes("b", b"x", &PutOptions::default()).unwrap();
    let mut reader = client(&endpoint, &format!("Bearer {READER}")).await;

    let messages = crate::put::stream_of("t", &[numbers(5)]).await;
    let put = reader.do_put(stream::iter(messages.into_iter().map(Ok))).await;
    let delete = reader.do_action(Action::new("delete", r#"{"name":"b"}"#)).await;
    let stat = reader.do_action(Action::new("stat", "")).await;

    for error in [put.err().unwrap(), delete.err().unwrap()] {
        let arrow_flight::error::FlightError::Tonic(status) = error else { panic!("{error}") };
        assert_eq!(status.code(), Code::PermissionDenied);
    }
    assert!(stat.is_ok());
    assert!(endpoint.store.get("b").is_ok());
    let mut writer = client(&endpoint, &format!("Bearer {WRITER}")).await;
    assert!(writer.do_action(Action::new("delete", r#"{"name":"b"}"#)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_turns_a_password_into_a_token() {
    let (endpoint, _file) = guarded();
    let mut client =
        arrow_flight::flight_service_client::FlightServiceClient::new(endpoint.channel().await);
    let shake = |authorization: &'static str| {
        let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
        request.metadata_mut().insert("authorization", authorization.parse().unwrap());
        request
    };

    let answer = client.handshake(shake("Basic cjpyZWFkZXItczNjcmV0")).await.unwrap();
    let bearer = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    assert_eq!(list(&endpoint, &bearer).await, Ok(()));

    let wrong = client.handshake(shake("Basic cjp4")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated);
    assert!(!wrong.message().contains('x'), "no secret in an error: {}", wrong.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_not_heard_for_a_while() {
    let (endpoint, _file) = guarded();
    for _ in 0..20 {
        assert_eq!(list(&endpoint, "Bearer wrong").await, Err(Code::Unauthenticated));
    }

    assert_eq!(list(&endpoint, "Bearer wrong").await, Err(Code::ResourceExhausted));
}

#[test]
fn other_machines_are_served_only_with_protection_or_in_so_many_words() {
    let open: Address = "0.0.0.0:0".parse().unwrap();
    let bare = FlightOptions::new(vec![open]);
    let error = FlightListener::bind(bare.clone()).err().unwrap();
    assert_eq!(error.kind(), Kind::Denied);
    for way in ["--tls-cert", "--token-file", "--insecure"] {
        assert!(error.message().contains(way), "{error}");
    }
}

#[test]
fn an_address_that_is_taken_is_told() {
    let free: Address = "127.0.0.1:0".parse().unwrap();
    let first = FlightListener::bind(FlightOptions::new(vec![free])).unwrap();

    let error = FlightListener::bind(FlightOptions::new(first.addresses())).err().unwrap();

    assert_eq!(error.kind(), Kind::Exists);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_its_owners_and_goes_with_the_endpoint() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flight.sock");
    let address = Address::Unix(path.clone());
    let endpoint = Endpoint::with(move |options| options.addresses = vec![address]);

    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let live = FlightListener::bind(FlightOptions::new(vec![Address::Unix(path.clone())]));
    assert_eq!(live.err().unwrap().kind(), Kind::Exists);

    drop(endpoint);
    assert!(!path.exists());
}
