"""Clients: how they connect, end and die."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

import sheaf

pytest.importorskip("pyarrow")


def test_a_store_that_is_not_there_is_an_os_error(plasma, tmp_path):
    with pytest.raises(IOError):
        plasma.connect(str(tmp_path / "nobody"), num_retries=1)


def test_a_client_knows_its_socket(client, socket):
    assert client.store_socket_name == socket


def test_a_client_waits_for_a_store_that_comes(plasma, tmp_path, socket):
    import threading

    late = tmp_path / "late"
    timer = threading.Timer(0.3, os.symlink, (socket, late))
    timer.start()

    assert plasma.connect(str(late), num_retries=50).list() == {}


def test_a_disconnected_client_raises_os_errors(client, new_id):
    client.disconnect()
    client.disconnect()

    for call in [
        lambda: client.contains(new_id()),
        lambda: client.create(new_id(), 1),
        lambda: client.get_buffers([new_id()], timeout_ms=0),
        lambda: client.create_and_seal(new_id(), b""),
        lambda: client.evict(1),
        lambda: client.list(),
    ]:
        with pytest.raises(OSError):
            call()
    assert client.store_capacity() > 0


def test_a_dead_store_is_an_os_error(plasma, new_id):
    with plasma.start_plasma_store(10 << 20) as (name, process):
        client = plasma.connect(name)
        client.create_and_seal(object_id := new_id(), b"k" * 100_000)
        [held] = client.get_buffers([object_id])
        process.kill()
        process.wait()

        for call in [
            lambda: client.contains(new_id()),
            lambda: client.create(new_id(), 1),
            lambda: client.get_buffers([new_id()]),
        ]:
            with pytest.raises(OSError):
                call()
        assert held.to_pybytes() == b"k" * 100_000


def blocked(module, socket, binary):
    import importlib

    plasma = importlib.import_module(module)
    plasma.connect(socket).get_buffers([plasma.ObjectID(binary)])


def writing(module, socket, binary, created):
    import importlib

    plasma = importlib.import_module(module)
    client = plasma.connect(socket)
    client.create(plasma.ObjectID(binary), 100_000)
    created.set()
    time.sleep(600)


def spawn(function, *arguments):
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    return process


def test_a_client_that_dies_while_it_waits_harms_nobody(plasma, socket, client, new_id):
    object_id = new_id()
    waiting = spawn(blocked, plasma.__name__, socket, object_id.binary())
    time.sleep(0.5)  # That it waits can't be seen from here in Plasma.

    waiting.kill()
    waiting.join()

    client.create_and_seal(object_id, b"x")
    assert client.contains(object_id)


def test_a_client_that_dies_while_it_writes_frees_its_id(plasma, socket, client, new_id):
    object_id = new_id()
    created = multiprocessing.get_context("spawn").Event()
    writer = spawn(writing, plasma.__name__, socket, object_id.binary(), created)
    assert created.wait(60)
    assert client.list()[object_id]["state"] == "created"

    writer.kill()
    writer.join()

    while object_id in client.list():
        time.sleep(0.001)
    client.create_and_seal(object_id, b"anew")
    assert client.get_buffers([object_id])[0].to_pybytes() == b"anew"


@pytest.mark.differs
def test_a_writers_death_wakes_who_waits_for_it(plasma, socket, client, new_id):
    """In Plasma they waited for ever."""
    object_id = new_id()
    created = multiprocessing.get_context("spawn").Event()
    writer = spawn(writing, plasma.__name__, socket, object_id.binary(), created)
    assert created.wait(60)

    killer = multiprocessing.get_context("spawn").Process(target=kill, args=(writer.pid,))
    killer.start()
    [got] = client.get_buffers([object_id])
    killer.join()
    writer.join()

    assert got is None
    assert client.get(object_id, timeout_ms=0) is plasma.ObjectNotAvailable


def kill(pid):
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)


WAITS = {
    "get": "client.get(plasma.ObjectID(b'a' * 20))",
    "get_buffers": "client.get_buffers([plasma.ObjectID(b'a' * 20)], timeout_ms=600_000)",
    "get_metadata": "client.get_metadata([plasma.ObjectID(b'a' * 20)])",
    "notification": "client.subscribe(); print('waits', flush=True); client.get_next_notification()",
}


@pytest.mark.differs
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c_interrupts_every_wait(socket, wait):
    """In Plasma it had to be killed."""
    program = (
        "import sys, sheaf.plasma as plasma\n"
        "client = plasma.connect(sys.argv[1])\n"
        f"try: {wait}\n"
        "except KeyboardInterrupt: print('caught', client.store_capacity() > 0)"
    )
    command = [sys.executable, "-c", program, socket]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if "waits" in wait:
        assert child.stdout.readline() == "waits\n"
    else:
        with sheaf.connect(socket) as store:
            while store.stat()["waits"] == 0:
                time.sleep(0.005)

    child.send_signal(signal.SIGINT)

    assert child.communicate(timeout=30)[0] == "caught True\n"


@pytest.mark.differs
def test_there_is_no_capsule(client):
    with pytest.raises(NotImplementedError):
        client.to_capsule()


def test_a_debug_string_is_text(client):
    assert isinstance(client.debug_string(), str)


@pytest.mark.differs
def test_pyarrow_is_not_needed(plasma):
    script = """
import sys
sys.modules["pyarrow"] = None
sys.modules["numpy"] = None
import sheaf.plasma as plasma

with plasma.start_plasma_store(10 << 20) as (name, _):
    client = plasma.connect(name)
    object_id = plasma.ObjectID.from_random()
    buffer = client.create(object_id, 3, b"meta")
    assert isinstance(buffer, plasma.PlasmaBuffer)
    buffer[:] = b"abc"
    client.seal(object_id)
    [(metadata, data)] = client.get_buffers([object_id], with_meta=True)
    assert (metadata, bytes(data), data.readonly) == (b"meta", b"abc", True)
    value = {"k": bytearray(100_000)}
    got = client.get(client.put(value))
    assert got == value
    try:
        client.create(object_id, 1)
    except plasma.PlasmaObjectExists as error:
        print("told", error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("told")


def test_the_module_has_all_of_plasmas_names(plasma):
    for name in [
        "ObjectID",
        "ObjectNotAvailable",
        "PlasmaBuffer",
        "PlasmaClient",
        "PlasmaObjectExists",
        "PlasmaObjectNotFound",
        "PlasmaStoreFull",
        "connect",
        "start_plasma_store",
        "TF_PLASMA_OP_PATH",
        "build_plasma_tensorflow_op",
        "load_plasma_tensorflow_op",
        "tf_plasma_op",
    ]:
        assert hasattr(plasma, name)
    for name in [
        "contains",
        "create",
        "create_and_seal",
        "debug_string",
        "decode_notifications",
        "delete",
        "disconnect",
        "evict",
        "get",
        "get_buffers",
        "get_metadata",
        "get_next_notification",
        "get_notification_socket",
        "hash",
        "list",
        "put",
        "put_raw_buffer",
        "seal",
        "set_client_options",
        "store_capacity",
        "store_socket_name",
        "subscribe",
        "to_capsule",
    ]:
        assert hasattr(plasma.PlasmaClient, name)
