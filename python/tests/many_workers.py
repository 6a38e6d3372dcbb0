"""`many_workers.py URL COUNT`: forks that many workers, each of which reads the table `large`, and
prints how much private memory each has grown by. A helper of test_robust_workers.py."""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

import sheaf

PATIENCE = 300


def private_bytes() -> int:
    with open("/proc/self/smaps_rollup") as told:
        fields = dict(line.split(":", 1) for line in told if line.startswith("Private_"))
    return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) << 10


def read(url: str, name: str) -> tuple[Any, int]:
    table = sheaf.connect(url).get(name).to_arrow()
    return table, int(table["k"].chunk(0).to_numpy().sum())


def work(url: str, barrier: Any, grown: Any) -> None:
    read(url, "small")  # What a first use takes is not the table's.
    barrier.wait(PATIENCE)
    before = private_bytes()
    table, total = read(url, "large")
    # A page that only one process maps would count as its own.
    barrier.wait(PATIENCE)
    after = private_bytes()
    barrier.wait(PATIENCE)
    grown.put((total, after - before))
    del table


def main(url: str, count: int) -> None:
    read(url, "small")  # Imports what it takes, once.
    context = multiprocessing.get_context("fork")
    barrier, grown = context.Barrier(count), context.SimpleQueue()
    workers = [context.Process(target=work, args=(url, barrier, grown)) for _ in range(count)]
    for worker in workers:
        worker.start()
    told = [grown.get() for _ in workers]
    for worker in workers:
        worker.join()
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
