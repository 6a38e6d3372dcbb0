//! The client of both doors: which one a URL leads to, and what the far one keeps of its promises.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch};
use arrow_array::{StringArray, StructArray};
use arrow_schema::{DataType, Field};
use sheaf_flight::{Address, AnyDoor, FarClient, FarOptions, FarTls, connect};
use sheaf_store::{ConnectOptions, Kind, PutOptions, Store};

use crate::get::numbers;
use crate::guard::Guarded;
use crate::harness::Endpoint;
use crate::sockets::Authority;

fn url(endpoint: &Endpoint) -> String {
    format!("grpc://{}", endpoint.flight.addresses()[0])
}

fn far(endpoint: &Endpoint) -> FarClient {
    FarClient::connect(&url(endpoint), &FarOptions::default()).unwrap()
}

fn read(store: &dyn Store, name: &str) -> Vec<RecordBatch> {
    let table = store.get(name.as_bytes()).unwrap().table().unwrap();
    table.batches().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_store_of_this_machine_is_mapped() {
    let endpoint = Endpoint::start();
    endpoint.store.put_bytes("b", &[1; 2 << 20], &PutOptions::default()).unwrap();

    let door = connect(&url(&endpoint), &FarOptions::default()).unwrap();

    assert!(door.near().is_some());
    assert_eq!(door.url(), format!("unix:{}", endpoint.store.socket().display()));
    assert!(door.get(b"b").unwrap().mapped_range().is_some());
    let streams = FarOptions { always_stream: true, ..FarOptions::default() };
    let door = connect(&url(&endpoint), &streams).unwrap();
    assert!(door.near().is_none());
    assert_eq!(door.url(), url(&endpoint));
    assert!(door.get(b"b").unwrap().mapped_range().is_none());
}

#[test]
fn another_store_behind_the_hint_is_not_taken_for_it() {
    let endpoint = Endpoint::start();
    endpoint.store.put_bytes("b", b"right", &PutOptions::default()).unwrap();
    // The endpoint goes on telling of a socket behind which another store is now.
    let socket = endpoint.store.socket().to_owned();
    let other = Endpoint::start();
    other.store.put_bytes("b", b"wrong", &PutOptions::default()).unwrap();
    std::fs::remove_file(&socket).unwrap();
    std::os::unix::fs::symlink(other.store.socket(), &socket).unwrap();

    let door = connect(&url(&endpoint), &FarOptions::default()).unwrap();

    assert!(matches!(door, AnyDoor::Far(_)));
    assert_eq!(door.get(b"b").unwrap().as_bytes(), b"right");
}

#[test]
fn a_socket_that_is_no_store_is_not_asked_twice() {
    let endpoint = Endpoint::start();
    let socket = endpoint.store.socket().to_owned();
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, b"a file").unwrap();

    assert!(connect(&url(&endpoint), &FarOptions::default()).unwrap().near().is_none());
}

