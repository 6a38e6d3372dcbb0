"""Plasma's sort of 2017, and the one that is built in, on the same data.

Producers put partitions of a column. A pool of workers sorts it as the Plasma blog did it: each
sorts a partition and picks samples, pivots come of all samples, each worker cuts its partition at
the pivots, and each then merges one range of all partitions. Every step's data are objects of the
store; nothing but names is pickled. `store.sort` does the same in one call.

    pip install ./python pyarrow numpy
    python python/examples/sort_pipeline.py [ROWS]
"""

from __future__ import annotations

import multiprocessing
import sys
import time

import numpy as np
import pyarrow as pa

import sheaf

WORKERS = 2
ROWS = 2_000_000


def column(store: sheaf.Store, name: str) -> np.ndarray:
    """A table's only column, in the store's memory."""
    values: np.ndarray = store.get(name).to_arrow()["x"].to_numpy()
    return values


def put(store: sheaf.Store, name: str, values: np.ndarray) -> None:
    store.put(name, pa.table({"x": values}))


# %% What the workers do.
def produce(store: sheaf.Store, part: int, rows: int) -> None:
    with store.build(f"part/{part}", {"x": "float64"}, rows=rows) as table:
        np.random.default_rng(part).random(out=table["x"])


def sort_part(store: sheaf.Store, part: int) -> np.ndarray:
    """Sorts a partition; returns evenly spaced samples of it."""
    values = np.sort(column(store, f"part/{part}"))
    put(store, f"sorted/{part}", values)
    return values[:: max(1, len(values) // (WORKERS * WORKERS))]


def merge_range(store: sheaf.Store, at: int, pivots: np.ndarray) -> int:
    """Merges what lies between two pivots, of all partitions; returns how much that is."""
    pieces = []
    for part in range(WORKERS):
        values = column(store, f"sorted/{part}")
        low, high = np.searchsorted(values, [pivots[at], pivots[at + 1]])
        pieces.append(values[low:high])
    merged = np.concatenate(pieces)
    merged.sort(kind="stable")  # numpy's merges runs that are sorted already.
    put(store, f"range/{at}", merged)
    return len(merged)


# %% The blog's way: partitions, samples, pivots, ranges.
def by_workers(store: sheaf.Store, pool: multiprocessing.pool.Pool) -> list[str]:
    samples = np.sort(
        np.concatenate(pool.starmap(sort_part, [(store, part) for part in range(WORKERS)]))
    )
    inner = samples[[len(samples) * at // WORKERS for at in range(1, WORKERS)]]
    pivots = np.concatenate([[-np.inf], inner, [np.inf]])
    pool.starmap(merge_range, [(store, at, pivots) for at in range(WORKERS)])
    return [f"range/{at}" for at in range(WORKERS)]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    context = multiprocessing.get_context("spawn")
    memory = f"{max(256, rows * 8 * 8 >> 20)}MiB"
    with sheaf.serve(memory=memory) as served, context.Pool(WORKERS) as pool:
        store = sheaf.connect(served.url)
        pool.starmap(produce, [(store, part, rows // WORKERS) for part in range(WORKERS)])

        start = time.perf_counter()
        ranges = by_workers(store, pool)
        workers_seconds = time.perf_counter() - start

        # %% The built-in way, on the same data as one table.
        parts = [store.get(f"part/{part}").to_arrow() for part in range(WORKERS)]
        store.put("whole", pa.concat_tables(parts))
        start = time.perf_counter()
        store.sort("whole", by="x", into="whole/sorted")
        sort_seconds = time.perf_counter() - start

        # %% A reader maps both outcomes, and finds them the same.
        merged = np.concatenate([column(store, name) for name in ranges])
        assert (merged == column(store, "whole/sorted")).all()
        print(f"{len(merged):,} values of {WORKERS} producers, in order")
        print(f"  {WORKERS} workers over the store, as Plasma's blog did  {workers_seconds:.3f} s")
        print(f"  store.sort                                     {sort_seconds:.3f} s")


if __name__ == "__main__":
    main()
