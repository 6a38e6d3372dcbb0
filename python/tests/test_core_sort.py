"""`store.sort`: every way to say what by, what it returns, and how it ends early."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sheaf


@pytest.fixture
def flights(store: sheaf.Store) -> pa.Table:
    rng = np.random.default_rng(7)
    table = pa.table(
        {
            "time": pa.array(rng.integers(0, 1000, 100_000), mask=rng.random(100_000) < 0.1),
            "carrier": rng.choice(["AA", "LH", "SQ", None], 100_000).tolist(),
            "delay": rng.normal(size=100_000),
        }
    )
    store.put("flights", table)
    return table


@pytest.mark.filterwarnings("ignore:Specifying null_placement")
@pytest.mark.parametrize(
    ("by", "keys", "placement"),
    [
        ("delay", [("delay", "ascending")], "at_end"),
        (["time", "delay"], [("time", "ascending"), ("delay", "ascending")], "at_end"),
        (
            [("carrier", "desc", "nulls_first"), ("time", "nulls_first"), "delay"],
            [("carrier", "descending"), ("time", "ascending"), ("delay", "ascending")],
            "at_start",
        ),
    ],
)
def test_order_is_that_of_pyarrow(
    store: sheaf.Store, flights: pa.Table, by: object, keys: list[tuple[str, str]], placement: str
) -> None:
    if by == "delay" or placement == "at_start":
        order = pc.sort_indices(flights, sort_keys=keys, null_placement=placement)
        expected = flights.take(order)
    else:
        expected = flights.sort_by(keys)

    sorted_table = store.sort("flights", by, into="sorted").to_arrow()

    assert sorted_table.replace_schema_metadata(None).equals(expected)
    assert store.get("sorted").num_rows == 100_000
    told = json.loads(sorted_table.schema.metadata[b"sheaf.sorted_by"])
    assert [key["column"] for key in told] == [key for key, _ in keys]


def test_without_a_name_it_lasts_as_long_as_it_is_held(
    store: sheaf.Store, flights: pa.Table
) -> None:
    table = store.sort("flights", "delay")

    assert [info.name for info in store.list()] == ["flights"]
    delays = table.to_arrow()["delay"].to_numpy()
    assert (delays[:-1] <= delays[1:]).all()


def test_progress_is_told_and_can_cancel(store: sheaf.Store) -> None:
    rows = 4_000_000
    keys = np.random.default_rng(1).integers(-(2**62), 2**62, rows)
    store.put("big", pa.table({"k": keys}))
    told: list[tuple[str, int, int]] = []

    store.sort("big", "k", progress=lambda *step: told.append(step))

    assert all(stage in {"count", "scatter", "sort", "gather"} for stage, _, _ in told)
    assert all(0 <= done <= total == rows for _, done, total in told)

    class Enough(Exception):
        pass

    def enough(stage: str, done: int, total: int) -> None:
        raise Enough

    if told:  # A machine that is through in 50 ms is never asked.
        with pytest.raises(Enough):
            store.sort("big", "k", into="cancelled", progress=enough)
        assert "cancelled" not in store


def test_mistakes_are_told(store: sheaf.Store, flights: pa.Table) -> None:
    with pytest.raises(sheaf.Invalid, match="no column dealy; there are time, carrier, delay"):
        store.sort("flights", "dealy")
    with pytest.raises(sheaf.Exists):
        store.sort("flights", "delay", into="flights")
    with pytest.raises(ValueError, match="downwards says nothing of a key"):
        store.sort("flights", [("delay", "downwards")])
    with pytest.raises(ValueError, match="nan is greatest or smallest"):
        store.sort("flights", "delay", nan="first")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a key is a column's name"):
        store.sort("flights", [3])  # type: ignore[list-item]


def test_a_file_is_made_through_disk(store: sheaf.Store, flights: pa.Table, tmp_path: Path) -> None:
    stages = set()
    path, spill = tmp_path / "by_delay.arrow", tmp_path / "spill"
    spill.mkdir()

    rows = store.sort_to_file(
        "flights",
        "delay",
        path,
        memory=1 << 20,
        spill_dir=spill,
        progress=lambda stage, rows, total: stages.add(stage),
    )

    assert rows == 100_000
    found = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    assert found.replace_schema_metadata() == flights.sort_by("delay")
    assert json.loads(found.schema.metadata[b"sheaf.sorted_by"])[0]["column"] == "delay"
    assert stages <= {"spill", "merge"}
    assert list(spill.iterdir()) == []


def test_a_file_that_does_not_come_about_leaves_the_old_one(
    store: sheaf.Store, flights: pa.Table, tmp_path: Path
) -> None:
    path = tmp_path / "old.arrow"
    path.write_bytes(b"old")
    with pytest.raises(sheaf.Invalid, match="no column dely"):
        store.sort_to_file("flights", "dely", path)
    with pytest.raises(sheaf.Error, match="No such file or directory"):
        store.sort_to_file("flights", "delay", path, memory=1 << 20, spill_dir="/no/folder")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
