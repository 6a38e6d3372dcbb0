//! DoPut: every batch acknowledged, options, and uploads that end badly.

use arrow_array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use futures_util::{StreamExt, TryStreamExt, stream};
use sheaf_store::{Kind, ObjectKind, PutOptions};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::get::numbers;
use crate::harness::Endpoint;

/// A stream of these batches, each with its number as metadata.
pub(crate) async fn stream_of(name: &str, batches: &[RecordBatch]) -> Vec<FlightData> {
    let all = stream::iter(batches.to_vec()).map(Ok);
    let descriptor = FlightDescriptor::new_path(vec![name.into()]);
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(batches[0].schema())
        .with_flight_descriptor(Some(descriptor))
        .with_max_flight_data_size(usize::MAX);
    let mut messages: Vec<FlightData> = encoder.build(all).try_collect().await.unwrap();
    for (number, message) in messages.iter_mut().skip(1).enumerate() {
        message.app_metadata = number.to_string().into();
    }
    messages
}

async fn client(endpoint: &Endpoint) -> FlightServiceClient<Channel> {
    FlightServiceClient::new(endpoint.channel().await)
}

async fn put(
    endpoint: &Endpoint,
    request: Request<stream::Iter<std::vec::IntoIter<FlightData>>>,
) -> Result<Vec<PutResult>, Status> {
    let answers = client(endpoint).await.do_put(request).await?;
    answers.into_inner().try_collect().await
}

fn request(messages: Vec<FlightData>) -> Request<stream::Iter<std::vec::IntoIter<FlightData>>> {
    Request::new(stream::iter(messages))
}

fn stored(endpoint: &Endpoint, name: &str) -> Vec<RecordBatch> {
    let table = endpoint.store.get(name).unwrap().table().unwrap();
    table.batches().collect::<Result<_, _>>().unwrap()
}

