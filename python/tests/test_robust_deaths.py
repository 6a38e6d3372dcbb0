"""kill -9 of processes while they write: readers learn it, and the store's memory comes back."""

from __future__ import annotations

import os
import signal
import threading
import time

import pyarrow as pa
import pytest

import sheaf

HEAD = """
import sys, numpy as np, pyarrow as pa, sheaf
store = sheaf.connect(sys.argv[1])
table = pa.table({"k": np.arange(1 << 20)})
"""

#: Each says `ready` in the midst of writing `victim`, and does not end by itself.
WRITERS = {
    "writer": """
with store.writer("victim", table.schema) as writer:
    writer.write(table)
    print("ready", flush=True)
    while True:
        writer.write(table.slice(0, 1000))
        sys.stdin.readline()
""",
    "build": """
with store.build("victim", {"k": "int64"}, rows=4 << 20) as builder:
    column = builder["k"]
    column[:1000] = 7
    print("ready", flush=True)
    while True:
        column[:] = 8
""",
    "create": """
draft = store.create("victim", 32 << 20)
view = memoryview(draft)
print("ready", flush=True)
while True:
    view[:] = bytes(32 << 20)
""",
}

#: Puts one table after the other, each under a name of its own.
PUTS = """
import itertools
print("ready", flush=True)
for index in itertools.count():
    store.put(f"put-{index}", table)
    if index >= 3:
        store.delete(f"put-{index - 3}")
"""


def room(store: sheaf.Store) -> int:
    stat = store.stat()
    return stat["free_bytes"] + stat["pool_bytes"] + stat["slack_bytes"]


def eventually(claim, patience=60.0):
    deadline = time.monotonic() + patience
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


class Waiter(threading.Thread):
    """Waits for an object in a thread, and keeps what it was told."""

    def __init__(self, store: sheaf.Store, name: str) -> None:
        super().__init__()
        self.url, self.name_waited, self.told = store.url, name, None
        waiting = store.stat()["waits"]
        self.start()
        eventually(lambda: store.stat()["waits"] > waiting)

    def run(self) -> None:
        try:
            self.told = sheaf.connect(self.url).get(self.name_waited, timeout=120)
        except sheaf.Error as error:
            self.told = error


@pytest.mark.parametrize("program", WRITERS.values(), ids=WRITERS)
def test_readers_learn_that_their_writer_was_killed(store, run, program):
    before = room(store)
    child = run(HEAD + program, store.url)
    assert child.stdout.readline() == "ready\n"
    waiters = [Waiter(store, "victim") for _ in range(3)]
    assert room(store) < before and store.info("victim").state == "draft"

    child.kill()

    for waiter in waiters:
        waiter.join(30)
        assert isinstance(waiter.told, sheaf.WriterGone), waiter.told
    child.communicate()
    eventually(lambda: room(store) >= before)
    assert store.list() == []
    with pytest.raises(sheaf.NotFound):
        store.get("victim")


def test_a_put_that_is_killed_half_way_wakes_its_reader(store, run):
    before = room(store)
    program = HEAD + """
large = pa.table({"k": np.arange(24 << 20)})
sys.stdin.readline()
store.put("victim", large)
"""
    for _ in range(20):
        child = run(program, store.url)
        watch = store.watch("victim")
        child.stdin.write("\n")
        child.stdin.flush()
        assert next(watch).kind == "created"
        os.kill(child.pid, signal.SIGSTOP)
        if store.info("victim").state == "draft":
            break
        child.kill()  # It was faster: once more.
        child.communicate()
        store.delete("victim")
    else:
        pytest.skip("every put was faster than a signal")
    waiter = Waiter(store, "victim")

    child.kill()

    waiter.join(30)
    assert isinstance(waiter.told, sheaf.WriterGone), waiter.told
    child.communicate()
    eventually(lambda: room(store) >= before)


def test_whatever_moment_a_putter_is_killed_at_what_is_there_is_whole(store, run):
    before = room(store)
    for moment in range(4):
        children = [run(HEAD + PUTS.replace("put-", f"put-{n}-"), store.url) for n in range(2)]
        for child in children:
            assert child.stdout.readline() == "ready\n"
        time.sleep(0.007 * moment)  # Any moment will do; these differ.
        for child in children:
            child.kill()
        for child in children:
            child.communicate()
        eventually(lambda: all(info.state == "sealed" for info in store.list()))
        for info in store.list():
            column = store.get(info.name).to_arrow()["k"]
            assert len(column) == 1 << 20 and column[-1].as_py() == (1 << 20) - 1
            del column
            store.delete(info.name)

    eventually(lambda: room(store) >= before)
    # All of it can be used, not only counted.
    store.put_bytes("all", bytes(store.stat()["budget_bytes"] - (16 << 20)), wait=30)


def test_a_put_that_waits_for_room_gets_that_of_the_dead(store, run):
    child = run(HEAD + WRITERS["create"].replace("32 <<", "200 <<"), store.url)
    assert child.stdout.readline() == "ready\n"
    with pytest.raises(sheaf.Full, match="being written"):
        store.create("mine", 100 << 20)
    threading.Timer(0.1, child.kill).start()

    store.create("mine", 100 << 20, wait=60).seal()

    assert len(store.bytes("mine")) == 100 << 20
    child.communicate()


def test_a_reader_that_is_killed_gives_back_what_it_held(store, run):
    store.put("t", pa.table({"k": list(range(500_000))}))
    child = run(HEAD + "t = store.get('t').to_arrow(); print('ready', flush=True); input()", store.url)
    assert child.stdout.readline() == "ready\n"
    assert [holder.pid for holder in store.info("t", holders=True).holders] == [child.pid]
    store.delete("t")
    assert store.stat()["retired_bytes"] > 0

    child.kill()

    child.communicate()
    eventually(lambda: store.stat()["retired_bytes"] == 0)
