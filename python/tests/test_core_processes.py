"""Several processes: signals, forks, worker pools, deaths."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

import sheaf

TABLE = pa.table({"k": np.arange(300_000)})
TOTAL = 299_999 * 300_000 // 2

READY = "import sheaf, sys; store = sheaf.connect(sys.argv[1])\nprint('ready', flush=True)\n"


def eventually(claim, patience=30.0):
    deadline = time.monotonic() + patience
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


WAITS = {
    "get": "store.get('never', timeout=600)",
    "get_many": "store.get_many(['never', 'ever'], timeout=600)",
    "bytes": "store.bytes('never', timeout=float('inf'))",
    "wait": "store.wait('never', 600)",
    "watch": "next(store.watch())",
    "put": "store.put_bytes('b', bytes(200 << 20), wait=600)",
    "build": "store.build('b', {'k': 'int64'}, rows=25 << 20, wait=600)",
    "create": "store.create('b', 200 << 20, wait=600)",
    "writer": "store.writer('b', {'k': 'int64'}, wait=600).write(BATCH)",
    "connect": "sheaf.connect('/nowhere/store.sock', timeout=600)",
}


#: More than the store has room for.
BATCH = "import numpy as np, pyarrow as pa\nBATCH = pa.record_batch({'k': np.zeros(25 << 20, int)})\n"


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c_interrupts_every_wait(store, run, wait):
    store.put_bytes("a", bytes(100 << 20))
    caught = f"try: {wait}\nexcept KeyboardInterrupt: print('caught', store.list() != [])\n"
    child = run(BATCH * ("BATCH" in wait) + READY + caught, store.url)
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.3)  # Nothing tells that the wait has begun; earlier, the test is only weaker.

    start = time.monotonic()
    child.send_signal(signal.SIGINT)
    said, complained = child.communicate(timeout=30)

    # Where the signal came before the `try`, Python itself says what happened.
    assert said == "caught True\n" or "KeyboardInterrupt" in complained
    assert time.monotonic() - start < 10


#: A thread waits, and Ctrl-C reaches the main thread in the block of the thread's store.
THREADED = """
import threading
def wait(store):
    try: store.get("never", timeout=600)
    except sheaf.Error as error: print(type(error).__name__, error, flush=True)
try:
    with sheaf.connect(sys.argv[1]) as mine:
        thread = threading.Thread(target=wait, args=(mine,))
        thread.start()
        sys.stdin.readline()
except KeyboardInterrupt:
    print("caught", flush=True)
