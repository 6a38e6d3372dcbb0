"""Streams that are encoded anew because a reader asks: compressed, or without dictionaries."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import tables
from endpoint import Endpoint


def get(client: fl.FlightClient, name: str, **headers: object) -> pa.Table:
    asked = [
        (f"sheaf-{key.replace('_', '-')}".encode(), str(value).encode())
        for key, value in headers.items()
    ]
    reader = client.do_get(fl.Ticket(name), fl.FlightCallOptions(headers=asked))
    table = reader.read_all()
    table.validate(full=True)
    return table


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("name", tables.EVERY)
def test_every_type_comes_compressed(endpoint: Endpoint, name: str, codec: str) -> None:
    client, table = endpoint.client(), tables.table_of({name: tables.EVERY[name]})
    endpoint.near.put("t", table)

    got = get(client, "t", compression=codec)

    assert got.schema.equals(table.schema, check_metadata=True)
    assert got.to_pylist() == table.to_pylist()


def test_what_is_cut_for_compression_is_whole(endpoint: Endpoint) -> None:
    rows = 200_000
    nested = pa.array([[{"x": row, "y": str(row)}] * (row % 3) for row in range(rows)])
    words = pa.array([["one", "two", None][row % 3] for row in range(rows)]).dictionary_encode()
    table = pa.table({"k": np.arange(rows), "nested": nested, "word": words})
    endpoint.near.put("t", table)
    client = endpoint.client()

    got = get(client, "t", compression="zstd", max_message_bytes=1 << 20)

    assert got["k"].num_chunks > 4 and got.schema.equals(table.schema)
    assert got["k"].equals(pa.chunked_array([table["k"].combine_chunks()]))
    assert got["nested"].to_pylist() == nested.to_pylist()
    assert got["word"].to_pylist() == words.to_pylist()


def test_metadata_of_a_batch_comes_with_its_first_rows(endpoint: Endpoint) -> None:
    client = endpoint.client()
    writer, _ = client.do_put(fl.FlightDescriptor.for_path("t"), pa.schema({"k": pa.int64()}))
    batch = pa.record_batch({"k": np.arange(100_000)})
    writer.write_with_metadata(batch, b"first")
    writer.write_batch(batch)
    writer.close()
    headers = [(b"sheaf-compression", b"lz4"), (b"sheaf-max-message-bytes", b"200000")]

    chunks = list(client.do_get(fl.Ticket("t"), fl.FlightCallOptions(headers=headers)))

    beside = [chunk.app_metadata and chunk.app_metadata.to_pybytes() for chunk in chunks]
    assert len(chunks) >= 8 and beside == [b"first"] + [None] * (len(chunks) - 1)


def test_values_come_in_place_of_dictionaries(endpoint: Endpoint) -> None:
    words = pa.array(["a", None, "b", "a"]).dictionary_encode()
    nested = pa.ListArray.from_arrays([0, 1, 4], words)
    table = pa.table({"word": words.slice(0, 2), "words": nested, "k": [1, 2]})
    endpoint.near.put("t", table)
    client = endpoint.client()

    got = get(client, "t", dictionaries="hydrate")

    assert got.schema.field("word").type == pa.string()
    assert got.schema.field("words").type == pa.list_(pa.string())
    assert got.to_pylist() == table.to_pylist()
    command = fl.FlightDescriptor.for_command(b'{"get": {"name": "t", "dictionaries": "hydrate"}}')
    info = client.get_flight_info(command)
    assert info.schema.equals(got.schema) and client.get_schema(command).schema.equals(got.schema)
    assert client.do_get(info.endpoints[0].ticket).read_all().equals(got)
    assert get(client, "t").schema.equals(table.schema)


def test_opaque_bytes_come_compressed(endpoint: Endpoint) -> None:
    data = b"sheaf" * 1_000_000
    endpoint.near.put_bytes("raw", data)

    got = get(endpoint.client(), "raw", compression="lz4")

    assert b"".join(chunk.as_py() for chunk in got["bytes"]) == data


@pytest.mark.parametrize("asked", [{"compression": "gzip"}, {"dictionaries": "no"}])
def test_what_is_not_known_is_refused(endpoint: Endpoint, asked: dict[str, str]) -> None:
    endpoint.near.put("t", pa.table({"k": [1]}))
    with pytest.raises(pa.ArrowInvalid, match="not"):
        get(endpoint.client(), "t", **asked)
