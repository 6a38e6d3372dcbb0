"""Flight SQL by those who speak it: ADBC, and what is built on it."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.flight as fl
import pytest
from adbc_driver_flightsql import DatabaseOptions
from endpoint import Endpoint

FLIGHTS = pa.table(
    {
        "carrier": ["AA", "LH", "AA", None],
        "delay": pa.array([5, None, 15, -2], pa.int32()),
        "day": pa.array([datetime.date(2026, 1, day) for day in (1, 2, 3, 4)], pa.date32()),
    }
)


# What takes for ever.
SLOW = "select sum(a.value * b.value) from generate_series(1000000) a, generate_series(1000000) b"


@pytest.fixture
def served(endpoint: Endpoint) -> Endpoint:
    endpoint.near.put("flights", FLIGHTS)
    return endpoint


@pytest.fixture
def connection(served: Endpoint) -> Iterator[adbc.Connection]:
    with adbc.connect(served.urls[0], autocommit=True) as connection:
        yield connection


@pytest.fixture
def cursor(connection: adbc.Connection) -> Iterator[adbc.Cursor]:
    with connection.cursor() as cursor:
        yield cursor


def rows(cursor: adbc.Cursor, statement: str, parameters: object = None) -> list[tuple]:
    cursor.execute(statement, parameters)
    return cursor.fetchall()


def test_statements_have_results_and_changes_have_counts(cursor: adbc.Cursor) -> None:
    statement = "select carrier, sum(delay) from flights group by 1 order by 1"
    assert rows(cursor, statement) == [("AA", 20), ("LH", None), (None, -2)]

    cursor.execute("create table late as select * from flights where delay > 0")
    assert cursor.rowcount == 2
    cursor.execute("insert into late select * from flights")
    assert cursor.rowcount == 4
    assert rows(cursor, "select count(*) from late") == [(6,)]
    cursor.execute("drop table late")
    with pytest.raises(adbc.ProgrammingError, match="there is no table late"):
        cursor.execute("select * from late")
    with pytest.raises(adbc.ProgrammingError, match="exists"):
        cursor.execute("create table flights as select 1 as n")


def test_parameters_are_bound_one_row_or_many(cursor: adbc.Cursor) -> None:
    statement = "select day from flights where carrier = ? and delay > ?"
    assert rows(cursor, statement, ("AA", 10)) == [(datetime.date(2026, 1, 3),)]
    assert rows(cursor, "select $2 || $1", ("a", "b")) == [("ba",)]
    values = (1, 2.5, "x", b"\x00", True, datetime.date(2026, 1, 1), None)
    assert rows(cursor, "select ?, ?, ?, ?, ?, ?, ?", values) == [values]

    cursor.execute("create table t (n bigint, s varchar)")
    cursor.executemany("insert into t values (?, ?)", [(1, "a"), (2, None), (3, "c")])
    assert cursor.rowcount == 3
    many = pa.record_batch({"1": pa.array([1, 3])})
    cursor.execute("select s from t where n = ?", many)
    assert cursor.fetchall() == [("a",), ("c",)]

    cursor.execute("select ? as x, 1", pa.record_batch({"1": pa.array(["a", None])}))
    assert cursor.fetchall() == [("a", 1), (None, 1)]
    with pytest.raises(adbc_driver_manager.Error, match="row 3 of the parameters: division by zero"):
        cursor.executemany("insert into t values (10 / ?, 'x')", [(1,), (2,), (0,), (5,)])
    assert rows(cursor, "select count(*) from t") == [(3,)], "all of them, or none"


def test_objects_are_told_at_every_depth(connection: adbc.Connection) -> None:
    def told(**options: object) -> list[dict]:
        return connection.adbc_get_objects(**options).read_all().to_pylist()

    [catalog] = told(depth="catalogs")
    assert catalog["catalog_name"] == "sheaf"
    [catalog] = told(depth="db_schemas")
    schemas = [schema["db_schema_name"] for schema in catalog["catalog_db_schemas"]]
    assert schemas == ["public", "system"]
    [catalog] = told(depth="tables", table_name_filter="fl%")
    tables = [
        table["table_name"]
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"] or []
    ]
    assert tables == ["flights"]
    [catalog] = told(depth="all", table_name_filter="flights", column_name_filter="d%")
    [columns] = [
        table["table_columns"]
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"] or []
    ]
    assert [column["column_name"] for column in columns] == ["delay", "day"]
    assert [column["xdbc_type_name"] for column in columns] == ["INTEGER", "DATE"]

    schema = connection.adbc_get_table_schema("flights")
    assert schema.equals(FLIGHTS.schema)
    with pytest.raises(adbc_driver_manager.Error):
        connection.adbc_get_table_schema("nowhere")
    assert connection.adbc_get_table_types() == ["SYSTEM TABLE", "TABLE"]
    assert connection.adbc_get_info()["vendor_name"] == "Sheaf"


def test_rows_are_ingested_in_four_modes(cursor: adbc.Cursor, served: Endpoint) -> None:
    table = pa.table({"x": np.arange(100_000), "s": ["a"] * 100_000})

    assert cursor.adbc_ingest("t", table, mode="create") == 100_000
    assert served.near.get("t").to_arrow().equals(table)
    with pytest.raises(adbc_driver_manager.Error, match="exists"):
        cursor.adbc_ingest("t", table, mode="create")
    assert cursor.adbc_ingest("t", table.slice(0, 5), mode="append") == 5
    assert served.near.get("t").num_rows == 100_005
    assert cursor.adbc_ingest("t", table.slice(0, 7), mode="replace") == 7
    assert cursor.adbc_ingest("t", table.slice(0, 3), mode="create_append") == 3
    assert served.near.get("t").to_arrow()["x"].to_pylist() == [*range(7), *range(3)]
    with pytest.raises(adbc_driver_manager.Error, match="no table"):
        cursor.adbc_ingest("nowhere", table, mode="append")
    with pytest.raises(adbc_driver_manager.Error, match="column"):
        cursor.adbc_ingest("t", pa.table({"x": [1]}), mode="append")
    with pytest.raises(adbc_driver_manager.Error, match="would be lost"):
        cursor.adbc_ingest("t", pa.table({"x": [1.5], "s": ["a"]}), mode="append")
    assert rows(cursor, "select name from sheaf.system.objects order by 1") == [("flights",), ("t",)]


def test_partitions_are_read_by_another_connection(cursor: adbc.Cursor, served: Endpoint) -> None:
    partitions, schema = cursor.adbc_execute_partitions("select delay from flights")
    assert schema.names == ["delay"]
    with adbc.connect(served.urls[0], autocommit=True) as other, other.cursor() as reader:
        [partition] = partitions
        reader.adbc_read_partition(partition)
        assert reader.fetch_arrow_table()["delay"].to_pylist() == [5, None, 15, -2]


def test_the_schema_that_is_told_is_the_streams(cursor: adbc.Cursor) -> None:
    cursor.execute("create table plain as select 1 as n, 'x' as s, arrow_cast('v', 'Utf8View') as v")
    for statement in [
        "select * from flights",
        "select * from plain",
        "select carrier, count(*) as c, avg(delay) as a from flights group by 1",
        "select 1 as one, null as nothing, [1, 2] as list, {'a': 1} as structure",
        "select arrow_cast('x', 'Dictionary(Int32, Utf8)') as d",
        "show tables",
        "describe flights",
        "explain select 1",
    ]:
        told = cursor.adbc_execute_schema(statement)
        cursor.execute(statement)
        assert cursor.fetch_arrow_table().schema.equals(told), statement


def test_transactions_are_refused(served: Endpoint) -> None:
    # What DB-API wants is tried, and told not to be there; statements still go.
    with pytest.warns(Warning, match="autocommit"):
        connection = adbc.connect(served.urls[0])
    with connection, connection.cursor() as cursor:
        assert rows(cursor, "select 1") == [(1,)]
        with pytest.raises(adbc_driver_manager.Error):
            connection.adbc_connection.set_autocommit(False)
        with pytest.raises(adbc.ProgrammingError, match="no transaction"):
            cursor.execute("begin")


def test_large_batches_come_in_messages_that_clients_take(served: Endpoint) -> None:
    words = pa.array(["x" * 1000] * 20_000)
    served.near.put("wide", pa.table({"s": words}))
    limit = {DatabaseOptions.WITH_MAX_MSG_SIZE.value: str(16 << 20)}
    with (
        adbc.connect(served.urls[0], db_kwargs=limit, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select * from wide")
        assert cursor.fetch_arrow_table()["s"].combine_chunks().equals(words)
        cursor.execute("select s || '!' as s from wide")
        assert cursor.fetch_arrow_table().num_rows == 20_000


def test_sessions_keep_their_options(served: Endpoint) -> None:
    client = served.client()
    action = fl.Action("GetSessionOptions", b"")
    assert b"".join(result.body.to_pybytes() for result in client.do_action(action)) == b""
    with adbc.connect(served.urls[0], autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("set sheaf.timeout_ms = '1'")
            with pytest.raises(adbc_driver_manager.Error, match="longer than 1 ms"):
                cursor.execute(SLOW)
                cursor.fetchall()
            cursor.execute("reset sheaf.timeout_ms")
            assert rows(cursor, "select 1") == [(1,)]
    with adbc.connect(served.urls[0], autocommit=True) as other, other.cursor() as cursor:
        told = rows(cursor, "select value from system.settings where name = 'sheaf.timeout_ms'")
        assert told == [("0",)]


def test_ctrl_c_ends_the_work(served: Endpoint) -> None:
    program = (
        "import sys, adbc_driver_flightsql.dbapi as adbc\n"
        "with adbc.connect(sys.argv[1], autocommit=True) as c, c.cursor() as cursor:\n"
        "    print('up', flush=True)\n"
        "    cursor.execute(sys.argv[2])\n"
        "    cursor.fetchall()\n"
    )
    command = [sys.executable, "-c", program, served.urls[0], SLOW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) != 0
    assert ends(served)


def field(number: int, value: bytes) -> bytes:
    """A field of protobuf."""
    size, digits = len(value), b""
    while size > 127:
        digits += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + digits + bytes([size]) + value


def ask(text: str) -> fl.FlightDescriptor:
    """A `CommandStatementQuery` in an `Any`."""
    kind = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return fl.FlightDescriptor.for_command(field(1, kind) + field(2, field(1, text.encode())))


def ends(endpoint: Endpoint) -> bool:
    """Whether no statement is under way any more, soon."""
    running = "select value from system.settings where name = 'used.statements'"
    deadline = time.monotonic() + 30
    while endpoint.near.sql(running).to_arrow()["value"].to_pylist() != ["0"]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_result_streams_as_it_is_computed_and_ends_with_its_reader(served: Endpoint) -> None:
    client = served.client()
    info = client.get_flight_info(ask("select value * 2 as n from generate_series(1, 10000000000)"))

    reader = client.do_get(info.endpoints[0].ticket)
    first = reader.read_chunk().data
    assert first["n"][0].as_py() % 2 == 0
    reader.cancel()
    del reader

    assert ends(served)


def test_cancelling_by_its_info_ends_a_statement(served: Endpoint) -> None:
    client, other = served.client(), served.client()
    info = client.get_flight_info(ask(SLOW))
    errors: list[BaseException] = []

    def read() -> None:
        try:
            client.do_get(info.endpoints[0].ticket).read_all()
        except fl.FlightError as error:
            errors.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    time.sleep(0.5)
    cancel = fl.Action("CancelFlightInfo", field(1, info.serialize()))
    [result] = other.do_action(cancel)
    reading.join(timeout=30)

    assert result.body.to_pybytes() == b"\x08\x01", "cancelled"
    assert "cancelled" in str(errors[0])
    assert ends(served)
    with pytest.raises((fl.FlightError, KeyError), match="no such result"):
        client.do_get(info.endpoints[0].ticket).read_all()


def test_a_ticket_names_the_moment_that_was_planned(served: Endpoint) -> None:
    client = served.client()
    whole = client.get_flight_info(ask("select * from flights"))
    part = client.get_flight_info(ask("select carrier from flights where delay = 15"))
    assert whole.total_records == 4

    served.near.delete("flights")

    assert client.do_get(whole.endpoints[0].ticket).read_all().equals(FLIGHTS)
    assert client.do_get(part.endpoints[0].ticket).read_all()["carrier"].to_pylist() == ["AA"]


def test_nonsense_is_an_error_and_no_end(served: Endpoint) -> None:
    client = served.client()
    prefix = b"\x0a\x44type.googleapis.com/arrow.flight.protocol.sql."
    for command in [prefix, prefix + b"x" * 40, ask("").command, ask("select").command[:-3]]:
        with pytest.raises((fl.FlightError, pa.ArrowException)):
            client.get_flight_info(fl.FlightDescriptor.for_command(command))
    for action in ["CreatePreparedStatement", "ClosePreparedStatement", "CancelQuery"]:
        with pytest.raises((fl.FlightError, pa.ArrowException)):
            list(client.do_action(fl.Action(action, b"\xff\xff")))
    for action in ["BeginTransaction", "CreatePreparedSubstraitPlan"]:
        with pytest.raises(NotImplementedError):
            list(client.do_action(fl.Action(action, b"")))
    assert served.near.sql("select 1 as n").num_rows == 1


def test_who_may_only_read_asks_and_binds_and_changes_nothing(
    serve: Callable[..., Endpoint], tmp_path: Path
) -> None:
    from sheaf._serve import find_program

    tokens = tmp_path / "tokens"
    make = [find_program(), "token", "reader", "--file", str(tokens)]
    token = subprocess.run(make, capture_output=True, text=True, check=True).stdout.strip()
    endpoint = serve("--token-file", str(tokens))
    endpoint.near.put("flights", FLIGHTS)
    header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}
    with (
        adbc.connect(endpoint.urls[0], db_kwargs=header, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        assert rows(cursor, "select day from flights where delay = ?", (15,)) != []
        for statement in ["create table t as select 1 as n", "drop table flights"]:
            with pytest.raises(adbc_driver_manager.Error, match="read, not write|only read|may read"):
                cursor.execute(statement)
        file = tmp_path / "stolen.csv"
        with pytest.raises(adbc_driver_manager.Error, match="only what reads can be explained"):
            cursor.execute(f"explain analyze copy flights to '{file}'")
        assert not file.exists()
        with pytest.raises(adbc_driver_manager.Error):
            cursor.adbc_ingest("t", FLIGHTS, mode="create")
    assert endpoint.near.get("flights").num_rows == 4


def test_pandas_polars_and_duckdb_read_results(
    connection: adbc.Connection, cursor: adbc.Cursor
) -> None:
    statement = "select carrier, delay from flights where delay is not null order by delay"

    frame = pd.read_sql(statement, connection)
    assert frame["delay"].tolist() == [-2, 5, 15]
    assert frame.to_sql("from_pandas", connection, index=False) == 3
    told = pl.read_database(statement, connection)
    assert told["delay"].to_list() == [-2, 5, 15]
    assert told.write_database("from_polars", connection, if_table_exists="replace") == 3
    cursor.execute(statement)
    reader = cursor.fetch_record_batch()
    assert duckdb.sql("select sum(delay) from reader").fetchall() == [(18,)]
    cursor.execute("select count(*) from from_pandas, from_polars")
    assert cursor.fetchone() == (9,)


def answers(table: pa.Table) -> list[tuple]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def is_same(ours: object, theirs: object) -> bool:
    numbers = (int, float, Decimal)
    if isinstance(ours, numbers) and isinstance(theirs, numbers):
        return float(ours) == pytest.approx(float(theirs), rel=1e-6, abs=1e-6)
    return ours == theirs


@pytest.mark.skipif("SHEAF_BENCH_SQL" not in os.environ, reason="cargo xtask python builds it")
def test_tpch_has_the_answers_that_duckdb_gives(serve: Callable[..., Endpoint]) -> None:
    import json

    endpoint = serve()
    program = os.environ["SHEAF_BENCH_SQL"]
    url = endpoint.near.url
    subprocess.run([program, "load", "tpch", "--store", url, "--scale", "0.01"], check=True)
    told = subprocess.run([program, "queries", "tpch"], capture_output=True, check=True)
    queries = json.loads(told.stdout)
    assert len(queries) == 22
    judge = duckdb.connect()
    for info in endpoint.near.list():
        judge.register(info.name, endpoint.near.get(info.name).to_arrow())

    for name, query in queries:
        ours = answers(endpoint.near.sql(query).to_arrow())
        theirs = answers(judge.sql(query).to_arrow_table())

        assert len(ours) == len(theirs), name
        for row, expected in zip(ours, theirs, strict=True):
            assert all(map(is_same, row, expected)), (name, row, expected)
