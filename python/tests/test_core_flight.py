"""A store of one's own that serves Arrow Flight, too."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.flight as fl
import pytest

import sheaf


def test_a_flight_client_reads_what_was_put() -> None:
    table = pa.table({"k": [1, 2, 3]})
    with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as store:
        store.put("t", table)
        [url] = store.flight_urls

        assert fl.connect(url).do_get(fl.Ticket("t")).read_all().equals(table)


def test_there_is_no_endpoint_unless_asked_for() -> None:
    with sheaf.serve(memory="64MiB") as store:
        assert store.flight_urls == []


def test_an_address_that_is_taken_is_an_error() -> None:
    with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as store:
        taken = store.flight_urls[0].removeprefix("grpc://")
        with pytest.raises(sheaf.Unavailable, match=taken):
            sheaf.serve(memory="64MiB", flight=taken)