/// Batches of every shape that takes a way of its own: dictionaries, nulls, nesting, slices.
fn odd(first: i64) -> RecordBatch {
    let words = ["a", "b", "c"].map(|word| format!("{word}{first}"));
    let keys = (0..900).map(|row| (row % 7 != 0).then(|| words[row % 3].as_str()));
    let words: DictionaryArray<Int32Type> = keys.collect();
    let lists = (0..900).map(|row| (row % 5 != 0).then(|| (0..row % 4).map(Some)));
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
    let text: ArrayRef = Arc::new(StringArray::from_iter(
        (0..900).map(|row| (row % 3 != 0).then(|| format!("row {row}"))),
    ));
    let number: ArrayRef = Arc::new(Int64Array::from_iter((0..900).map(|row| Some(row + first))));
    let both = StructArray::from(vec![
        (Arc::new(Field::new("text", DataType::Utf8, true)), text),
        (Arc::new(Field::new("number", DataType::Int64, true)), number),
    ]);
    let columns = [
        ("words", Arc::new(words) as ArrayRef),
        ("lists", Arc::new(lists)),
        ("both", Arc::new(both)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
        .slice(3, 801)
}

#[test]
fn dictionaries_nulls_and_nesting_come_back_from_put_and_from_writer() {
    let endpoint = Endpoint::start();
    let far = far(&endpoint);
    let batches = [odd(0), odd(10), odd(0)];
    let schema = batches[0].schema();

    let put = far.put(b"put", &schema, &batches, &PutOptions::default()).unwrap();
    let mut writer = far.writer(b"written", &schema, &PutOptions::default()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    let written = writer.finish().unwrap();

    assert_eq!((put.rows, put.batches, written.rows, written.batches), (2403, 3, 2403, 3));
    for name in ["put", "written"] {
        assert_eq!(read(&far, name), batches, "{name}, streamed");
        assert_eq!(read(&endpoint.store, name), batches, "{name}, mapped");
        // It is a file like the store's own.
        let mapped = endpoint.store.get(name).unwrap();
        let streamed = Store::get(&far, name.as_bytes()).unwrap();
        assert_eq!(streamed.info(), mapped.info());
        assert_eq!(streamed.buffer().as_ptr().align_offset(64), 0);
    }
}

#[test]
fn a_batch_is_not_cut_for_a_client_that_takes_it_whole() {
    let endpoint = Endpoint::start();
    let batch = numbers(300_000);
    let none = PutOptions::default();
    endpoint.store.put("t", &batch.schema(), std::slice::from_ref(&batch), &none).unwrap();

    assert_eq!(read(&far(&endpoint), "t"), [batch]);
}

#[test]
fn many_are_got_at_once_and_all_are_waited_for_together() {
    let endpoint = Endpoint::start();
    let far = far(&endpoint);
    let names: Vec<_> = (0..40).map(|index| format!("o{index}").into_bytes()).collect();
    for name in &names[1..] {
        far.put_bytes(name, name, &PutOptions::default()).unwrap();
    }
    let asked: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let start = Instant::now();

    let got = far.get_many(&asked, Duration::from_millis(100)).unwrap();

    assert_eq!(got[0].as_ref().unwrap_err().kind(), Kind::Timeout);
    assert!(start.elapsed() >= Duration::from_millis(100));
    for (name, object) in names.iter().zip(&got).skip(1) {
        assert_eq!(object.as_ref().unwrap().as_bytes(), name);
    }
}

#[test]
fn a_wait_ends_when_the_program_says_so() {
    static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    fn third_time() -> bool {
        ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 2
    }
    let endpoint = Endpoint::start();
    let connect = ConnectOptions { interrupted: Some(third_time), ..ConnectOptions::default() };
    let options = FarOptions { connect, ..FarOptions::default() };
    let far = FarClient::connect(&url(&endpoint), &options).unwrap();

    let told = far.get_timeout(b"never", Duration::MAX).unwrap_err();

    assert_eq!(told.kind(), Kind::Interrupted);
    let start = Instant::now();
    while endpoint.store.stat().unwrap().get("waits") > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "the server still waits for it");
    }
}

#[test]
fn who_shows_no_token_is_told_so_and_a_reader_may_not_write() {
    let guarded = Guarded::start();
    let url = url(&guarded.endpoint);
    let with = |token: &str| FarOptions {
        token: Some(token.to_owned()),
        always_stream: true,
        ..FarOptions::default()
    };

    for options in [FarOptions::default(), with("wrong")] {
        let told = connect(&url, &options).unwrap_err();
        assert_eq!(told.kind(), Kind::Denied, "{told}");
    }
    assert_eq!(connect(&url, &with("a\nb")).unwrap_err().kind(), Kind::Invalid);

    let writer = connect(&url, &with(&guarded.writer.secret)).unwrap();
    writer.put_bytes(b"b", b"1", &PutOptions::default()).unwrap();
    let reader = connect(&url, &with(&guarded.reader.secret)).unwrap();
    assert_eq!(reader.get(b"b").unwrap().as_bytes(), b"1");
    let put = reader.put_bytes(b"c", b"1", &PutOptions::default()).unwrap_err();
    assert_eq!(put.kind(), Kind::Denied);
    assert_eq!(reader.delete(b"b").unwrap_err().kind(), Kind::Denied);
}

#[test]
fn over_tls_with_certificates_on_both_sides() {
    let authority = Authority::new();
    let server = authority.server(true);
    let endpoint = Endpoint::with(|options| options.tls = Some(server));
    let url = url(&endpoint).replace("grpc://", "grpc+tls://");
    let stranger = FarTls { ca: Some(authority.ca()), ..FarTls::default() };
    let named = FarTls { server_name: Some("localhost".into()), ..stranger.clone() };
    let known = FarTls { identity: Some(authority.client_files()), ..named.clone() };
    let with = |tls: &FarTls| {
        let options = FarOptions { tls: tls.clone(), always_stream: true, ..FarOptions::default() };
        connect(&url, &options)
    };

    let door = with(&known).unwrap();
    door.put_bytes(b"b", &[1; 3 << 20], &PutOptions::default()).unwrap();
    assert_eq!(door.get(b"b").unwrap().as_bytes(), [1; 3 << 20]);

    for tls in [FarTls::default(), stranger, named] {
        let told = with(&tls).unwrap_err();
        assert_eq!(told.kind(), Kind::Unavailable, "{tls:?}: {told}");
        assert!(told.message().contains(&url), "{told}");
    }
    let plain = FarOptions { tls: known, ..FarOptions::default() };
    assert_eq!(connect("grpc://127.0.0.1:1", &plain).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn through_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flight.sock");
    let address = Address::Unix(path.clone());
    let endpoint = Endpoint::with(|options| options.addresses = vec![address]);
    endpoint.store.put_bytes("b", b"1", &PutOptions::default()).unwrap();

    let url = format!("grpc+unix://{}", path.display());
    let far = FarClient::connect(&url, &FarOptions::default()).unwrap();

    assert_eq!(Store::get(&far, b"b").unwrap().as_bytes(), b"1");
    assert_eq!(far.url(), url);
}

#[test]
fn nobody_there_is_an_error_that_says_where() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    drop(listener);

    let told = connect(&url, &FarOptions::default()).unwrap_err();

    assert_eq!(told.kind(), Kind::Unavailable);
    assert!(told.message().contains(&url) && told.message().contains("refused"), "{told}");
}

#[test]
fn a_client_finds_an_endpoint_that_is_back() {
    let first = Endpoint::start();
    let address = first.flight.addresses()[0].clone();
    let far = far(&first);
    far.put_bytes(b"b", b"1", &PutOptions::default()).unwrap();

    drop(first);
    assert_eq!(Store::get(&far, b"b").unwrap_err().kind(), Kind::Unavailable);
    let _second = Endpoint::with(|options| options.addresses = vec![address]);

    let start = Instant::now();
    loop {
        match Store::get(&far, b"b") {
            Err(told) if told.kind() == Kind::NotFound => break,
            told => assert!(start.elapsed() < Duration::from_secs(30), "{told:?}"),
        }
    }
}

#[test]
fn a_client_may_be_dropped_and_used_within_other_futures() {
    let endpoint = Endpoint::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let far = far(&endpoint);
        assert_eq!(Store::get(&far, b"b").unwrap_err().kind(), Kind::NotFound);
        drop(far);
    });
}