fn assert_nothing_is_left(endpoint: &Endpoint) {
    let start = std::time::Instant::now();
    loop {
        let stat = endpoint.store.stat().unwrap();
        if stat.get("drafts") == 0 && stat.get("draft_bytes") == 0 {
            return;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(30), "a draft is left");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_batch_is_stored_and_acknowledged() {
    let endpoint = Endpoint::start();
    let all = numbers(300_000);
    let batches = [all.slice(0, 10), all.slice(3, 200_000), all.slice(5, 7)];

    let acks = put(&endpoint, request(stream_of("t", &batches).await)).await.unwrap();

    let metadata: Vec<_> = acks.iter().map(|ack| ack.app_metadata.clone()).collect();
    assert_eq!(metadata, ["0", "1", "2"]);
    assert_eq!(stored(&endpoint, "t"), batches);
    assert_nothing_is_left(&endpoint);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_batches_comes_back_with_them() {
    let endpoint = Endpoint::start();
    let batches = vec![numbers(100); 3];
    put(&endpoint, request(stream_of("t", &batches).await)).await.unwrap();

    let stream = client(&endpoint).await.do_get(arrow_flight::Ticket::new("t")).await.unwrap();

    let messages: Vec<FlightData> = stream.into_inner().try_collect().await.unwrap();
    let metadata: Vec<_> = messages[1..].iter().map(|data| data.app_metadata.clone()).collect();
    assert_eq!(metadata, ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_many_batches_is_stored() {
    let endpoint = Endpoint::start();
    let all = numbers(20_000);
    let batches: Vec<_> = (0..20_000).map(|row| all.slice(row, 1)).collect();

    let acks = put(&endpoint, request(stream_of("t", &batches).await)).await.unwrap();

    assert_eq!(acks.len(), 20_000);
    assert_eq!(endpoint.store.info("t", false).unwrap().batches, 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_batches_is_stored() {
    let endpoint = Endpoint::start();
    let mut messages = stream_of("t", &[numbers(1)]).await;
    messages.truncate(1);

    assert_eq!(put(&endpoint, request(messages)).await.unwrap(), []);

    assert_eq!(endpoint.store.info("t", false).unwrap().rows, 0);
    assert_eq!(*endpoint.store.get("t").unwrap().table().unwrap().schema(), numbers(1).schema());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused_unless_it_is_replaced() {
    let endpoint = Endpoint::start();
    let (old, new) = (vec![numbers(10)], vec![numbers(20)]);
    put(&endpoint, request(stream_of("t", &old).await)).await.unwrap();

    let error = put(&endpoint, request(stream_of("t", &new).await)).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_eq!(stored(&endpoint, "t"), old);

    let mut replacing = request(stream_of("t", &new).await);
    replacing.metadata_mut().insert("sheaf-replace", "true".parse().unwrap());
    put(&endpoint, replacing).await.unwrap();
    assert_eq!(stored(&endpoint, "t"), new);
    assert_nothing_is_left(&endpoint);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_how_it_is_put() {
    let endpoint = Endpoint::start();
    let batches = [numbers(10)];
    let mut messages = stream_of("ignored", &batches).await;
    let command = r#"{"put":{"name":"t","droppable":true,"metadata":"note"}}"#;
    messages[0].flight_descriptor = Some(FlightDescriptor::new_cmd(command));

    put(&endpoint, request(messages)).await.unwrap();

    let info = endpoint.store.info("t", false).unwrap();
    assert!(info.droppable);
    assert_eq!(&info.metadata[..], b"note");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_does_not_fit_leaves_nothing() {
    let endpoint = Endpoint::start();
    let batches = vec![numbers(1_000_000); 12];

    let error = put(&endpoint, request(stream_of("t", &batches).await)).await.unwrap_err();

    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert_nothing_is_left(&endpoint);
    assert_eq!(endpoint.store.get("t").unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let endpoint = Endpoint::start();
    let batches = vec![numbers(100_000); 3];
    for cut in 1..=3 {
        let name = format!("t{cut}");
        let messages = stream_of(&name, &batches).await;
        let first = stream::iter(messages[..cut].to_vec()).chain(stream::pending());
        let url = endpoint.url();
        // As a process that is killed: its sockets close, and nothing else happens.
        let process = tokio::runtime::Runtime::new().unwrap();
        let uploading = process.spawn(async move {
            let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
            let mut client = FlightServiceClient::new(channel);
            let mut answers = client.do_put(first).await.unwrap().into_inner();
            for _ in 1..cut {
                answers.message().await.unwrap().unwrap();
            }
            answers
        });
        let _answers = uploading.await.unwrap();

        process.shutdown_background();

        assert_nothing_is_left(&endpoint);
        assert_eq!(endpoint.store.get(&name).unwrap_err().kind(), Kind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_upload_says_why() {
    let endpoint = Endpoint::start();
    let good = stream_of("t", &[numbers(100)]).await;
    let mut nameless = good.clone();
    nameless[0].flight_descriptor = None;
    let mut schemaless = good.clone();
    schemaless[0].data_header = schemaless[1].data_header.clone();
    let mut short = good.clone();
    short[1].data_body.truncate(64);
    let mut broken = good.clone();
    broken[1].data_header = broken[1].data_header.slice(..20);
    let mut bytes = good[1].data_body.to_vec();
    bytes.fill(0xff);
    let mut lying = good.clone();
    lying[1].data_body = bytes.into();

    for messages in [nameless, schemaless, short, broken, lying, Vec::new()] {
        let error = put(&endpoint, request(messages)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(!error.message().is_empty());
        assert_nothing_is_left(&endpoint);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opaque_bytes_come_back_as_they_went() {
    let endpoint = Endpoint::start();
    let bytes: Vec<u8> = (0..5_000_001).map(|at| (at * 7) as u8).collect();
    endpoint.store.put_bytes("b", &bytes, &PutOptions::default()).unwrap();
    let ticket = arrow_flight::Ticket::new("b");
    let stream = client(&endpoint).await.do_get(ticket).await.unwrap().into_inner();
    let mut messages: Vec<FlightData> = stream.try_collect().await.unwrap();
    messages[0].flight_descriptor = Some(FlightDescriptor::new_path(vec!["copy".into()]));

    put(&endpoint, request(messages)).await.unwrap();

    let copy = endpoint.store.get("copy").unwrap();
    assert_eq!(copy.info().kind, ObjectKind::Bytes);
    assert!(copy.as_bytes() == bytes);
}
