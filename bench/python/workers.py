"""Many workers, one table: `workers.py COUNT BYTES` prints how much private memory each grew by.

Every worker is spawned, imports all it needs and gets a small table before the first look. Between
the looks it gets the large table and sums both columns; at the second look all workers hold it,
since a page that only one process maps would count as its own.
"""

import json
import multiprocessing
import os
import sys
from typing import Any

import numpy as np

import sheaf

PATIENCE = 600


def private_bytes() -> int:
    """What this process alone has in memory."""
    with open("/proc/self/smaps_rollup") as told:
        fields = dict(line.split(":", 1) for line in told if line.startswith("Private_"))
    return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) << 10


def total(store: sheaf.Store, name: str) -> tuple[Any, float]:
    table = store.get(name).to_arrow()
    return table, float(sum(column.chunk(0).to_numpy().sum() for column in table.columns))


def work(store: sheaf.Store, barrier: Any, grown: Any) -> None:
    total(store, "small")
    barrier.wait(PATIENCE)
    before = private_bytes()
    table, found = total(store, "large")
    barrier.wait(PATIENCE)
    after = private_bytes()
    barrier.wait(PATIENCE)
    grown.put((os.getpid(), found, after - before))
    del table


def fill(store: sheaf.Store, name: str, rows: int) -> None:
    with store.build(name, {"id": "int64", "value": "float64"}, rows=rows) as table:
        np.copyto(table["id"], 1)
        np.copyto(table["value"], 0.5)


def main(count: int, nbytes: int) -> None:
    rows = nbytes // 16
    context = multiprocessing.get_context("spawn")
    with sheaf.serve(memory=nbytes + (64 << 20)) as store:
        fill(store, "small", 1 << 17)
        fill(store, "large", rows)
        client = sheaf.connect(store.url)
        barrier, grown = context.Barrier(count), context.Queue()
        workers = [
            context.Process(target=work, args=(client, barrier, grown), daemon=True)
            for _ in range(count)
        ]
        for worker in workers:
            worker.start()
        told = [grown.get(timeout=PATIENCE) for _ in workers]
        for worker in workers:
            worker.join()
    assert all(found == rows * 1.5 for _, found, _ in told)
    print(json.dumps({"workers": count, "bytes": nbytes, "grown": sorted(g for *_, g in told)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
