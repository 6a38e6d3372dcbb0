"""A store of one's own that serves Arrow Flight, too."""

from __future__ import annotations

import os
import signal
import threading

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


def test_a_store_of_this_machine_is_mapped_whatever_its_url() -> None:
    with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as served:
        served.put("t", pa.table({"k": range(100_000)}))
        [url] = served.flight_urls

        with sheaf.connect(url) as mapped, sheaf.connect(url, near=False) as streamed:
            assert mapped.url == served.url and mapped.socket == served.socket
            assert streamed.url == url and streamed.socket == ""
            assert streamed.get("t").to_arrow().equals(mapped.get("t").to_arrow())


def test_what_only_shared_memory_can_do_is_refused_with_the_way_out() -> None:
    with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as served:
        with sheaf.connect(served.flight_urls[0], near=False) as far:
            for call in (
                lambda: far.create("raw", 5),
                lambda: far.build("t", {"k": "int64"}, rows=1),
                far.watch,
            ):
                with pytest.raises(sheaf.Invalid, match="needs a store on this machine"):
                    call()


def test_a_token_and_certificates_are_shown() -> None:
    with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as served:
        [url] = served.flight_urls
        for tls in ({"cert": "a"}, {"pem": "a"}):
            with pytest.raises(TypeError, match="tls has"):
                sheaf.connect(url, tls=tls)
        with pytest.raises(sheaf.Invalid, match="not encrypted"):
            sheaf.connect(url, tls="/tmp/ca.pem")
        with pytest.raises(sheaf.Invalid, match="/nowhere/ca.pem"):
            sheaf.connect("grpc+tls://localhost:1", tls={"ca": "/nowhere/ca.pem"})
        # One that nobody asks for does no harm.
        sheaf.connect(url, token="secret", near=False).close()
    with pytest.raises(sheaf.Unavailable, match=url):
        sheaf.connect(url, timeout=0)


def test_a_forked_child_connects_anew() -> None:
    with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as served:
        with sheaf.connect(served.flight_urls[0], near=False) as far:
            far.put_bytes("note", b"hello")
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    status = int(bytes(far.bytes("note")) != b"hello")
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
            assert bytes(far.bytes("note")) == b"hello"


def test_ctrl_c_ends_a_wait_for_a_far_store() -> None:
    with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as served:
        with sheaf.connect(served.flight_urls[0], near=False) as far:
            threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
            with pytest.raises(KeyboardInterrupt):
                far.get("never", timeout=60)
            assert far.list() == []
