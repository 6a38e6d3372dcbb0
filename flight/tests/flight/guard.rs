//! Who may come in: tokens, rights, sessions, and what is not said about them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, BasicAuth, Criteria, Empty, HandshakeRequest, Ticket};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{TryStreamExt, stream};
use prost::Message;
use sheaf_flight::{NewToken, Right};
use sheaf_store::PutOptions;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::calls::services;
use crate::get::numbers;
use crate::harness::{Endpoint, alone};
use crate::put::stream_of;

/// An endpoint with a token that may read and one that may write.
pub(crate) struct Guarded {
    pub(crate) endpoint: Endpoint,
    pub(crate) reader: NewToken,
    pub(crate) writer: NewToken,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Guarded {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        let reader = NewToken::new("r", Right::Read).unwrap();
        let writer = NewToken::new("w", Right::Write).unwrap();
        fs::write(&file, format!("{}\n{}\n", reader.line, writer.line)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let path = file.clone();
        let endpoint = Endpoint::with(move |options| options.token_file = Some(path));
        Self { endpoint, reader, writer, file, _folder: folder }
    }

    async fn client(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.endpoint.channel().await)
    }

    /// Lists with this header, on a connection of its own.
    async fn list(&self, header: &'static str, value: &str) -> Result<(), Code> {
        list(&mut self.client().await, header, value).await
    }
}

async fn list(
    client: &mut FlightServiceClient<Channel>,
    header: &'static str,
    value: &str,
) -> Result<(), Code> {
    let mut request = Request::new(Criteria::default());
    if header.ends_with("-bin") {
        request.metadata_mut().insert_bin(header, MetadataValue::from_bytes(value.as_bytes()));
    } else if !header.is_empty() {
        request.metadata_mut().insert(header, value.parse().unwrap());
    }
    client.list_flights(request).await.map(drop).map_err(|status| status.code())
}

fn with<T>(authorization: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    request
}

