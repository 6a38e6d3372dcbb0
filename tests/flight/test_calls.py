"""Every call of Flight by a stock pyarrow client with default options."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.flight as fl
import pytest
from endpoint import Endpoint

PATH = fl.FlightDescriptor.for_path


def put(
    client: fl.FlightClient, name: str, table: pa.Table, options: fl.FlightCallOptions | None = None
) -> None:
    writer, _ = client.do_put(PATH(name), table.schema, options)
    with writer:
        writer.write_table(table)


def get(client: fl.FlightClient, name: str) -> pa.Table:
    [endpoint] = client.get_flight_info(PATH(name)).endpoints
    return client.do_get(endpoint.ticket).read_all()


@pytest.fixture
def client(endpoint: Endpoint) -> fl.FlightClient:
    return endpoint.client()


TABLE = pa.table({"k": [1, 2, 3], "s": ["a", None, "c"]})


def test_a_table_comes_back_as_it_was_put(client: fl.FlightClient) -> None:
    put(client, "t", TABLE)

    assert get(client, "t").equals(TABLE, check_metadata=True)
    assert client.do_get(fl.Ticket("t")).read_all().equals(TABLE)


def test_both_doors_lead_to_the_same_objects(endpoint: Endpoint) -> None:
    endpoint.near.put("near", TABLE)
    put(endpoint.client(), "far", TABLE)

    assert get(endpoint.client(), "near").equals(TABLE)
    assert endpoint.near.get("far").to_arrow().equals(TABLE)


def test_what_is_uploaded_is_aligned_in_the_store(endpoint: Endpoint) -> None:
    put(
        endpoint.client(),
        "t",
        pa.table({"a": pa.array([1, 2, None], pa.int8()), "b": ["x", "yy", ""]}),
    )

    for column in endpoint.near.get("t").to_arrow().columns:
        for buffer in column.chunk(0).buffers():
            assert buffer is None or buffer.size == 0 or buffer.address % 8 == 0


def test_received_buffers_are_aligned(client: fl.FlightClient) -> None:
    put(client, "t", pa.table({"k": range(10_000), "v": [0.5] * 10_000}))

    for column in get(client, "t").columns:
        assert column.chunk(0).buffers()[1].address % 8 == 0


def test_info_has_true_totals_and_no_locations(endpoint: Endpoint) -> None:
    client = endpoint.client()
    put(client, "t", TABLE)

    info = client.get_flight_info(PATH("t"))

    assert (info.total_records, info.total_bytes) == (3, endpoint.near.info("t").nbytes)
    assert info.ordered
    assert info.schema == TABLE.schema == client.get_schema(PATH("t")).schema
    assert [endpoint.locations for endpoint in info.endpoints] == [[]]
    hint = json.loads(info.app_metadata)["sheaf"]
    assert hint["socket"] == endpoint.near.socket
    assert hint["store"] == endpoint.near.stat()["store_id"]


def test_lists_by_prefix_and_by_json(client: fl.FlightClient) -> None:
    for name in ("a/1", "a/2", "b"):
        put(client, name, TABLE)

    def names(criteria: bytes = b"") -> list[str]:
        return [info.descriptor.path[0].decode() for info in client.list_flights(criteria)]

    assert names() == ["a/1", "a/2", "b"]
    assert names(b"a/") == ["a/1", "a/2"]
    assert names(b'{"prefix": "a/", "limit": 1}') == ["a/1"]
    assert names(b"\xff\x00") == []


def test_every_batch_is_acknowledged(client: fl.FlightClient) -> None:
    writer, reader = client.do_put(PATH("t"), TABLE.schema)
    for number in range(5):
        writer.write_with_metadata(TABLE.to_batches()[0], str(number).encode())
        assert reader.read().to_pybytes() == str(number).encode()
    writer.done_writing()
    assert reader.read() is None
    writer.close()

    chunks = list(client.do_get(fl.Ticket("t")))
    assert [chunk.app_metadata.to_pybytes() for chunk in chunks] == [b"0", b"1", b"2", b"3", b"4"]


def test_options_come_by_headers_or_by_command(endpoint: Endpoint) -> None:
    client = endpoint.client()
    put(client, "t", TABLE)
    headers = [
        (b"sheaf-replace", b"true"),
        (b"sheaf-droppable", b"true"),
        (b"sheaf-metadata-bin", b"note"),
    ]
    put(client, "t", TABLE.slice(1), fl.FlightCallOptions(headers=headers))
    info = endpoint.near.info("t")
    assert (info.num_rows, info.droppable, info.metadata) == (2, True, b"note")

    command = json.dumps({"put": {"name": "c", "metadata": "by command"}}).encode()
    writer, _ = client.do_put(fl.FlightDescriptor.for_command(command), TABLE.schema)
    with writer:
        writer.write_table(TABLE)
    assert endpoint.near.info("c").metadata == b"by command"


def test_large_batches_come_in_pieces_unless_asked_otherwise(client: fl.FlightClient) -> None:
    table = pa.table({"k": range(2_000_000)})
    put(client, "t", table)

    pieces = list(client.do_get(fl.Ticket("t")))
    assert max(piece.data.nbytes for piece in pieces) < 4 << 20
    assert pa.Table.from_batches([piece.data for piece in pieces]).equals(table)

    whole = client.do_get(fl.Ticket(b'{"name": "t", "max_message_bytes": 1000000000}'))
    assert [piece.data.num_rows for piece in whole] == [2_000_000]


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_uploads_are_taken(client: fl.FlightClient, codec: str) -> None:
    options = fl.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression=codec))

    put(client, "t", TABLE, options)

    assert get(client, "t").equals(TABLE)


def test_errors_are_those_of_flight(client: fl.FlightClient) -> None:
    put(client, "t", TABLE)
    with pytest.raises(pa.ArrowException, match="already exists"):
        put(client, "t", TABLE)
    with pytest.raises(KeyError):
        client.get_flight_info(PATH("x"))
    with pytest.raises(KeyError):
        client.do_get(fl.Ticket("x")).read_all()
    with pytest.raises(pa.ArrowInvalid):
        client.get_flight_info(fl.FlightDescriptor.for_path("a", "b"))
    with pytest.raises(NotImplementedError):
        list(client.do_action("fly"))


def test_actions(endpoint: Endpoint) -> None:
    client = endpoint.client()
    put(client, "t", TABLE)

    def act(action: str, **body: object) -> object:
        [result] = client.do_action(fl.Action(action, json.dumps(body).encode()))
        return json.loads(result.body.to_pybytes())

    assert act("info", name="t")["rows"] == 3
    assert act("wait", name="t", timeout_ms=10)["state"] == "sealed"
    assert act("stat")["store"] == endpoint.near.stat()["store_id"]
    assert act("delete", name="t") == {}
    with pytest.raises(KeyError):
        act("info", name="t")
    names = {action.type for action in client.list_actions()}
    assert {"delete", "wait", "info", "stat", "cancel", "renew"} <= names


def test_an_exchange_echoes_or_stores(client: fl.FlightClient) -> None:
    for descriptor in (fl.FlightDescriptor.for_command(b"echo"), PATH("t")):
        writer, reader = client.do_exchange(descriptor)
        with writer:
            writer.begin(TABLE.schema)
            writer.write_table(TABLE)
            writer.done_writing()
            assert reader.read_all().equals(TABLE)
    assert get(client, "t").equals(TABLE)


def test_opaque_bytes_are_a_column(endpoint: Endpoint) -> None:
    endpoint.near.put_bytes("raw", b"x" * 3_000_000)

    table = get(endpoint.client(), "raw")

    assert b"".join(chunk.as_py() for chunk in table["bytes"]) == b"x" * 3_000_000
    assert table.schema.metadata == {b"sheaf.kind": b"bytes"}
    put(endpoint.client(), "copy", table)
    assert endpoint.near.bytes("copy") == endpoint.near.bytes("raw")


def test_polars_and_pandas_read_what_comes(client: fl.FlightClient) -> None:
    pl, pd = pytest.importorskip("polars"), pytest.importorskip("pandas")
    put(client, "t", TABLE)

    assert pl.from_arrow(get(client, "t"))["k"].sum() == 6
    assert isinstance(get(client, "t").to_pandas(), pd.DataFrame)
    put(client, "p", pl.DataFrame({"k": [1, 2]}).to_arrow())
    assert get(client, "p")["k"].to_pylist() == [1, 2]
