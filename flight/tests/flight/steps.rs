//! Uploads of several steps: created, appended to, sealed or given up.

use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData, FlightDescriptor};
use futures_util::{TryStreamExt, stream};
use serde_json::{Value, json};
use sheaf_store::{Kind, State};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::get::numbers;
use crate::harness::{Endpoint, eventually};
use crate::put::stream_of;

type Client = FlightServiceClient<Channel>;

async fn client(endpoint: &Endpoint) -> Client {
    FlightServiceClient::new(endpoint.channel().await)
}

async fn act(client: &mut Client, action: &str, body: Value) -> Result<Value, Status> {
    let results = client.do_action(Action::new(action, body.to_string())).await?.into_inner();
    let results: Vec<_> = results.try_collect().await?;
    Ok(serde_json::from_slice(&results[0].body).unwrap())
}

async fn create(client: &mut Client, body: Value) -> String {
    act(client, "create", body).await.unwrap()["upload"].as_str().unwrap().to_owned()
}

fn of_upload(id: &str) -> Option<FlightDescriptor> {
    let command = json!({"append": {"upload": id}}).to_string();
    Some(FlightDescriptor::new_cmd(command))
}

async fn append(client: &mut Client, id: &str, rows: &[i64]) -> Result<usize, Status> {
    let batches: Vec<_> = rows.iter().map(|rows| numbers(*rows)).collect();
    let mut messages = stream_of("unused", &batches).await;
    messages[0].flight_descriptor = of_upload(id);
    let results = client.do_put(stream::iter(messages)).await?.into_inner();
    Ok(results.try_collect::<Vec<_>>().await?.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_calls_append_is_one_table() {
    let endpoint = Endpoint::start();
    let mut client = client(&endpoint).await;

    let id = create(&mut client, json!({"name": "t", "metadata": "note"})).await;
    assert_eq!(endpoint.store.info("t", false).unwrap().state, State::Draft);
    assert_eq!(append(&mut client, &id, &[10, 300_000]).await.unwrap(), 2);
    assert_eq!(endpoint.store.get("t").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(append(&mut client, &id, &[7]).await.unwrap(), 1);
    let facts = act(&mut client, "seal", json!({"upload": id})).await.unwrap();

    assert_eq!((&facts["rows"], &facts["batches"]), (&json!(300_017), &json!(3)));
    let object = endpoint.store.get("t").unwrap();
    assert_eq!(&object.info().metadata[..], b"note");
    let batches: Vec<_> = object.table().unwrap().batches().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches, [numbers(10), numbers(300_000), numbers(7)]);
    let again = act(&mut client, "seal", json!({"upload": id})).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_or_breaks_off_leaves_nothing() {
    let endpoint = Endpoint::start();
    let mut client = client(&endpoint).await;
    let id = create(&mut client, json!({"name": "t"})).await;
    append(&mut client, &id, &[10]).await.unwrap();

    assert_eq!(act(&mut client, "abort", json!({"upload": id})).await.unwrap(), json!({}));
    assert!(endpoint.store.list("", false).unwrap().is_empty());

    // One whose stream is not what it says is gone, and whoever waits for it learns so.
    let id = create(&mut client, json!({"name": "t"})).await;
    let nonsense = FlightData { data_header: vec![1; 100].into(), ..FlightData::default() };
    let nonsense = FlightData { flight_descriptor: of_upload(&id), ..nonsense };
    let told = client.do_put(stream::iter([nonsense])).await.unwrap().into_inner();
    let told = told.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(told.code(), Code::InvalidArgument);
    eventually(async || endpoint.store.list("", false).unwrap().is_empty()).await;
    let seal = act(&mut client, "seal", json!({"upload": id})).await.unwrap_err();
    assert_eq!(seal.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_made_in_steps_too_and_a_kind_is_kept() {
    let endpoint = Endpoint::start();
    let mut client = client(&endpoint).await;

    let id = create(&mut client, json!({"name": "b", "kind": "bytes"})).await;
    let told = append(&mut client, &id, &[10]).await.unwrap_err();
    assert_eq!(told.code(), Code::InvalidArgument, "a table is no bytes");
    let id = create(&mut client, json!({"name": "b", "kind": "bytes"})).await;
    act(&mut client, "seal", json!({"upload": id})).await.unwrap();
    assert_eq!(endpoint.store.get("b").unwrap().as_bytes(), b"");

    let id = create(&mut client, json!({"name": "t"})).await;
    let empty = act(&mut client, "seal", json!({"upload": id})).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
    append(&mut client, &id, &[10]).await.unwrap();
    let mut other = stream_of("t", &[numbers(1).project(&[0]).unwrap()]).await;
    other[0].flight_descriptor = of_upload(&id);
    let told = client.do_put(stream::iter(other)).await.unwrap().into_inner();
    let told = told.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(told.message().contains("another schema"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_begun_is_refused() {
    let endpoint = Endpoint::with(|options| options.limits.uploads_in_all = 2);
    let mut client = client(&endpoint).await;
    create(&mut client, json!({"name": "a"})).await;

    let taken = act(&mut client, "create", json!({"name": "a"})).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    for body in [json!({}), json!({"name": "x", "kind": "row"}), json!({"name": "x", "kin": 1})] {
        let told = act(&mut client, "create", body).await.unwrap_err();
        assert_eq!(told.code(), Code::InvalidArgument);
    }
    let unknown = append(&mut client, "sheaf_guessed", &[1]).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    create(&mut client, json!({"name": "b"})).await;
    let full = act(&mut client, "create", json!({"name": "c"})).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nobody_comes_for_ends() {
    let endpoint = Endpoint::with(|options| options.limits.idle = Duration::from_millis(100));
    let mut client = client(&endpoint).await;
    let id = create(&mut client, json!({"name": "t"})).await;

    eventually(async || endpoint.store.list("", false).unwrap().is_empty()).await;

    let gone = append(&mut client, &id, &[1]).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}
