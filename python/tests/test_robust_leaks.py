"""Ten thousand rounds leave nothing behind, in the client or in the store."""

from __future__ import annotations

import gc
import os
import time

import numpy as np
import pyarrow as pa

import sheaf

ROUNDS = 10_000
#: What allocators may keep, in bytes; a leak of 1 KiB a round would be 10 MiB.
SLACK = 6 << 20

SMALL = pa.table({"k": [1, 2, 3]})
LARGE = pa.table({"k": np.arange(200_000)})

#: What the store has when nobody has anything in it.
EMPTY = {
    "names": 0, "objects": 0, "drafts": 0, "held": 0, "sealed_bytes": 0, "draft_bytes": 0,
    "retired_bytes": 0, "waits": 0, "queued": 0, "watches": 0,
}  # fmt: skip


def resident(pid: int | str) -> int:
    with open(f"/proc/{pid}/statm") as told:
        _, resident, shared, *_ = (int(pages) for pages in told.read().split())
    return (resident - shared) * os.sysconf("SC_PAGESIZE")


def descriptors(pid: int | str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def settled(store: sheaf.Store) -> dict[str, int]:
    """The store's counters once it has taken everything back that is on its way."""
    deadline = time.monotonic() + 60
    while True:
        stat = store.stat()
        idle = stat["retiring"] == 0 and stat["pooled"] == stat["pooled_ready"]
        if (idle and {name: stat[name] for name in EMPTY} == EMPTY) or time.monotonic() > deadline:
            return stat
        time.sleep(0.01)


def room(stat: dict[str, int]) -> int:
    """What can be put: free, prepared, or left of the segments of small objects."""
    return stat["free_bytes"] + stat["pool_bytes"] + stat["slack_bytes"]


def rounds(store: sheaf.Store, count: int) -> None:
    for index in range(count):
        data = LARGE if index % 50 == 0 else SMALL
        store.put("t", data, metadata=b"m")
        table = store.get("t")
        assert table.to_arrow().num_rows == len(data)
        store.delete("t")
        if index % 200 == 0:
            other_ways(store)


def other_ways(store: sheaf.Store) -> None:
    with store.build("b", {"k": "int64", "v": "float64?"}, rows=100_000) as builder:
        builder["k"][:] = 1
        builder.validity("v")
    with store.writer("w", SMALL.schema) as writer:
        writer.write(SMALL)
    draft = store.create("d", 2 << 20)
    memoryview(draft)[:3] = b"abc"
    draft.seal()
    store.create("aborted", 10).abort()
    with store.watch("b", replay=True) as watch:
        next(watch)
    try:
        store.get("nope", timeout=0.001)
    except sheaf.Timeout:
        pass
    [*_], _ = store.get_many(["b", "w"]), store.bytes("d")
    for info in store.list():
        store.delete(info.name)


def test_ten_thousand_rounds_end_where_they_began(store):
    rounds(store, 400)
    gc.collect()
    before = settled(store)
    memory, served = resident("self"), resident(store.pid)
    opened, served_opened = descriptors("self"), descriptors(store.pid)

    rounds(store, ROUNDS)

    gc.collect()
    after = settled(store)
    assert {name: after[name] for name in EMPTY} == EMPTY
    assert room(after) >= room(before)
    assert descriptors("self") == opened
    # The pool's prepared memory is held by a descriptor each.
    assert descriptors(store.pid) - after["pooled"] <= served_opened - before["pooled"]
    assert resident("self") - memory < SLACK
    assert resident(store.pid) - served < SLACK


def test_clients_that_come_and_go_leave_nothing(store):
    def come_and_go(count: int) -> None:
        for _ in range(count):
            with sheaf.connect(store.url) as client:
                client.put("t", SMALL, replace=True)
                client.get("t")

    come_and_go(20)
    gc.collect()
    opened, served_opened = descriptors("self"), descriptors(store.pid)

    come_and_go(500)

    gc.collect()
    store.delete("t")
    settled(store)
    assert descriptors("self") == opened
    assert descriptors(store.pid) <= served_opened
    assert store.stat()["clients"] <= 2
