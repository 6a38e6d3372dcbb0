//! The parts, one at a time and without a socket: `cargo bench -p sheaf-bench`.
//!
//! These say where a change went; what a user gets is in `ratios`.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use bytes::Bytes;
use divan::{Bencher, black_box};
use sheaf_bench::tables::batch;
use sheaf_ipc::{File, Plan};
use sheaf_store::protocol::message::{Label, Put, PutItem, Request};
use sheaf_store::room::{ClientId, Config, Create, Effect, Room, Ticket};
use sheaf_store::{Name, ObjectKind, Peer, PutOptions};

/// A tiny table, and one that no cache holds.
const SIZES: [usize; 2] = [1 << 10, 64 << 20];

fn main() {
    divan::main();
}

fn plan(table: &RecordBatch) -> Plan {
    Plan::new(&table.schema(), std::slice::from_ref(table)).expect("the batch has this schema")
}

fn name(index: u64) -> Name {
    Name::new(format!("object-{index}")).expect("a short name")
}

#[divan::bench(args = SIZES)]
fn ipc_plan(bencher: Bencher<'_, '_>, bytes: usize) {
    let table = batch(bytes);
    bencher.bench(|| plan(&table));
}

#[divan::bench(args = SIZES)]
fn ipc_write(bencher: Bencher<'_, '_>, bytes: usize) {
    let table = batch(bytes);
    let plan = plan(&table);
    let mut target = vec![0; plan.len()];
    bencher.bench_local(|| plan.fill(black_box(&mut target), 1));
}

#[divan::bench(args = SIZES)]
fn ipc_open(bencher: Bencher<'_, '_>, bytes: usize) {
    let table = batch(bytes);
    let plan = plan(&table);
    let mut file = vec![0; plan.len()];
    plan.fill(&mut file, 1);
    let file = Buffer::from_slice_ref(&file);
    bencher.bench(|| File::open(file.clone()));
}

#[divan::bench]
fn protocol_put_of_a_hundred(bencher: Bencher<'_, '_>) {
    let data = Bytes::from(vec![7; 1 << 10]);
    let options = PutOptions::default();
    let item = |index| PutItem {
        label: Label::new(name(index), ObjectKind::Bytes, &options),
        data: data.clone(),
    };
    let put = Request::from(Put { items: (0..100).map(item).collect() });
    bencher.bench(|| {
        let mut out = Vec::new();
        black_box(&put).put(&mut out);
        Request::take(put.code(), Bytes::from(out))
    });
}

#[divan::bench]
fn room_put_and_get(bencher: Bencher<'_, '_>) {
    let mut room = Room::new(Config::for_budget(1 << 30));
    let client = ClientId(1);
    room.connect(client, Peer { pid: 1, uid: 0, command: String::new() });
    let mut next = 0;
    bencher.bench_local(|| {
        next += 1;
        let create = Create {
            name: name(next % 1000),
            kind: ObjectKind::Bytes,
            bytes: 1 << 10,
            replace: true,
            replaces: None,
            droppable: false,
            metadata: [].into(),
            deadline_ms: None,
        };
        room.put(next, client, Ticket(2 * next), create, 0, 0);
        for effect in room.take_effects() {
            if let Effect::GrowSegment { container, allocated } = effect {
                room.segment_grown(container, allocated);
            }
        }
        room.get(next, client, Ticket(2 * next + 1), vec![name(next % 1000)], None, false);
        black_box(room.take_effects())
    });
}