fn bearer(token: &NewToken) -> String {
    format!("Bearer {}", token.secret)
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_shows_a_token_comes_in() {
    let guarded = Guarded::start();
    let (reader, writer) = (&guarded.reader, &guarded.writer);

    for good in [bearer(reader), bearer(writer), basic("anybody", &reader.secret)] {
        assert_eq!(guarded.list("authorization", &good).await, Ok(()), "{good}");
    }
    assert_eq!(guarded.list("auth-token-bin", &reader.secret).await, Ok(()));
    assert_eq!(guarded.list("", "").await, Err(Code::Unauthenticated));
    for bad in ["Bearer wrong", "Bearer", "nonsense", &basic("r", "wrong"), &basic("r", "")] {
        assert_eq!(guarded.list("authorization", bad).await, Err(Code::Unauthenticated), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_answered_without_a_token_but_for_health() {
    let guarded = Guarded::start();
    let mut client = guarded.client().await;
    let messages = stream_of("t", &[numbers(5)]).await;

    let descriptor = arrow_flight::FlightDescriptor::new_path(vec!["t".into()]);
    let refused = [
        client.list_flights(Criteria::default()).await.err(),
        client.get_flight_info(descriptor.clone()).await.err(),
        client.poll_flight_info(descriptor.clone()).await.err(),
        client.get_schema(descriptor).await.err(),
        client.do_get(Ticket::new("t")).await.err(),
        client.do_put(stream::iter(messages.clone())).await.err(),
        client.do_exchange(stream::iter(messages)).await.err(),
        client.do_action(Action::new("stat", "")).await.err(),
        client.list_actions(Empty {}).await.err(),
    ];
    let mut health = HealthClient::new(guarded.endpoint.channel().await);
    let service = "arrow.flight.protocol.FlightService".to_owned();
    let healthy = health.check(HealthCheckRequest { service }).await.unwrap();

    let reflected = services(guarded.endpoint.channel().await, None).await.unwrap_err();
    assert_eq!(reflected.code(), Code::Unauthenticated);
    let reader = bearer(&guarded.reader);
    assert!(services(guarded.endpoint.channel().await, Some(reader)).await.is_ok());
    let codes = refused.map(|status| status.unwrap().code());
    assert_eq!(codes, [Code::Unauthenticated; 9]);
    assert_eq!(healthy.into_inner().status, 1);
    assert!(guarded.endpoint.store.info("t", false).is_err(), "nothing was put");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_may_not_write() {
    let guarded = Guarded::start();
    let store = &guarded.endpoint.store;
    store.put_bytes("b", b"x", &PutOptions::default()).unwrap();
    let mut client = guarded.client().await;
    let (reader, writer) = (bearer(&guarded.reader), bearer(&guarded.writer));
    let messages = stream_of("t", &[numbers(5)]).await;
    let delete = Action::new("delete", r#"{"name":"b"}"#);

    // What an upload is for is known when its first message has come.
    let put = client.do_put(with(&reader, stream::iter(messages.clone()))).await.unwrap();
    let refused = [
        put.into_inner().try_collect::<Vec<_>>().await.err(),
        client.do_exchange(with(&reader, stream::iter(messages.clone()))).await.err(),
        client.do_action(with(&reader, delete.clone())).await.err(),
        client.do_action(with(&reader, Action::new("evict", r#"{"bytes":1}"#))).await.err(),
    ];
    let codes = refused.map(|status| status.unwrap().code());
    assert_eq!(codes, [Code::PermissionDenied; 4]);
    assert!(client.do_action(with(&reader, Action::new("stat", ""))).await.is_ok());
    assert!(client.do_get(with(&reader, Ticket::new("b"))).await.is_ok());
    assert!(store.info("b", false).is_ok() && store.info("t", false).is_err());

    let put = client.do_put(with(&writer, stream::iter(messages))).await.unwrap();
    put.into_inner().try_collect::<Vec<_>>().await.unwrap();
    assert!(client.do_action(with(&writer, delete)).await.is_ok());
    assert!(store.info("t", false).is_ok() && store.info("b", false).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_hands_out_a_token_of_its_own() {
    let guarded = Guarded::start();
    let mut client = guarded.client().await;
    let empty = || stream::iter([HandshakeRequest::default()]);

    for shown in [basic("r", &guarded.reader.secret), bearer(&guarded.reader)] {
        let answer = client.handshake(with(&shown, empty())).await.unwrap();
        let session = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        assert_ne!(session, bearer(&guarded.reader));
        assert_eq!(guarded.list("authorization", &session).await, Ok(()));
        let delete = Action::new("delete", r#"{"name":"b"}"#);
        let refused = client.do_action(with(&session, delete)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let wrong = client.handshake(with(&basic("r", "hunter2"), empty())).await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_by_payload_is_answered_by_payload() {
    let guarded = Guarded::start();
    let shake = async |password: &str| {
        let auth = BasicAuth { username: "w".into(), password: password.into() };
        let payload = auth.encode_to_vec().into();
        let request = HandshakeRequest { protocol_version: 0, payload };
        // Clients of this kind keep their side open while they wait for the answer.
        let requests = futures_util::StreamExt::chain(stream::iter([request]), stream::pending());
        let mut client = guarded.client().await;
        let mut answers = client.handshake(requests).await?.into_inner();
        let answer = answers.message().await?.unwrap();
        Ok::<_, Status>(String::from_utf8(answer.payload.to_vec()).unwrap())
    };

    let session = shake(&guarded.writer.secret).await.unwrap();
    let wrong = shake("hunter2").await.unwrap_err();

    assert_eq!(guarded.list("auth-token-bin", &session).await, Ok(()));
    assert_eq!(wrong.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_without_tokens_lets_everybody_in() {
    let endpoint = Endpoint::start();
    let mut client = FlightServiceClient::new(endpoint.channel().await);

    let request = with(&basic("any", "body"), stream::iter([HandshakeRequest::default()]));
    let answer = client.handshake(request).await.unwrap();

    let session = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    assert_eq!(list(&mut client, "authorization", &session).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_taken_back_is_refused_from_the_next_call_on() {
    let guarded = Guarded::start();
    let mut client = guarded.client().await;
    let reader = bearer(&guarded.reader);
    let shown = with(&reader, stream::iter([HandshakeRequest::default()]));
    let answer = client.handshake(shown).await.unwrap();
    let session = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    assert_eq!(list(&mut client, "authorization", &reader).await, Ok(()));
    assert_eq!(list(&mut client, "authorization", &session).await, Ok(()));

    fs::write(&guarded.file, &guarded.writer.line).unwrap();

    let refused = Err(Code::Unauthenticated);
    assert_eq!(list(&mut client, "authorization", &session).await, refused);
    assert_eq!(list(&mut client, "authorization", &reader).await, refused);
    assert_eq!(list(&mut client, "authorization", &bearer(&guarded.writer)).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_not_listened_to_and_does_not_keep_others_out() {
    let guarded = Guarded::start();
    let reader = bearer(&guarded.reader);
    let mut old = guarded.client().await;
    assert_eq!(list(&mut old, "authorization", &reader).await, Ok(()));

    let mut guesser = guarded.client().await;
    let mut codes = Vec::new();
    while codes.last() != Some(&Err(Code::ResourceExhausted)) && codes.len() < 1000 {
        codes.push(list(&mut guesser, "authorization", "Bearer guess").await);
    }

    assert!(codes.len() > 10 && codes.len() < 1000, "{} guesses", codes.len());
    assert_eq!(list(&mut old, "authorization", &reader).await, Ok(()));
}

/// Whatever is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_secret_is_logged_or_repeated() {
    alone("guard::whatever_is_said");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "logs everything: no_secret_is_logged_or_repeated runs it in a process of its own"]
async fn whatever_is_said() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let guarded = Guarded::start();
    let mut client = guarded.client().await;
    let unknown = NewToken::new("u", Right::Read).unwrap();
    let mut said = String::new();

    for shown in [bearer(&unknown), basic("u", &unknown.secret), unknown.secret.clone()] {
        let refused = client.list_flights(with(&shown, Criteria::default())).await.unwrap_err();
        said.push_str(&format!("{refused} {refused:?}"));
        let empty = stream::iter([HandshakeRequest::default()]);
        let refused = client.handshake(with(&shown, empty)).await.unwrap_err();
        said.push_str(&format!("{refused} {refused:?}"));
    }
    let good = with(&bearer(&guarded.reader), stream::iter([HandshakeRequest::default()]));
    client.handshake(good).await.unwrap();
    fs::write(&guarded.file, format!("nonsense:{}", unknown.line)).unwrap();
    assert!(guarded.list("authorization", &bearer(&guarded.writer)).await.is_ok());

    // What was logged by then is complete: every call has been answered.
    said.push_str(&String::from_utf8_lossy(&log.0.lock().unwrap()));
    assert!(said.contains("refused: a bad token"), "it is logged at all");
    assert!(said.contains("the token file is as before"), "it is logged at all");
    for token in [&guarded.reader, &guarded.writer, &unknown] {
        assert!(!said.contains(&token.secret));
        assert!(!said.contains(&BASE64_STANDARD.encode(format!("u:{}", token.secret))));
        assert!(!said.contains(token.line.rsplit(':').next().unwrap()), "nor its digest");
    }
}
