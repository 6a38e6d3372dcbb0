"""Every call of a store, as a program makes it."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

import sheaf

TRADES = pa.table(
    {"k": np.arange(1000), "v": np.arange(1000) / 2, "s": [str(i) for i in range(1000)]}
)


@pytest.fixture(params=["near", "far"])
def store(request: pytest.FixtureRequest) -> Iterator[sheaf.Store]:
    """The same store by either door: both keep the same promises."""
    with sheaf.serve(memory="256MiB", flight="127.0.0.1:0") as served:
        if request.param == "near":
            yield served
            return
        with sheaf.connect(served.flight_urls[0], near=False) as far:
            yield far


@pytest.fixture
def near() -> Iterator[sheaf.Served]:
    """A store by its near door, for what only shared memory can do."""
    with sheaf.serve(memory="256MiB") as served:
        yield served


def test_a_table_comes_back_as_it_was_put(store):
    info = store.put("trades", TRADES)

    table = store.get("trades")

    assert pa.table(table).equals(TRADES)
    assert table.to_arrow().equals(TRADES)
    assert table.to_polars().to_arrow().cast(TRADES.schema).equals(TRADES)
    assert table.to_pandas()["k"].tolist() == list(range(1000))
    assert (table.num_rows, len(table), table.num_columns, table.num_batches) == (1000, 1000, 3, 1)
    assert table.name == "trades" and table.nbytes == info.nbytes and info.num_rows == 1000


def test_put_replaces_only_when_told_to(store):
    store.put("trades", TRADES)
    old = store.get("trades")
    with pytest.raises(sheaf.Exists, match="trades"):
        store.put("trades", TRADES)

    store.put("trades", TRADES.slice(0, 3), replace=True, droppable=False, wait=2.0)

    assert len(store.get("trades")) == 3
    assert len(old) == 1000 and old.to_arrow().equals(TRADES)


def test_metadata_of_the_object_and_of_the_schema_come_back(store):
    table = TRADES.replace_schema_metadata({"from": "here"})

    store.put("a", table, metadata=b"\x00\x01")
    store.put("b", table, metadata={"n": 1})
    store.put("c", table, metadata="text")

    assert store.get("a").metadata == b"\x00\x01" == store.info("a").metadata
    assert store.get("b").metadata == b'{"n": 1}'
    assert store.get("c").metadata == b"text"
    assert store.get("a").schema.metadata == {"from": "here"}
    with pytest.raises(TypeError, match="metadata is bytes, str or a dict, not int"):
        store.put("d", table, metadata=5)


def test_get_waits_when_it_is_given_time(store):
    threading.Timer(0.1, lambda: store.put("later", TRADES)).start()

    assert len(store.get("later", timeout=30)) == 1000


def test_get_many_waits_for_all_and_raises_the_first_error(store):
    store.put("a", TRADES)
    store.put("b", TRADES.slice(0, 5))

    [a, b, again] = store.get_many(["a", "b", "a"], timeout=1)

    assert (len(a), len(b), len(again)) == (1000, 5, 1000)
    with pytest.raises(sheaf.NotFound, match="nope"):
        store.get_many(["a", "nope"])
    with pytest.raises(TypeError, match="list of names"):
        store.get_many("ab")


def test_names_are_text_or_bytes(store):
    store.put_bytes("größe", b"1")
    store.put_bytes(b"\xff\x00", b"2")

    assert [info.name for info in store.list()] == ["größe", b"\xff\x00"]
    assert store.bytes(b"\xff\x00") == b"2" and "größe".encode() in store
    with pytest.raises(TypeError, match="a name is str or bytes, not int"):
        store.get(5)
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        store.get("")


def test_list_info_contains_and_delete_agree(store):
    store.put("pre/a", TRADES)
    store.put("pre/b", TRADES, droppable=True)
    store.put_bytes("other", b"bytes")

    assert [info.name for info in store.list("pre")] == ["pre/a", "pre/b"]
    assert len(store.list()) == 3
    info = store.info("pre/b")
    assert (info.kind, info.state, info.droppable) == ("table", "sealed", True)
    assert info.created <= info.sealed
    assert "pre/a" in store
    store.delete("pre/a")
    assert "pre/a" not in store
    with pytest.raises(KeyError):
        store.delete("pre/a")
    assert store.evict(1 << 40) > 0
    assert "pre/b" not in store


def test_a_draft_is_not_in_the_store_yet(near):
    draft = near.create("raw", 10)

    assert "raw" not in near
    assert near.info("raw").state == "draft"
    holders = near.info("raw", holders=True).holders
    assert [holder.writer for holder in holders] == [True]
    draft.abort()


def test_a_watch_tells_what_happens(near):
    near.put_bytes("pre/old", b"old")
    watch = near.watch("pre", replay=True)
    near.put_bytes("pre/a", b"hello", metadata=b"m")
    near.put_bytes("else", b"hello")
    near.delete("pre/a")

    events = []
    for event in watch:
        events.append((event.kind, event.name))
        if event.kind == "deleted":
            break

    assert ("sealed", "pre/old") in events
    assert events[-2:] == [("sealed", "pre/a"), ("deleted", "pre/a")]


def test_a_closed_watch_ends_in_the_thread_that_waits_for_it(near):
    watch = near.watch()
    ended = []
    thread = threading.Thread(target=lambda: ended.append(list(watch)))
    thread.start()

    watch.close()

    thread.join(30)
    assert ended == [[]]
    assert list(watch) == [] and "closed" in repr(watch)


def test_wait_does_not_hold(store):
    store.put("trades", TRADES)

    assert store.wait("trades", 1).num_rows == 1000
    assert store.info("trades", holders=True).holders == []
    with pytest.raises(TimeoutError):
        store.wait("nope", 0.01)


def test_bytes_are_read_only_and_whatever_has_a_buffer_can_be_put(store):
    for index, data in enumerate(
        [b"abc", bytearray(b"abc"), memoryview(b"abc"), np.frombuffer(b"abc", "u1")]
    ):
        store.put_bytes(f"b{index}", data)
        view = store.bytes(f"b{index}")
        assert view.readonly and bytes(view) == b"abc"
    store.put_bytes("empty", b"")
    assert bytes(store.bytes("empty")) == b""
    large = np.random.default_rng(1).bytes(5 << 20)
    store.put_bytes("large", large)
    assert store.bytes("large", timeout=1) == large
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        store.put_bytes("strided", np.arange(10)[::2])
    with pytest.raises(TypeError):
        store.put_bytes("text", "abc")


def test_a_tables_bytes_are_an_arrow_file(store):
    store.put("trades", TRADES)

    assert pa.ipc.open_file(pa.py_buffer(store.bytes("trades"))).read_all().equals(TRADES)


def test_what_is_no_table_is_refused_with_the_way_out(store):
    with pytest.raises(TypeError, match="put_bytes"):
        store.put("a", b"bytes")
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        store.put("a", {"k": [1]})
    store.put_bytes("raw", b"bytes")
    with pytest.raises(sheaf.Invalid, match="opaque bytes"):
        store.get("raw")


def test_a_failing_producer_is_told_in_its_own_words(store):
    def batches():
        yield TRADES.to_batches()[0]
        raise RuntimeError("the disk is on fire")

    reader = pa.RecordBatchReader.from_batches(TRADES.schema, batches())

    with pytest.raises(sheaf.Invalid, match="the disk is on fire"):
        store.put("a", reader)
    assert "a" not in store


def test_a_stream_that_was_read_is_refused(store):
    class Once:
        capsule = TRADES.__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema=None):
            return self.capsule

    once = Once()
    store.put("a", once)

    with pytest.raises(sheaf.Invalid, match="read already"):
        store.put("b", once)


def test_a_writer_takes_batches_and_seals_at_its_end(store):
    with store.writer("stream", TRADES.schema) as writer:
        for batch in TRADES.to_batches(max_chunksize=300):
            writer.write(batch)
        writer.write(TRADES)
        assert writer.nbytes > 0 and "stream" not in store

    table = store.get("stream")
    assert table.num_batches == 5 and len(table) == 2000
    with pytest.raises(sheaf.Invalid, match="sealed or aborted"):
        writer.write(TRADES)


def test_a_writer_aborts_on_an_exception(store):
    with pytest.raises(ZeroDivisionError):
        with store.writer("stream", {"k": "int64"}):
            1 / 0

    assert store.list() == []


def test_a_writer_refuses_batches_of_another_schema_and_goes_on(store):
    with store.writer("stream", {"k": "int64"}) as writer:
        with pytest.raises(ValueError):
            writer.write(pa.table({"x": ["a"]}))
        writer.write(pa.record_batch({"k": pa.array([1, 2])}))

    assert store.get("stream").to_arrow()["k"].to_pylist() == [1, 2]


def test_stat_counts(near):
    near.put("trades", TRADES)

    stat = near.stat()

    assert stat["puts"] == 1 and stat["store_pid"] == near.pid and stat["socket"] == near.socket


def test_a_closed_store_says_so_and_its_tables_stay(store):
    client = sheaf.connect(store.url)
    client.put("trades", TRADES)
    table = client.get("trades")

    client.close()

    assert client.closed and "closed" in repr(client)
    with pytest.raises(sheaf.Invalid, match="closed"):
        client.list()
    assert table.to_arrow().equals(TRADES)


def test_pickles_are_references(store):
    store.put("trades", TRADES)
    table = store.get("trades")

    again = pickle.loads(pickle.dumps(table))
    assert len(pickle.dumps(table)) < 300 and again.to_arrow().equals(TRADES)
    assert len(pickle.loads(pickle.dumps(store.ref("trades"))).get()) == 1000
    assert pickle.loads(pickle.dumps(sheaf.connect(store.url))).list() == store.list()
    assert pickle.loads(pickle.dumps(table.schema)) == table.schema

    frozen = pickle.dumps(table)
    store.put("trades", TRADES.slice(1), replace=True)
    with pytest.raises(sheaf.NotFound, match="replaced"):
        pickle.loads(frozen)


def test_schemas_and_infos_are_pickled_whole(near):
    nested = pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))])
    fields = [
        pa.field("nested", nested),
        pa.field("word", pa.dictionary(pa.int8(), pa.string())),
        pa.field("mass", pa.float64(), nullable=False, metadata={"unit": "kg"}),
    ]
    schema = sheaf.Schema(pa.schema(fields, metadata={"from": "here"}))
    draft = near.create("draft", 5)
    put = near.put("trades", TRADES, droppable=True, metadata=b"mine")
    told = [put, near.info("draft", holders=True), near.put_bytes(b"\xff", b"")]

    again = pickle.loads(pickle.dumps(schema))
    infos = pickle.loads(pickle.dumps(told))

    assert again == schema and again.metadata == {"from": "here"}
    assert again.to_arrow().field("mass").metadata == {b"unit": b"kg"}
    assert infos == told and [info.name for info in infos] == ["trades", "draft", b"\xff"]
    assert infos[0].metadata == b"mine" and infos[1].holders[0].pid == os.getpid()
    draft.abort()


def test_what_is_no_pickle_of_an_info_is_refused():
    with pytest.raises(sheaf.Invalid, match="not the parts"):
        sheaf.Info._of_parts((b"a", 7, 0, [0] * 7, False, b"", []))
    with pytest.raises(sheaf.Invalid):
        sheaf.Schema._of_file(b"no Arrow file")


def test_what_things_are_is_in_their_repr(near):
    near.put("trades", TRADES)
    near.put_bytes("raw", b"abc")
    with near.build("built", {"k": "int64"}, rows=3) as builder:
        pass

    assert repr(near) == f'Served("{near.url}")'
    assert repr(near.get("trades")).startswith("Table('trades': 1000 rows, 3 columns, 1 batch, ")
    assert repr(near.info("raw")) == "Info('raw': sealed bytes, 3 B)"
    assert repr(near.put("one", TRADES.slice(0, 1))).startswith("Info('one': sealed table, 1 row, ")
    assert repr(builder) == "Builder('built', 3 rows, ended; k: int64)"
    assert repr(near.get("trades").schema) == "Schema(k: int64?, v: float64?, s: string?)"
    assert repr(near.ref("raw")) == f"Ref(name='raw', url='{near.url}')"


def test_a_preview_shows_the_first_rows_escaped(store):
    store.put("t", pa.table({"<b>": ["<script>alert(1)</script>"] * 20, "n": [None] * 20}))

    html = store.get("t")._repr_html_()

    assert "<script>" not in html and "&lt;script&gt;" in html and "&lt;b&gt;" in html
    assert html.count("<tr>") == 11 and "10 more rows" in html and "null" in html


def test_what_is_long_is_shown_by_its_beginning(store):
    store.put("long", pa.table({"s": ["x" * 5_000_000, "é" * 80], "l": [list(range(1000))] * 2}))
    store.put("wide", pa.table({f"c{k}": [k] for k in range(5000)}))

    html = store.get("long")._repr_html_()

    assert f"<td>{'x' * 80}…</td>" in html and f"<td>{'é' * 80}</td>" in html and "[0, 1, 2" in html
    assert repr(store.get("wide")).endswith("c19: int64?, and 4980 more)")
    assert max(len(repr(store.get("wide"))), len(html)) < 1500


def test_a_schema_is_read_from_whatever_describes_one():
    schema = sheaf.Schema(
        {"a": "int64", "b": "timestamp[ns, tz=UTC]?", "c": np.float32, "d": pa.string()}
    )

    assert schema.types == ["int64", "timestamp[ns, tz=UTC]", "float32", "string"]
    assert schema["b"] == "timestamp[ns, tz=UTC]" and "c" in schema and list(schema) == list("abcd")
    arrow = pa.schema(schema)
    assert arrow.field("b").nullable and not arrow.field("a").nullable
    assert sheaf.Schema(arrow) == schema
    with pytest.raises(sheaf.Invalid, match="no type is called"):
        sheaf.Schema({"a": "integer"})


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_time_limits_that_are_none_are_refused(store, seconds):
    with pytest.raises(ValueError, match="0 or more seconds"):
        store.get("a", timeout=seconds)
