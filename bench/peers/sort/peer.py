"""One peer, one table, sorted several times: seconds of each, and the most memory it took.

`python peer.py PEER FILE KEYS ROUNDS` prints JSON. The file is Arrow IPC; loading it into the
peer's own form is not timed, and the result is Arrow or the peer's own Arrow-shaped columns.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

THREADS = 2


def load(path: str) -> pa.Table:
    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).read_all()


def polars(path: str, keys: list[str]) -> Callable[[], object]:
    import polars as pl

    frame = pl.from_arrow(load(path), rechunk=True)
    return lambda: frame.sort(keys, nulls_last=True)


def in_duckdb(path: str, keys: list[str]) -> tuple[Any, str]:
    """A connection with the table as `t`, and the query that sorts it."""
    import duckdb

    con = duckdb.connect(config={"threads": THREADS})
    source = load(path)
    con.execute("create table t as select * from source")
    order = ", ".join(f"{key} nulls last" for key in keys)
    return con, f"select * from t order by {order}"


def duckdb(path: str, keys: list[str]) -> Callable[[], object]:
    """Into a table of its own: faster than into Arrow, now and then."""
    con, query = in_duckdb(path, keys)
    return lambda: con.execute(f"create or replace table s as {query}")


def duckdb_arrow(path: str, keys: list[str]) -> Callable[[], object]:
    con, query = in_duckdb(path, keys)
    return lambda: con.execute(query).to_arrow_table()


def datafusion(path: str, keys: list[str]) -> Callable[[], object]:
    from datafusion import SessionConfig, SessionContext

    context = SessionContext(SessionConfig().with_target_partitions(THREADS))
    batches = load(path).to_batches(max_chunksize=8192)
    half = len(batches) // 2 or 1
    context.register_record_batches("t", [batches[:half], batches[half:]])
    order = ", ".join(f"{key} nulls last" for key in keys)
    return lambda: context.sql(f"select * from t order by {order}").collect()


def pandas(path: str, keys: list[str]) -> Callable[[], object]:
    frame = load(path).to_pandas()
    return lambda: frame.sort_values(keys, ignore_index=True)


def pyarrow(path: str, keys: list[str]) -> Callable[[], object]:
    table = load(path)
    return lambda: table.sort_by([(key, "ascending") for key in keys])


def chdb(path: str, keys: list[str]) -> Callable[[], object]:
    from chdb import session

    con = session.Session()
    con.query("create database d")
    columns = f"file('{path}', 'Arrow')"
    con.query(f"create table d.t engine = Memory as select * from {columns}")
    con.query("create table d.s as d.t engine = Memory")
    order = ", ".join(keys)

    def sort() -> None:
        con.query("truncate table d.s")
        con.query(f"insert into d.s select * from d.t order by {order}")

    return sort


PEERS = {
    "polars": polars,
    "duckdb": duckdb,
    "duckdb-arrow": duckdb_arrow,
    "datafusion": datafusion,
    "pandas": pandas,
    "pyarrow": pyarrow,
    "chdb": chdb,
}


def main() -> None:
    peer, path, keys, rounds = sys.argv[1:]
    sort = PEERS[peer](path, keys.split(","))
    seconds = []
    for _ in range(int(rounds)):
        start = time.perf_counter()
        result = sort()
        seconds.append(time.perf_counter() - start)
        del result
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