"""


def test_ctrl_c_ends_the_waits_of_threads_whose_store_it_closes(store, run):
    child = run(READY + THREADED, store.url)
    assert child.stdout.readline() == "ready\n"
    eventually(lambda: store.stat()["waits"] == 1)

    child.send_signal(signal.SIGINT)
    said, complained = child.communicate(timeout=30)

    assert (child.returncode, complained) == (0, "")
    assert sorted(said.splitlines())[1] == "caught"
    assert sorted(said.splitlines())[0].startswith("Invalid this store is closed")


def test_closing_a_store_ends_the_waits_of_its_threads(store):
    told = []
    other = sheaf.connect(store.url)

    def wait():
        try:
            other.bytes("never", timeout=float("inf"))
        except sheaf.Error as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: store.stat()["waits"] == 1)
    other.close()
    thread.join(30)

    assert [type(error) for error in told] == [sheaf.Invalid] and "closed" in str(told[0])
    eventually(lambda: store.stat()["waits"] == 0)


def test_ctrl_c_interrupts_the_end_of_a_store_and_ends_it(run, tmp_path):
    program = (
        "import sheaf, sys\n"
        "store = sheaf.serve(memory='64MiB', socket=sys.argv[1], drain=600)\n"
        "other = sheaf.connect(store.url)\n"
        "draft = other.create('unfinished', 5)\n"
        "print('ready', flush=True)\n"
        "try: store.close()\n"
        "except KeyboardInterrupt: print('caught', store._child.poll(), flush=True)\n"
        "store._child.wait(60); print(store._child.poll())"
    )
    child = run(program, str(tmp_path / "store.sock"))
    assert child.stdout.readline() == "ready\n"
    eventually(lambda: not takes_drafts(tmp_path / "store.sock"))

    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=30)

    # It is killed; whether that was quicker than the question is chance.
    assert said in ("caught None\n-9\n", "caught -9\n-9\n")


def takes_drafts(socket) -> bool:
    """Whether the store there still does, or has begun to end."""
    try:
        sheaf.connect(str(socket)).create("another", 5).abort()
        return True
    except sheaf.Unavailable:
        return False


def test_a_handler_that_returns_lets_the_wait_go_on(store, run):
    program = (
        "import signal; signal.signal(signal.SIGUSR1, lambda *_: print('handled', flush=True))\n"
        + READY
        + "print(bytes(store.bytes('later', timeout=60)))"
    )
    child = run(program, store.url)
    child.stdout.readline()
    child.send_signal(signal.SIGUSR1)
    assert child.stdout.readline() == "handled\n"

    store.put_bytes("later", b"here")

    assert child.communicate(timeout=30)[0] == "b'here'\n"


def test_the_interpreter_is_free_while_a_call_waits(store):
    thread = threading.Thread(target=lambda: store.get("later", timeout=60))
    thread.start()

    store.put("later", TABLE)  # Would never be reached.

    thread.join(30)
    assert not thread.is_alive()


#: Calls that copy 64 MiB, or have the store check as much.
LONG = {
    "put": lambda store: store.put("t", LARGE),
    "put_bytes": lambda store: store.put_bytes("b", LARGE["k"].chunk(0).to_numpy()),
    "writer": lambda store: store.writer("w", LARGE.schema).write(LARGE),
    "seal": lambda store: store.build("s", {"k": "int64"}, rows=8 << 20).seal(),
}
LARGE = pa.table({"k": np.arange(8 << 20)})


@pytest.mark.parametrize("call", LONG.values(), ids=LONG)
def test_the_interpreter_is_free_while_a_call_copies(store, call):
    steps, done = 0, threading.Event()

    def step():
        nonlocal steps
        while not done.is_set():
            steps += 1
            time.sleep(0)  # Gives the lock away, which nobody is made to do meanwhile.

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=step)
    thread.start()
    sys.setswitchinterval(1000)
    try:
        before = steps
        call(store)
        after = steps
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()

    assert after > before


def test_a_writer_that_is_killed_wakes_its_readers(store, run):
    child = run(READY + "d = store.create('raw', 100); print('made', flush=True); input()", store.url)
    for _ in range(2):
        child.stdout.readline()
    watch = store.watch()

    told = []

    def wait():
        try:
            store.bytes("raw", timeout=60)
        except sheaf.Error as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while store.stat()["waits"] == 0:
        time.sleep(0.01)
    child.kill()
    thread.join(30)

    assert [type(error) for error in told] == [sheaf.WriterGone]
    assert next(watch).kind == "deleted"
    child.communicate()


def test_a_forked_child_uses_the_same_client_and_tables(store):
    store.put("t", TABLE)
    table = store.get("t")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            assert table.to_arrow()["k"].to_numpy().sum() == TOTAL
            assert store.get("t").num_rows == 300_000
            store.put_bytes("from the child", b"hello")
            store.close()  # Does not end its parent's store.
            status = 0
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    assert bytes(store.bytes("from the child")) == b"hello"
    assert len(store.get("t")) == 300_000


def test_drafts_stay_their_parents(store):
    draft, writer = store.create("raw", 5), store.writer("w", {"k": "int64"})
    builder, watch = store.build("b", {"k": "int64"}, rows=300_000), store.watch()
    builder["k"][:] = 7
    uses = [draft.seal, draft.abort, writer.seal, builder.seal, builder.abort]
    pid = os.fork()
    if pid == 0:
        told = 0
        for use in uses:
            try:
                use()
            except sheaf.Invalid as error:
                told += "forked" in str(error)
        try:
            memoryview(draft)
        except BufferError:
            told += 1
        try:
            next(watch)
        except sheaf.Unavailable:
            told += 1
        # Other memory may have come to lie where the builder's was: it must survive its end.
        others = [np.full(300_000 + k, k) for k in range(64)]
        del builder, draft, writer, use, uses
        gc.collect()
        told += all((other == k).all() for k, other in enumerate(others))
        os._exit(told)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == len(uses) + 3

    assert [info.state for info in store.list()] == ["draft"] * 3
    draft.seal(), writer.seal(), builder.seal()
    assert next(watch).kind == "sealed"
    assert store.get("b").to_arrow()["k"][299_999].as_py() == 7


def test_a_child_that_ends_by_itself_leaves_the_store(store):
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)

    assert store.stat()["store_pid"] == store.pid


def total(data):
    """What a worker does with what it is passed."""
    table = data.get() if isinstance(data, sheaf.Ref) else data
    return int(table.to_arrow()["k"].to_numpy().sum())


def fill(store, name):
    return os.getpid(), store.put(name, TABLE)


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_are_passed_references(store, method):
    store.put("t", TABLE)
    table = store.get("t")

    with multiprocessing.get_context(method).Pool(2) as pool:
        totals = pool.map(total, [table, store.ref("t"), table, store.ref("t")])
        writer, info = pool.apply(fill, (sheaf.connect(store.url), "made"))

    assert totals == [TOTAL] * 4
    assert writer != os.getpid() and len(store.get("made")) == 300_000
    assert info == store.info("made")


def test_the_store_dies_with_its_parent(run):
    child = run("import sheaf\ns = sheaf.serve(memory='64MiB'); print(s.pid, s.url, flush=True); input()")
    pid, url = child.stdout.readline().split()
    sheaf.connect(url)

    child.kill()
    child.communicate()

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}"):
        with open(f"/proc/{pid}/stat") as told:
            if told.read().split()[2] == "Z":
                break
        time.sleep(0.02)
    with pytest.raises(sheaf.Unavailable):
        sheaf.connect(url)


def test_a_store_that_is_not_closed_ends_with_its_program(run):
    child = run("import sheaf\ns = sheaf.serve(memory='64MiB'); print(s.url)")

    url = child.communicate(timeout=60)[0].strip()

    assert child.returncode == 0
    with pytest.raises(sheaf.Unavailable):
        sheaf.connect(url)
    assert not os.path.exists(os.path.dirname(url.removeprefix("unix:")))


def test_a_store_of_a_thread_that_has_ended_lives_on():
    made = []
    thread = threading.Thread(target=lambda: made.append(sheaf.serve(memory="64MiB")))
    thread.start()
    thread.join()

    time.sleep(0.1)
    with made[0] as store:
        assert store.list() == []
