"""Many who share: a hundred processes with one table, threads with one store."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa

import sheaf

WORKERS = 100
TABLE_BYTES = 256 << 20


def test_a_hundred_workers_read_one_table_in_one_tables_memory():
    rows = TABLE_BYTES // 8
    helper = Path(__file__).with_name("many_workers.py")
    with sheaf.serve(memory=TABLE_BYTES + (32 << 20)) as store:
        for name, count in (("small", 1 << 18), ("large", rows)):
            with store.build(name, {"k": "int64"}, rows=count) as builder:
                builder["k"][:] = 3
        command = [sys.executable, helper, store.url, str(WORKERS)]

        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

        assert store.stat()["held"] <= 1  # Those of the dead may be on their way.
    assert [total for total, _ in told] == [3 * rows] * WORKERS
    assert max(grown for _, grown in told) <= TABLE_BYTES // 100


def in_threads(count: int, work) -> None:
    failed = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == [] and not any(thread.is_alive() for thread in threads)


def test_threads_share_a_store(store):
    def work(index):
        for round in range(100):
            name, rows = f"{index}/{round}", 10 if round % 10 else 200_000
            store.put(name, pa.table({"k": np.full(rows, index)}))
            assert store.get(name).to_arrow()["k"].to_numpy().sum() == index * rows
            assert name in store and store.info(name).num_rows == rows
            store.delete(name)

    in_threads(8, work)

    assert store.list() == []


def test_threads_share_a_table(store):
    store.put("t", pa.table({"k": np.arange(500_000)}))
    table = store.get("t")

    def work(_):
        for _ in range(20):
            assert pa.table(table)["k"].to_numpy().sum() == 499_999 * 500_000 // 2
            assert table.to_polars()["k"].len() == 500_000
            repr(table), table._repr_html_(), table.schema, table.info

    in_threads(8, work)


def test_threads_hand_over_to_one_another(store):
    def work(index):
        if index % 2 == 0:
            store.put(f"pair-{index}", pa.table({"k": np.arange(1000) + index}))
        else:
            table = store.get(f"pair-{index - 1}", timeout=60)
            assert table.to_arrow()["k"][0].as_py() == index - 1

    in_threads(32, work)


def test_threads_race_for_a_name_and_one_wins(store):
    won, lost = [], []

    def work(index):
        try:
            store.put("prize", pa.table({"k": [index]}))
            won.append(index)
        except sheaf.Exists:
            lost.append(index)

    in_threads(16, work)

    assert len(won) == 1 and len(lost) == 15
    assert store.get("prize").to_arrow()["k"].to_pylist() == won


def test_nothing_that_is_used_warns_that_it_will_go():
    program = """
import duckdb, pandas as pd, polars as pl, pyarrow as pa, numpy as np, pickle, sheaf
with sheaf.serve(memory="64MiB") as store:
    frame = pd.DataFrame({"k": [1, 2], "s": ["a", "b"], "t": pd.to_datetime(["2024-01-01"] * 2)})
    for name, data in {
        "pandas": frame, "polars": pl.DataFrame(frame), "arrow": pa.Table.from_pandas(frame),
        "duckdb": duckdb.sql("select * from frame"),
    }.items():
        store.put(name, data)
        got = store.get(name)
        got.to_arrow(), got.to_pandas(), got.to_polars(), pa.table(got)
        duckdb.sql("select count(*) from got").fetchall()
        pickle.loads(pickle.dumps(got)), got._repr_html_(), pa.schema(got.schema)
    with store.build("b", {"k": np.int64, "b": "bool"}, rows=3) as builder:
        builder["k"][:] = 1
        builder["b"] = [True, False, True]
    with store.create("raw", 3) as draft:
        memoryview(draft)[:] = b"abc"
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-W", "error::FutureWarning",
         "-W", "error::ResourceWarning", "-c", program],
        capture_output=True, text=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
