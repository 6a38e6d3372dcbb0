"""What disk.py runs in processes of their own: making the input, a peer's sort, a check."""

import sys
from collections.abc import Callable

STEP = 4 << 20


def make(path: str, rows: str) -> None:
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(1)
    schema = pa.schema([("k", pa.int64()), ("v", pa.float64())])
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for start in range(0, int(rows), STEP):
            count = min(STEP, int(rows) - start)
            keys = rng.integers(-(2**63), 2**63 - 1, count, dtype=np.int64)
            columns = [pa.array(keys), pa.array(value(keys))]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def value(keys):  # noqa: ANN001, ANN201 - numpy is not imported here
    """What stands beside a key: it follows from it, so that a row that is torn shows."""
    return (keys ^ (keys >> 7)).astype("float64")


def polars(source: str, result: str, gigabytes: str) -> None:
    import polars as pl

    pl.scan_ipc(source).sort("k", nulls_last=True).sink_ipc(result)


def batches(source: str):  # noqa: ANN201
    """The file's batches one by one, mapped: pyarrow's own scanner reads 4 GB ahead."""
    import pyarrow as pa

    file = pa.ipc.open_file(pa.memory_map(source))
    each = (file.get_batch(at) for at in range(file.num_record_batches))
    return pa.RecordBatchReader.from_batches(file.schema, each)


def connect(database: str, gigabytes: str):  # noqa: ANN201
    import duckdb

    return duckdb.connect(
        database,
        config={
            "threads": 2,
            "memory_limit": f"{gigabytes}GiB",
            "temp_directory": "duckdb-temporary",
        },
    )


def duckdb(source: str, result: str, gigabytes: str) -> None:
    import pyarrow as pa

    connection = connect(":memory:", gigabytes)
    given = batches(source)  # noqa: F841 - the query names it
    query = connection.sql("select * from given order by k nulls last")
    reader = query.to_arrow_reader(1_000_000)
    with pa.OSFile(result, "wb") as file, pa.ipc.new_file(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def load(source: str, result: str) -> None:
    connection = connect(result, "8")
    given = batches(source)  # noqa: F841
    connection.execute("create table t as select * from given")
    connection.execute("checkpoint")


def duckdb_native(source: str, result: str, gigabytes: str) -> None:
    connection = connect(result, gigabytes)
    connection.execute("create table s as select * from t order by k nulls last")
    connection.execute("checkpoint")


def check(system: str, result: str) -> None:
    """Prints the number of rows, if they are in order and whole."""
    import pyarrow as pa

    if system == "duckdb-native":
        connection = connect(result, "8")
        reader = connection.sql("select * from s").to_arrow_reader(1_000_000)
    else:
        reader = batches(result)
    assert reader.schema.names == ["k", "v"]
    rows, last = 0, -(2**63)
    for batch in reader:
        assert isinstance(batch, pa.RecordBatch)
        keys, values = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
        assert len(keys) == 0 or (last <= keys[0] and (keys[1:] >= keys[:-1]).all())
        assert (value(keys) == values).all()
        rows, last = rows + len(keys), keys[-1] if len(keys) else last
    print(rows)


COMMANDS: dict[str, Callable[..., None]] = {
    "make": make,
    "load": load,
    "check": check,
    "polars": polars,
    "duckdb": duckdb,
    "duckdb-native": duckdb_native,
}


if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
