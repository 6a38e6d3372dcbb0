"""Whose memory it is: addresses prove that nothing is copied, and that what lives on stays valid."""

from __future__ import annotations

import ctypes
import gc

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sheaf

ROWS = 200_000


def within(table: sheaf.Table, address: int) -> bool:
    assert table._mapped
    return table._address <= address < table._address + table.nbytes


def numbers() -> pa.Table:
    return pa.table({"k": np.arange(ROWS), "v": np.arange(ROWS) / 3})


def test_pyarrow_points_into_the_store(store):
    store.put("t", numbers())
    table = store.get("t")

    for column in pa.table(table).columns:
        assert within(table, column.chunks[0].buffers()[1].address)


def test_polars_points_into_the_store(store):
    store.put("t", numbers())
    table = store.get("t")

    for series in table.to_polars():
        assert within(table, series.to_numpy(allow_copy=False).ctypes.data)
    assert table.to_polars()["k"].sum() == ROWS * (ROWS - 1) // 2


def test_pandas_and_numpy_point_into_the_store_and_cannot_write(store):
    store.put("t", numbers())
    table = store.get("t")

    frame = table.to_pandas()

    for name in ("k", "v"):
        array = frame[name].to_numpy()
        assert within(table, array.ctypes.data)
        assert not array.flags.writeable


