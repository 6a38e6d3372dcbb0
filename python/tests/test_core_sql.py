"""`store.sql`: results that are mapped, statements that change the store, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pytest

import sheaf

SLOW = "select sum(a.value * b.value) from generate_series(1000000) a, generate_series(1000000) b"


@pytest.fixture
def flights(store: sheaf.Store) -> pa.Table:
    table = pa.table({"carrier": ["AA", "LH", "AA"] * 100_000, "delay": range(300_000)})
    store.put("flights", table)
    return table


def test_a_result_is_a_table_in_shared_memory(store: sheaf.Store, flights: pa.Table) -> None:
    result = store.sql("select delay + 1 as later from flights where carrier = 'AA'")

    assert result.num_rows == 200_000
    # Without `order by` rows come in any order.
    assert max(result.to_arrow()["later"].to_pylist()) == 300_000
    assert [info.name for info in store.list()] == ["flights"], "it has no name"
    held = store.stat()["held_bytes"]
    assert held > 200_000 * 8
    del result
    deadline = time.monotonic() + 10
    while store.stat()["held_bytes"] >= held:
        assert time.monotonic() < deadline, "what nobody holds is given back"
        time.sleep(0.01)


def test_a_whole_table_is_the_stored_one(store: sheaf.Store, flights: pa.Table) -> None:
    before = store.stat()["put_bytes"]

    assert store.sql("select * from flights").to_arrow().equals(flights)

    assert store.stat()["put_bytes"] == before, "nothing was written"


def test_statements_change_the_store(store: sheaf.Store, flights: pa.Table) -> None:
    def count(statement: str) -> int:
        return store.sql(statement).to_arrow()["count"][0].as_py()

    assert count("create table top as select * from flights order by delay desc") == 300_000
    assert "sheaf.sorted_by" in {key.decode() for key in store.get("top").to_arrow().schema.metadata}
    assert count("insert into top values ('XX', -1)") == 1
    assert store.get("top").num_rows == 300_001
    assert store.sql("select 1 as n", into="one").num_rows == 1
    with pytest.raises(sheaf.Exists):
        store.sql("select 1 as n", into="one")
    assert store.sql("select 2 as n", into="one", replace=True).to_arrow()["n"].to_pylist() == [2]
    store.sql("drop table top")
    with pytest.raises(sheaf.NotFound, match="there is no table top"):
        store.sql("select * from top")


def test_errors_are_those_of_the_store(store: sheaf.Store) -> None:
    for statement, error in [
        ("selec 1", sheaf.Invalid),
        ("select 1/0", sheaf.Invalid),
        ("select * from nowhere", sheaf.NotFound),
        ("copy (select 1) to '/tmp/x.parquet'", sheaf.Denied),
    ]:
        with pytest.raises(error):
            store.sql(statement)


def test_closing_the_store_ends_a_statement(store: sheaf.Store) -> None:
    other = sheaf.connect(store.url)
    threading.Timer(0.3, other.close).start()

    with pytest.raises(sheaf.Error):
        other.sql(SLOW)

    assert is_idle(store)


def test_ctrl_c_ends_a_statement(
    store: sheaf.Store, run: Callable[..., subprocess.Popen[str]]
) -> None:
    program = f"import sys, sheaf; print('up', flush=True); sheaf.connect(sys.argv[1]).sql({SLOW!r})"
    child = run(program, store.url)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    time.sleep(0.5)

    os.kill(child.pid, signal.SIGINT)

    _, errors = child.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert is_idle(store)


def test_a_client_that_is_killed_ends_its_statement(
    store: sheaf.Store, run: Callable[..., subprocess.Popen[str]]
) -> None:
    child = run(f"import sys, sheaf; sheaf.connect(sys.argv[1]).sql({SLOW!r})", store.url)
    time.sleep(1)

    child.kill()

    assert is_idle(store)


def is_idle(store: sheaf.Store) -> bool:
    running = "select value from system.settings where name = 'used.statements'"
    deadline = time.monotonic() + 30
    while store.sql(running).to_arrow()["value"].to_pylist() != ["0"]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
