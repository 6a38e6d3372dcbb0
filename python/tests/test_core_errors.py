"""Errors: one class for each kind, which is the natural built-in one too."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pytest

import sheaf

PARENTS = {
    sheaf.NotFound: KeyError,
    sheaf.Exists: Exception,
    sheaf.Full: MemoryError,
    sheaf.Timeout: TimeoutError,
    sheaf.WriterGone: Exception,
    sheaf.Invalid: ValueError,
    sheaf.Denied: PermissionError,
    sheaf.Unavailable: ConnectionError,
}


def test_every_class_is_an_error_and_a_builtin():
    for kind, parent in PARENTS.items():
        error = kind("a message")
        assert isinstance(error, sheaf.Error) and isinstance(error, parent)
        assert str(error) == "a message" and kind.__module__ == "sheaf"


def test_errors_of_the_store_come_as_their_class(store):
    store.put_bytes("a", b"1")
    with pytest.raises(sheaf.NotFound) as told:
        store.get("nope")
    assert str(told.value) == told.value.args[0] and "nope" in str(told.value)
    with pytest.raises(sheaf.Exists):
        store.put_bytes("a", b"2")
    with pytest.raises(sheaf.Full, match="huge|budget|free|memory"):
        store.create("huge", 1 << 40)
    with pytest.raises(sheaf.Timeout):
        store.get("nope", timeout=0.01)
    with pytest.raises(sheaf.Invalid):
        store.get("x" * 256)


def test_nobody_listens():
    with pytest.raises(sheaf.Unavailable, match="no store at unix:/nowhere"):
        sheaf.connect("/nowhere/store.sock", timeout=0)
    with pytest.raises(sheaf.Invalid, match="grpc"):
        sheaf.connect("http://host:1")


def test_a_store_that_dies_is_unavailable_and_what_was_got_stays(store):
    store.put("t", pa.table({"k": list(range(300_000))}))
    table = store.get("t")
    os.kill(store.pid, 9)
    store._child.wait(30)

    with pytest.raises(ConnectionError):
        store.list()
    assert table.to_arrow()["k"][299_999].as_py() == 299_999


def test_the_default_store_is_that_of_the_environment(store, monkeypatch):
    monkeypatch.setenv("SHEAF_STORE", store.url)

    assert sheaf.connect().url == store.url == sheaf.default_url()


def test_serve_says_why_it_did_not_start(store, tmp_path):
    with pytest.raises(sheaf.Invalid, match="memory"):
        sheaf.serve(memory="two gigabytes")
    with pytest.raises(sheaf.Unavailable, match="did not start"):
        sheaf.serve(memory="64MiB", socket=store.socket)
    with pytest.raises(OSError):
        sheaf.serve(program=tmp_path / "absent")
    assert "sheaf" in store.stat()["socket"]


def test_serve_takes_bytes_and_a_socket(tmp_path):
    with sheaf.serve(memory=64 << 20, socket=tmp_path / "my.sock", drain=0.5) as store:
        assert store.socket == str(tmp_path / "my.sock")
        assert sheaf.connect(tmp_path / "my.sock").url == store.url
        assert store.stat()["store_pid"] == store.pid
    assert store.closed and store._child.poll() == 0


def test_the_package_imports_nothing_else():
    program = (
        "import sheaf, sys\n"
        "with sheaf.serve(memory='64MiB') as store:\n"
        "    with store.writer('t', {'k': 'int64'}): pass\n"
        "    table = store.get('t'); repr(table); table._repr_html_(); table.__arrow_c_stream__()\n"
        "heavy = {'numpy', 'pyarrow', 'pandas', 'polars', 'duckdb'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
