//! DoGet: every type, large batches cut, errors.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_flight::Ticket;
use arrow_flight::error::FlightError;
use futures_util::TryStreamExt;
use sheaf_store::PutOptions;

use crate::harness::Endpoint;

pub(crate) fn numbers(rows: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let some = Float64Array::from_iter((0..rows).map(|row| (row % 3 > 0).then_some(row as f64)));
    let words = StringArray::from_iter_values((0..rows).map(|row| format!("row {row}")));
    RecordBatch::try_from_iter([("id", ids), ("some", Arc::new(some)), ("word", Arc::new(words))])
        .unwrap()
}

async fn read(endpoint: &Endpoint, ticket: impl Into<bytes::Bytes>) -> Vec<RecordBatch> {
    let ticket = Ticket::new(ticket);
    let stream = endpoint.client().await.do_get(ticket).await.unwrap();
    stream.try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_comes_back_as_it_was_put() {
    let endpoint = Endpoint::start();
    let all = numbers(1000);
    let batches = [all.slice(0, 10), all.slice(7, 0), all.slice(3, 100)];
    endpoint.store.put("t", &batches[0].schema(), &batches, &PutOptions::default()).unwrap();

    assert_eq!(read(&endpoint, "t").await, batches);
    assert_eq!(read(&endpoint, r#"{"name":"t"}"#).await, batches);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_comes_in_messages_that_everyone_takes() {
    let endpoint = Endpoint::start();
    let batch = numbers(1_000_000);
    endpoint
        .store
        .put("t", &batch.schema(), std::slice::from_ref(&batch), &PutOptions::default())
        .unwrap();

    let pieces = read(&endpoint, "t").await;

    assert!(pieces.len() > 5, "{} pieces", pieces.len());
    let mut start = 0;
    for piece in &pieces {
        assert_eq!(*piece, batch.slice(start, piece.num_rows()));
        start += piece.num_rows();
    }
    assert_eq!(start, batch.num_rows());
}

#[tokio::test(flavor = "multi_thread")]
async fn opaque_bytes_come_in_chunks() {
    let endpoint = Endpoint::start();
    let bytes: Vec<u8> = (0..5_000_001).map(|at| (at * 7) as u8).collect();
    endpoint.store.put_bytes("b", &bytes, &PutOptions::default()).unwrap();
    endpoint.store.put_bytes("none", b"", &PutOptions::default()).unwrap();

    let batches = read(&endpoint, "b").await;

    let mut got = Vec::new();
    for batch in &batches {
        let column = batch.column(0).as_any().downcast_ref::<arrow_array::BinaryArray>().unwrap();
        column.iter().for_each(|chunk| got.extend_from_slice(chunk.unwrap()));
    }
    assert!(got == bytes);
    assert!(read(&endpoint, "none").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let endpoint = Endpoint::start();

    let error = endpoint.client().await.do_get(Ticket::new("x")).await.err().unwrap();

    let FlightError::Tonic(status) = error else { panic!("{error}") };
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(status.message().contains('x'), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_when_its_object_is_deleted() {
    let endpoint = Endpoint::start();
    let batches = vec![numbers(50_000); 20];
    endpoint.store.put("t", &batches[0].schema(), &batches, &PutOptions::default()).unwrap();
    let mut stream = endpoint.client().await.do_get(Ticket::new("t")).await.unwrap();
    let first = stream.try_next().await.unwrap().unwrap();

    endpoint.store.delete("t").unwrap();

    let mut got = vec![first];
    got.extend(stream.try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(got, batches);
}
