"""Arrow's integration flow over Flight: upload with an acknowledgement for each batch, info, download
with each batch's metadata; for every type."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.flight as fl
import pytest
import tables
from endpoint import Endpoint


def flow(client: fl.FlightClient, name: str, table: pa.Table) -> None:
    descriptor = fl.FlightDescriptor.for_path(name)
    batches = table.to_batches(max_chunksize=2)
    writer, reader = client.do_put(descriptor, table.schema)
    for number, batch in enumerate(batches):
        writer.write_with_metadata(batch, str(number).encode())
        assert reader.read().to_pybytes() == str(number).encode()
    writer.done_writing()
    writer.close()

    info = client.get_flight_info(descriptor)
    assert info.total_records == table.num_rows
    assert info.schema.equals(table.schema, check_metadata=True)
    chunks = list(client.do_get(info.endpoints[0].ticket))
    assert [chunk.app_metadata.to_pybytes() for chunk in chunks] == [
        str(number).encode() for number in range(len(batches))
    ]
    for chunk, batch in zip(chunks, batches, strict=True):
        chunk.data.validate(full=True)
        assert chunk.data.schema.equals(batch.schema, check_metadata=True)
        assert chunk.data.to_pylist() == batch.to_pylist()


@pytest.mark.parametrize("name", tables.EVERY)
def test_every_type_comes_back(endpoint: Endpoint, name: str) -> None:
    flow(endpoint.client(), "t", tables.table_of({name: tables.EVERY[name]}))


@pytest.mark.parametrize("name", tables.SPECIAL)
def test_every_special_table_comes_back(endpoint: Endpoint, name: str) -> None:
    flow(endpoint.client(), "t", tables.SPECIAL[name])


def test_all_types_side_by_side_come_back(endpoint: Endpoint) -> None:
    flow(endpoint.client(), "t", tables.table_of(tables.EVERY))


def test_dictionaries_that_grow_and_change_are_one_in_the_store(endpoint: Endpoint) -> None:
    client = endpoint.client()
    batches = [
        pa.record_batch({"d": pa.array(words).dictionary_encode()})
        for words in (["a", "b"], ["a", "b", "c"], ["z", "a"])
    ]
    for deltas in (False, True):
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
        descriptor = fl.FlightDescriptor.for_path(f"deltas-{deltas}")
        call = fl.FlightCallOptions(write_options=options)
        writer, _ = client.do_put(descriptor, batches[0].schema, call)
        with writer:
            for batch in batches:
                writer.write_batch(batch)

        back = client.do_get(fl.Ticket(f"deltas-{deltas}")).read_all()
        assert back["d"].to_pylist() == ["a", "b", "a", "b", "c", "z", "a"]
        assert pa.types.is_dictionary(back.schema.field("d").type)