def test_duckdb_reads_a_table(store):
    store.put("t", numbers())
    trades = store.get("t")

    assert duckdb.sql("select count(*) from trades").fetchall() == [(len(trades),)]
    assert duckdb.sql("select sum(k) from trades").fetchall() == [(ROWS * (ROWS - 1) // 2,)]


@pytest.mark.parametrize("rows", [3, ROWS])
def test_every_producer_is_taken_as_it_is(store, rows):
    expected = numbers().slice(0, rows)
    frame = expected.to_pandas()
    producers = {
        "table": expected,
        "batch": expected.combine_chunks().to_batches()[0],
        "reader": expected.to_reader(),
        "struct": pa.array(expected.combine_chunks().to_batches()[0].to_struct_array()),
        "pandas": frame,
        "polars": pl.DataFrame(expected),
        "duckdb": duckdb.sql("select * from frame"),
    }

    for name, producer in producers.items():
        store.put(name, producer)
        assert store.get(name).to_arrow().select(["k", "v"]).to_pydict() == expected.to_pydict()


def test_strings_dictionaries_and_nests_survive(store):
    frame = pl.DataFrame({"s": ["a", None, "long enough to be no inline view"], "c": ["x", "y", "x"], "l": [[1], [], None]})
    frame = frame.with_columns(pl.col("c").cast(pl.Categorical))

    store.put("polars", frame)
    store.put("pandas", pd.DataFrame({"s": pd.Series(["a", None], dtype="str"), "n": [1.5, None]}, index=[7, 8]))

    assert store.get("polars").to_polars()["s"].to_list() == frame["s"].to_list()
    assert store.get("polars").to_polars()["l"].to_list() == frame["l"].to_list()
    assert store.get("pandas").to_pandas().index.tolist() == [7, 8]


def test_a_lone_column_is_a_table_of_one(store):
    store.put("series", pl.Series("x", [1, 2]))
    store.put("array", pa.array([1, None]))

    assert store.get("series").to_arrow().to_pydict() == {"x": [1, 2]}
    assert store.get("array").to_arrow().to_pydict() == {"value": [1, None]}


def test_null_rows_are_refused(store):
    with pytest.raises(sheaf.Invalid, match="1 whole rows are null"):
        store.put("t", pa.array([{"a": 1}, None]))


def test_data_outlives_table_name_and_store():
    store = sheaf.serve(memory="64MiB")
    store.put("t", numbers())
    arrow = store.get("t").to_arrow()
    view = store.bytes("t")

    store.delete("t")
    store.close()
    del store
    gc.collect()

    assert arrow["k"].to_numpy().sum() == ROWS * (ROWS - 1) // 2
    assert bytes(view[:6]) == b"ARROW1"


@pytest.mark.parametrize("rows", [10, ROWS])
def test_built_columns_are_the_shared_memory(store, rows):
    with store.build("prices", {"k": "int64", "v": "float64"}, rows=rows) as builder:
        builder["k"][:] = np.arange(rows)
        builder["v"][:] = np.arange(rows) / 2
        assert builder["k"].ctypes.data == builder["k"].ctypes.data
        assert builder["k"].base is not None and builder["k"].flags.writeable

    table = store.get("prices").to_arrow()
    assert table["k"].to_numpy().tolist() == list(range(rows))
    assert (table["v"].to_numpy() == np.arange(rows) / 2).all()


def test_every_type_of_fixed_width_can_be_built(store):
    plain = [*(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)), "float16", "float32", "float64"]
    times = ["date32", "date64", "time32[s]", "time64[ns]", "timestamp[us]", "timestamp[ns, tz=UTC]", "duration[ms]"]
    schema = pa.schema({
        **{word: pa.Schema.field(pa.schema(sheaf.Schema({"x": word})), 0).type for word in plain + times},
        "bits": pa.bool_(),
        "wide": pa.binary(3),
        "decimal": pa.decimal128(10, 2),
        "vector": pa.list_(pa.float32(), 4),
    })

    with store.build("all", schema, rows=9) as builder:
        for word in plain:
            builder[word][:] = np.arange(9).astype(builder[word].dtype)
            assert builder[word].dtype == np.dtype(word)
        builder["timestamp[us]"][:] = np.datetime64("2024-01-01T00:00:00")
        builder["duration[ms]"] = np.timedelta64(5, "s")
        builder["bits"] = np.arange(9) % 3 == 0
        builder["wide"] = np.array([b"abc"] * 9).view("V3")
        builder["vector"][:] = np.arange(36).reshape(9, 4)
        builder.validity("int8")[:] = [0b11111110, 0xFF]

    got = store.get("all").to_arrow()
    assert got.schema == schema
    assert got["int8"].to_pylist() == [None, *range(1, 9)]
    assert got["bits"].to_pylist() == [i % 3 == 0 for i in range(9)]
    assert got["wide"].to_pylist() == [b"abc"] * 9
    assert got["vector"][8].as_py() == [32, 33, 34, 35]
    assert str(got["timestamp[us]"][0]) == "2024-01-01 00:00:00"
    with pytest.raises(ValueError, match="no fixed width"):
        store.build("text", {"s": "string"}, rows=1)


def test_a_build_is_aborted_on_an_exception_and_refuses_unknown_columns(store):
    with pytest.raises(KeyError, match="no column"):
        with store.build("prices", {"k": "int64"}, rows=3) as builder:
            builder["x"]

    assert store.list() == []
    with pytest.raises(BufferError, match="sealed or aborted"):
        builder["k"]


@pytest.mark.parametrize("rows", [10, ROWS])
@pytest.mark.parametrize("end", ["seal", "abort"])
def test_arrays_outlive_seal_and_abort_and_reach_nobody(store, rows, end):
    builder = store.build("prices", {"k": "int64"}, rows=rows)
    array = builder["k"]
    array[:] = 7
    address = array.ctypes.data

    getattr(builder, end)()
    del builder
    gc.collect()

    assert array.ctypes.data == address and array.sum() == 7 * rows
    array[:] = 9
    assert array.sum() == 9 * rows
    if end == "seal":
        assert store.get("prices").to_arrow()["k"].to_numpy().sum() == 7 * rows
    else:
        assert "prices" not in store


@pytest.mark.parametrize("size", [0, 10, 5 << 20])
def test_a_draft_is_written_through_its_memoryview(store, size):
    draft = store.create("raw", size)
    assert isinstance(draft, sheaf.Buffer) and (len(draft), draft.nbytes) == (size, size)
    view = memoryview(draft)
    assert not view.readonly and bytes(view) == bytes(size)
    view[:] = b"x" * size

    draft.seal()

    assert bytes(view) == b"x" * size == bytes(store.bytes("raw"))
    view[:] = b"y" * size
    assert bytes(store.bytes("raw")) == b"x" * size
    with pytest.raises(BufferError):
        memoryview(draft)
    with pytest.raises(sheaf.Invalid):
        draft.seal()


def test_a_draft_seals_with_its_block_and_aborts_on_an_exception(store):
    with store.create("good", 3) as draft:
        memoryview(draft)[:] = b"abc"
    with pytest.raises(ZeroDivisionError):
        with store.create("bad", 3):
            1 / 0
    store.create("dropped", 3)
    gc.collect()

    assert bytes(store.bytes("good")) == b"abc"
    assert [info.name for info in store.list()] == ["good"]


def test_a_buffer_is_made_by_a_store_only():
    for kind in (sheaf.Buffer, sheaf.Draft):
        with pytest.raises(TypeError, match="a store makes these"):
            kind()


def test_sealed_memory_cannot_be_written(store):
    store.put_bytes("large", bytes(5 << 20))
    view = store.bytes("large")

    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises((TypeError, BufferError)):
        ctypes.c_char.from_buffer(view)


def test_memory_and_descriptors_end_where_they_began(store):
    import os

    def rounds(count):
        for index in range(count):
            store.put("t", small)
            table = store.get("t")
            table.to_arrow(), store.bytes("t"), table.schema, table.info
            store.delete("t")
        draft = store.create("d", 2 << 20)
        memoryview(draft)
        draft.seal()
        del table, draft
        store.delete("d")

    def resident():
        with open("/proc/self/statm") as told:
            return int(told.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    small = pa.table({"k": [1, 2, 3]})
    rounds(200)
    gc.collect()
    memory, descriptors = resident(), len(os.listdir("/proc/self/fd"))

    rounds(2000)

    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident() - memory < 4 << 20
    assert store.stat()["held"] == 0


@pytest.mark.parametrize("rows", [10, ROWS])
@pytest.mark.parametrize("end", ["seal", "abort"])
def test_arrays_outlive_a_store_that_dies(store, rows, end):
    builder = store.build("prices", {"k": "int64"}, rows=rows)
    array = builder["k"]
    array[:] = 7
    store._child.signal(9)
    assert store._child.wait(30)

    with pytest.raises(sheaf.Unavailable):
        getattr(builder, end)()

    assert array.sum() == 7 * rows
    del builder
    gc.collect()
    array[:] = 9
    assert array.sum() == 9 * rows
