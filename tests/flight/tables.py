"""Tables of every type that Arrow has, as pyarrow makes them."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12)


def numbers() -> dict[str, pa.Array]:
    types = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
    types += [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()]
    found = {str(kind): pa.array([1, None, 100, 0], kind) for kind in types}
    found["float16"] = pa.array([1.5, None, 0.25, -2.0], pa.float32()).cast(pa.float16())
    found["bool"] = pa.array([True, None, False, True])
    found["null"] = pa.nulls(4)
    for kind in (pa.decimal32(7, 2), pa.decimal64(12, 2), pa.decimal128(30, 3)):
        found[str(kind)] = pa.array([decimal.Decimal("1.25"), None, None, 7], kind)
    found["decimal256"] = pa.array([decimal.Decimal("1.25"), None, None, 7], pa.decimal256(60, 4))
    return found


def times() -> dict[str, pa.Array]:
    found = {
        "date32": pa.array([DAY, None, DAY, DAY], pa.date32()),
        "date64": pa.array([DAY, None, DAY, DAY], pa.date64()),
        "month_day_nano": pa.array(
            [(1, 2, 3), None, (0, 0, 1), (5, 5, 5)], pa.month_day_nano_interval()
        ),
    }
    for unit in ("s", "ms"):
        found[f"time32 {unit}"] = pa.array([1, None, 3, 4], pa.time32(unit))
    for unit in ("us", "ns"):
        found[f"time64 {unit}"] = pa.array([1, None, 3, 4], pa.time64(unit))
    for unit in ("s", "ms", "us", "ns"):
        found[f"timestamp {unit}"] = pa.array([NOON, None, NOON, NOON], pa.timestamp(unit))
        found[f"timestamp {unit} tz"] = pa.array(
            [1, None, 3, 4], pa.timestamp(unit, "Europe/Berlin")
        )
        found[f"duration {unit}"] = pa.array([1, None, 3, 4], pa.duration(unit))
    return found


def texts() -> dict[str, pa.Array]:
    words = ["", None, "a rather long text, longer than a view holds inline", "é"]
    kinds = [pa.string(), pa.large_string(), pa.string_view()]
    kinds += [pa.binary(), pa.large_binary(), pa.binary_view()]
    found = {str(kind): pa.array(words, pa.string()).cast(kind) for kind in kinds}
    found["fixed"] = pa.array([b"abc", None, b"xyz", b"\0\0\0"], pa.binary(3))
    return found


def nested() -> dict[str, pa.Array]:
    lists = [[1, None], None, [], [3]]
    kinds = [pa.list_(pa.int32()), pa.large_list(pa.int32()), pa.list_view(pa.int32())]
    kinds += [pa.large_list_view(pa.int32()), pa.list_(pa.list_(pa.string()))]
    found = {str(kind): pa.array(lists, kind) for kind in kinds[:4]}
    found["list of list"] = pa.array([[["a"], None], None, [], [["b", None]]], kinds[4])
    found["fixed list"] = pa.array([[1, 2], None, [3, None], [5, 6]], pa.list_(pa.int16(), 2))
    found["struct"] = pa.array(
        [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 4, "b": None}]
    )
    found["map"] = pa.array([[("a", 1)], None, [], [("b", None)]], pa.map_(pa.string(), pa.int32()))
    kinds8 = pa.array([0, 1, 0, 1], pa.int8())
    children = [pa.array([1, 2, 3, 4]), pa.array(["a", "b", "c", "d"])]
    found["sparse union"] = pa.UnionArray.from_sparse(kinds8, children)
    offsets = pa.array([0, 0, 1, 1], pa.int32())
    found["dense union"] = pa.UnionArray.from_dense(kinds8, offsets, children)
    found["runs"] = pa.RunEndEncodedArray.from_arrays([2, 4], ["a", "b"])
    return found


def dictionaries() -> dict[str, pa.Array]:
    words = pa.array(["a", None, "b", "a"])
    plain = words.dictionary_encode()
    ordered = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None, 0], pa.int16()), ["x", "y"], ordered=True
    )
    inside = pa.StructArray.from_arrays([plain], ["d"])
    return {"dictionary": plain, "ordered": ordered, "in a struct": inside}


EVERY = numbers() | times() | texts() | nested() | dictionaries()


def table_of(arrays: dict[str, pa.Array]) -> pa.Table:
    table = pa.table(arrays)
    return table.replace_schema_metadata({"who": "me"})


SPECIAL = {
    "no columns": pa.table({}),
    "no rows": pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())}),
    "twice": pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["same", "same"]),
    "not null": pa.table(
        [pa.array([1, 2])], pa.schema([pa.field("a", pa.int64(), nullable=False)])
    ),
    "field metadata": pa.table(
        [pa.array([1])], pa.schema([pa.field("a", pa.int64(), metadata={"k": "v"})])
    ),
    "extension": pa.table(
        {"u": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))}
    ),
}
