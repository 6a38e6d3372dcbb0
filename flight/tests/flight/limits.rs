//! What a client can make the endpoint keep, and how long it can make it wait.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria, FlightData, Ticket};
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sheaf_flight::{Address, Limits};
use sheaf_store::PutOptions;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::get::numbers;
use crate::harness::{Endpoint, alone, eventually};
use crate::put::stream_of;

/// Soon enough for a test, and long enough for a busy machine not to run into it by itself.
const SOON: Duration = Duration::from_millis(300);

fn limited(change: impl FnOnce(&mut Limits)) -> Endpoint {
    Endpoint::with(|options| change(&mut options.limits))
}

async fn client(endpoint: &Endpoint) -> FlightServiceClient<Channel> {
    FlightServiceClient::new(endpoint.channel().await)
}

fn connect(endpoint: &Endpoint) -> TcpStream {
    let Address::Tcp(address) = endpoint.flight.addresses()[0].clone() else {
        panic!("no TCP address");
    };
    TcpStream::connect(address).unwrap()
}

/// An upload that never ends.
async fn endless(name: &str) -> impl futures_util::Stream<Item = FlightData> + Send + 'static {
    stream::iter(stream_of(name, &[numbers(5)]).await).chain(stream::pending())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_not_waited_for_and_keeps_nobody_waiting() {
    let endpoint = limited(|limits| limits.opening = SOON);
    let mut silent: Vec<_> = (0..50).map(|_| connect(&endpoint)).collect();
    silent[0].write_all(b"PRI * HTTP/2.0").unwrap();

    assert!(client(&endpoint).await.list_flights(Criteria::default()).await.is_ok());

    for socket in &mut silent {
        // Closed by the endpoint: this returns. (What it had to say before is its settings.)
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_at_once() {
    let endpoint = limited(|limits| limits.connections = 2);
    let (mut first, _second) = (client(&endpoint).await, connect(&endpoint));
    assert!(first.list_flights(Criteria::default()).await.is_ok());

    let read = connect(&endpoint).read(&mut [0; 1]);

    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(first.list_flights(Criteria::default()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upload_too_many_is_refused() {
    let endpoint = limited(|limits| (limits.uploads, limits.uploads_in_all) = (2, 3));
    let (mut first, mut second) = (client(&endpoint).await, client(&endpoint).await);

    let one = first.do_put(endless("a").await).await.unwrap();
    let _two = first.do_put(endless("b").await).await.unwrap();
    let in_this = first.do_put(endless("c").await).await.err().unwrap();
    let _three = second.do_put(endless("d").await).await.unwrap();
    let in_all = second.do_put(endless("e").await).await.err().unwrap();

    assert_eq!((in_this.code(), in_all.code()), (Code::ResourceExhausted, Code::ResourceExhausted));
    assert!(in_this.message().contains("this connection has 2"), "{in_this}");
    assert!(in_all.message().contains("the endpoint has 3"), "{in_all}");
    drop(one);
    eventually(async || first.do_put(endless("f").await).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_falls_silent_ends_and_leaves_nothing() {
    let endpoint = limited(|limits| limits.idle = SOON);
    let mut client = client(&endpoint).await;

    let put = client.do_put(endless("t").await).await.unwrap().into_inner();
    let silent = put.try_collect::<Vec<_>>().await.unwrap_err();
    let exchange = client.do_exchange(endless("t").await).await;
    let exchanged = match exchange {
        Ok(answers) => answers.into_inner().try_collect::<Vec<_>>().await.unwrap_err(),
        Err(status) => status,
    };

    assert_eq!(silent.code(), Code::DeadlineExceeded, "{silent}");
    assert_eq!(exchanged.code(), Code::DeadlineExceeded, "{exchanged}");
    eventually(async || endpoint.store.stat().unwrap().get("drafts") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_too_long_is_told_so() {
    let endpoint = limited(|limits| limits.total = SOON);
    let mut client = client(&endpoint).await;

    let wait = Action::new("wait", r#"{"name":"never","timeout_ms":600000}"#);
    let unary = client.do_action(wait).await.err().unwrap();
    let put = client.do_put(endless("t").await).await.unwrap().into_inner();
    let streamed = put.try_collect::<Vec<_>>().await.unwrap_err();

    for status in [unary, streamed] {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(status.message().contains("longer than 300ms"), "{status}");
    }
    eventually(async || {
        let stat = endpoint.store.stat().unwrap();
        stat.get("drafts") == 0 && stat.get("waits") == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_may_be_as_long_as_one_likes() {
    let endpoint = limited(|limits| {
        let Limits { opening, idle, stall, total, connection_idle, drain, .. } = limits;
        for time in [opening, idle, stall, total, connection_idle, drain] {
            *time = Duration::MAX;
        }
    });

    assert!(client(&endpoint).await.list_flights(Criteria::default()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_can_not_be_read_is_refused() {
    let endpoint = Endpoint::start();
    let mut request = Request::new(Criteria::default());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());

    let status = client(&endpoint).await.list_flights(request).await.err().unwrap();

    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_his_answer_loses_it() {
    let endpoint = limited(|limits| limits.stall = SOON);
    let batches = vec![numbers(100_000); 20];
    endpoint.store.put("t", &batches[0].schema(), &batches, &PutOptions::default()).unwrap();
    let held =
        || endpoint.store.info("t", true).unwrap().holders.iter().map(|h| h.holds).sum::<u64>();
    let mut client = client(&endpoint).await;

    let mut answer = client.do_get(Ticket::new("t")).await.unwrap().into_inner();
    answer.message().await.unwrap();
    assert!(held() > 0);

    eventually(async || held() == 0).await;
    let end = answer.try_collect::<Vec<_>>().await;
    assert!(end.is_err(), "it was not sent to the end");
    assert!(client.list_flights(Criteria::default()).await.is_ok(), "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_metadata_is_refused_and_the_connection_goes_on() {
    let endpoint = limited(|limits| limits.metadata_bytes = 4096);
    let mut client = client(&endpoint).await;
    let mut request = Request::new(Criteria::default());
    request.metadata_mut().insert("x", "x".repeat(6000).parse().unwrap());

    let refused = match client.list_flights(request).await {
        Ok(answer) => answer.into_inner().message().await.map(drop),
        Err(status) => Err(status),
    };
    assert!(refused.is_err());
    assert!(client.list_flights(Criteria::default()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_calls_is_asked_to_close() {
    let endpoint = limited(|limits| limits.connection_idle = SOON);
    let socket = connect(&endpoint);
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpStream::from_std(socket).unwrap();

    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (_sender, connection) = builder
        .handshake::<_, http_body_util::Empty<bytes::Bytes>>(TokioIo::new(socket))
        .await
        .unwrap();

    assert!(connection.await.is_ok(), "it ends with a goodbye");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_grpc_is_refused() {
    let endpoint = Endpoint::start();
    let socket = connect(&endpoint);
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpStream::from_std(socket).unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder
        .handshake::<_, http_body_util::Empty<bytes::Bytes>>(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);

    for (method, kind) in [("GET", "application/grpc"), ("POST", "text/plain")] {
        let request = http::Request::builder()
            .method(method)
            .uri("http://localhost/arrow.flight.protocol.FlightService/DoGet")
            .header("content-type", kind)
            .body(http_body_util::Empty::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_stops_ends_what_runs_and_begins_nothing() {
    let endpoint = limited(|limits| limits.drain = Duration::from_secs(60));
    let batches = vec![numbers(100_000); 10];
    endpoint.store.put("t", &batches[0].schema(), &batches, &PutOptions::default()).unwrap();
    let mut client = client(&endpoint).await;
    let mut answer = client.do_get(Ticket::new("t")).await.unwrap().into_inner();
    answer.message().await.unwrap();

    endpoint.flight.stop();

    let url = endpoint.url();
    eventually(async || Channel::from_shared(url.clone()).unwrap().connect().await.is_err()).await;
    answer.try_collect::<Vec<_>>().await.expect("what has begun goes on to its end");
    let Endpoint { flight, .. } = endpoint;
    drop(flight); // In much less than a minute, or this test takes it.
}

#[test]
fn a_thousand_idle_clients_cost_little() {
    alone("limits::a_thousand_idle_clients");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "counts the memory of its process: a_thousand_idle_clients_cost_little runs it"]
async fn a_thousand_idle_clients() {
    const CLIENTS: usize = 1000;
    const MOST_BYTES_EACH: usize = 32 << 10;
    let endpoint = Endpoint::start();
    // Sockets alone, so that what is counted is the endpoint's.
    let connect_all = |count: usize| -> Vec<_> { (0..count).map(|_| greeted(&endpoint)).collect() };
    let few = connect_all(50);
    let before = resident_bytes();

    let many = connect_all(CLIENTS);

    let each = resident_bytes().saturating_sub(before) / CLIENTS;
    println!("{each} bytes for each client");
    assert!(each < MOST_BYTES_EACH, "{each} bytes for each client");
    assert!(client(&endpoint).await.list_flights(Criteria::default()).await.is_ok());
    drop((few, many));
}

/// A connection whose HTTP/2 has begun, at both ends.
fn greeted(endpoint: &Endpoint) -> TcpStream {
    let mut socket = connect(endpoint);
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    socket.write_all(&settings).unwrap();
    // Its settings, and that it has seen ours.
    let mut said = [0; 9 + 4 * 6 + 9];
    socket.read_exact(&mut said).unwrap();
    socket
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}
