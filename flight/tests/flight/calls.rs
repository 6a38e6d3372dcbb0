//! Every other call of Flight: what there is, and what is done about it.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, IpcMessage, Ticket,
};
use arrow_schema::Schema;
use futures_util::{TryStreamExt, stream};
use sheaf_flight::Hint;
use sheaf_store::PutOptions;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::get::numbers;
use crate::harness::Endpoint;
use crate::put::stream_of;

async fn client(endpoint: &Endpoint) -> FlightServiceClient<Channel> {
    FlightServiceClient::new(endpoint.channel().await)
}

async fn list(endpoint: &Endpoint, criteria: &str) -> Vec<String> {
    let criteria = Criteria { expression: criteria.to_owned().into() };
    let listed = client(endpoint).await.list_flights(criteria).await.unwrap().into_inner();
    let infos: Vec<FlightInfo> = listed.try_collect().await.unwrap();
    infos.into_iter().map(|info| info.flight_descriptor.unwrap().path[0].clone()).collect()
}

async fn act(endpoint: &Endpoint, action: &str, body: &str) -> Result<Vec<String>, tonic::Status> {
    let action = Action::new(action, body.to_owned());
    let results = client(endpoint).await.do_action(action).await?.into_inner();
    let results: Vec<arrow_flight::Result> = results.try_collect().await?;
    Ok(results.into_iter().map(|r| String::from_utf8(r.body.to_vec()).unwrap()).collect())
}

fn fill(endpoint: &Endpoint, names: &[&str]) {
    let batch = numbers(10);
    for name in names {
        let (schema, options) = (batch.schema(), PutOptions::default());
        endpoint.store.put(name, &schema, std::slice::from_ref(&batch), &options).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_what_the_criteria_let_through() {
    let endpoint = Endpoint::start();
    fill(&endpoint, &["a/1", "a/2", "b"]);
    endpoint.store.put_bytes("raw", b"x", &PutOptions::default()).unwrap();
    let _draft = endpoint.store.create("draft", 5, &PutOptions::default()).unwrap();

    assert_eq!(list(&endpoint, "").await, ["a/1", "a/2", "b", "raw"]);
    assert_eq!(list(&endpoint, "a/").await, ["a/1", "a/2"]);
    assert_eq!(list(&endpoint, r#"{"kind":"table","limit":2}"#).await, ["a/1", "a/2"]);
    assert_eq!(list(&endpoint, r#"{"kind":"bytes"}"#).await, ["raw"]);
    assert!(list(&endpoint, "zz").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_has_all_of_them() {
    let endpoint = Endpoint::start();
    let names: Vec<String> = (0..300).map(|number| format!("t{number:03}")).collect();
    fill(&endpoint, &names.iter().map(String::as_str).collect::<Vec<_>>());

    assert_eq!(list(&endpoint, "").await, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_info_tells_the_truth() {
    let endpoint = Endpoint::start();
    let batches = vec![numbers(1000); 3];
    endpoint.store.put("t", &batches[0].schema(), &batches, &PutOptions::default()).unwrap();
    let descriptor = FlightDescriptor::new_path(vec!["t".into()]);

    let info = client(&endpoint).await.get_flight_info(descriptor.clone()).await.unwrap();
    let info = info.into_inner();

    assert_eq!(info.total_records, 3000);
    assert_eq!(info.total_bytes as u64, endpoint.store.info("t", false).unwrap().bytes);
    assert!(info.ordered);
    assert_eq!(info.endpoint.len(), 1);
    assert!(info.endpoint[0].location.is_empty(), "a client would dial it");
    assert!(info.endpoint[0].expiration_time.is_none());
    assert_eq!(Schema::try_from(info.clone()).unwrap(), *batches[0].schema());
    let schema = client(&endpoint).await.get_schema(descriptor).await.unwrap().into_inner();
    assert_eq!(schema.schema, info.schema);
    assert_eq!(Schema::try_from(IpcMessage(schema.schema)).unwrap(), *batches[0].schema());

    let metadata: serde_json::Value = serde_json::from_slice(&info.app_metadata).unwrap();
    let hint: Hint = serde_json::from_value(metadata["sheaf"].clone()).unwrap();
    assert_eq!(hint.store, endpoint.store.stat().unwrap().store_id);
    let near = sheaf_store::connect(&hint.socket).unwrap();
    assert_eq!(near.stat().unwrap().store_id, hint.store);

    let ticket: Ticket = info.endpoint[0].ticket.clone().unwrap();
    let got = endpoint.client().await.do_get(ticket).await.unwrap();
    assert_eq!(got.try_collect::<Vec<_>>().await.unwrap(), batches);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_not_found_by_any_call() {
    let endpoint = Endpoint::start();
    let _draft = endpoint.store.create("draft", 5, &PutOptions::default()).unwrap();
    for name in ["x", "draft"] {
        let descriptor = FlightDescriptor::new_path(vec![name.into()]);
        let mut client = client(&endpoint).await;
        let info = client.get_flight_info(descriptor.clone()).await.unwrap_err();
        let schema = client.get_schema(descriptor).await.unwrap_err();
        assert_eq!((info.code(), schema.code()), (Code::NotFound, Code::NotFound));
    }
    let error = act(&endpoint, "delete", r#"{"name":"x"}"#).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_tells_what_is_being_written() {
    let endpoint = Endpoint::start();
    let draft = endpoint.store.create("d", 5, &PutOptions::default()).unwrap();
    let descriptor = FlightDescriptor::new_path(vec!["d".into()]);
    let mut client = client(&endpoint).await;

    let polled = client.poll_flight_info(descriptor.clone()).await.unwrap().into_inner();
    assert_eq!(polled.flight_descriptor, Some(descriptor.clone()));

    draft.seal().unwrap();
    let polled = client.poll_flight_info(descriptor).await.unwrap().into_inner();
    assert_eq!((polled.flight_descriptor, polled.progress), (None, Some(1.0)));
    assert_eq!(polled.info.unwrap().total_bytes, 5);

    let missing = FlightDescriptor::new_path(vec!["x".into()]);
    assert_eq!(client.poll_flight_info(missing).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_that_is_listed_is_known() {
    let endpoint = Endpoint::start();
    let listed = client(&endpoint).await.list_actions(Empty {}).await.unwrap().into_inner();
    let listed: Vec<arrow_flight::ActionType> = listed.try_collect().await.unwrap();

    assert!(listed.len() > 8);
    for action in listed {
        assert!(!action.description.is_empty());
        if let Err(error) = act(&endpoint, &action.r#type, "").await {
            assert_ne!(error.code(), Code::Unimplemented, "{}", action.r#type);
        }
    }
    let error = act(&endpoint, "fly", "").await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_do_what_they_say() {
    let endpoint = Endpoint::start();
    fill(&endpoint, &["a", "b"]);

    let info = &act(&endpoint, "info", r#"{"name":"a","holders":true}"#).await.unwrap()[0];
    let info: serde_json::Value = serde_json::from_str(info).unwrap();
    assert_eq!((&info["rows"], &info["state"]), (&10.into(), &"sealed".into()));
    assert_eq!(act(&endpoint, "list", "").await.unwrap().len(), 2);
    assert!(act(&endpoint, "stat", "{}").await.unwrap()[0].contains("\"puts\":2"));

    act(&endpoint, "delete", r#"{"name":"a"}"#).await.unwrap();
    assert_eq!(list(&endpoint, "").await, ["b"]);

    for body in ["[]", "{", r#"{"name":"b","more":1}"#, "{}"] {
        let error = act(&endpoint, "info", body).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_object_or_at_its_limit() {
    let endpoint = Endpoint::start();
    let error = act(&endpoint, "wait", r#"{"name":"x","timeout_ms":300}"#).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);

    let draft = endpoint.store.create("d", 5, &PutOptions::default()).unwrap();
    let (waited, ()) =
        tokio::join!(act(&endpoint, "wait", r#"{"name":"d","timeout_ms":60000}"#), async {
            draft.seal().map(|_| ()).unwrap()
        });
    assert!(waited.unwrap()[0].contains("\"bytes\":5"));

    let draft = endpoint.store.create("gone", 5, &PutOptions::default()).unwrap();
    let store = endpoint.store.clone();
    let (waited, ()) =
        tokio::join!(act(&endpoint, "wait", r#"{"name":"gone","timeout_ms":60000}"#), async {
            let aborting = tokio::task::spawn_blocking(move || {
                while store.stat().unwrap().get("waits") == 0 {
                    std::thread::yield_now();
                }
                draft.abort().unwrap();
            });
            aborting.await.unwrap();
        });
    assert_eq!(waited.unwrap_err().code(), Code::Aborted);
}

async fn exchange(endpoint: &Endpoint, messages: Vec<FlightData>) -> Vec<FlightData> {
    let mut client = client(endpoint).await.max_decoding_message_size(64 << 20);
    let back = client.do_exchange(stream::iter(messages)).await.unwrap().into_inner();
    back.try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_sends_everything_back() {
    let endpoint = Endpoint::start();
    let mut messages = stream_of("ignored", &[numbers(100)]).await;
    messages[0].flight_descriptor = Some(FlightDescriptor::new_cmd("echo"));

    let back = exchange(&endpoint, messages.clone()).await;

    messages[0].flight_descriptor = None;
    assert_eq!(back, messages);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_with_a_name_stores_and_reads_back() {
    let endpoint = Endpoint::start();
    let batches = vec![numbers(100); 2];

    let back = exchange(&endpoint, stream_of("t", &batches).await).await;

    let decoded = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(
        stream::iter(back.into_iter().map(Ok)),
    );
    assert_eq!(decoded.try_collect::<Vec<_>>().await.unwrap(), batches);
    assert_eq!(endpoint.store.info("t", false).unwrap().rows, 200);
}

/// What a generic client is told of, by reflection.
pub(crate) async fn services(
    channel: Channel,
    token: Option<String>,
) -> Result<Vec<String>, Status> {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};

    let asked = MessageRequest::ListServices(String::new());
    let asked = ServerReflectionRequest { message_request: Some(asked), ..Default::default() };
    let mut request = Request::new(stream::iter([asked]));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token.parse().unwrap());
    }
    let mut client = ServerReflectionClient::new(channel);
    let answer = client.server_reflection_info(request).await?.into_inner().message().await?;
    match answer.unwrap().message_response {
        Some(MessageResponse::ListServicesResponse(told)) => {
            Ok(told.service.into_iter().map(|ServiceResponse { name }| name).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_tells_what_there_is_to_call() {
    let endpoint = Endpoint::start();

    let told = services(endpoint.channel().await, None).await.unwrap();

    for service in ["arrow.flight.protocol.FlightService", "grpc.health.v1.Health"] {
        assert!(told.iter().any(|name| name == service), "{told:?}");
    }
}
