"""A producer and a pool of workers that share one table, in cells as a notebook has them.

The producer writes the table into the store's memory. The workers are passed its name; each maps
the same pages, reads its part, and returns a few numbers. The table is never pickled or copied.

    pip install ./python pyarrow numpy
    python python/examples/pool.py
"""

# %% What runs in other processes: functions of a module, as multiprocessing wants them.
from __future__ import annotations

import multiprocessing
import os

import numpy as np

import sheaf

ROWS = 4_000_000
PARTS = 16
BINS = np.linspace(-5, 5, 41)


def produce(store: sheaf.Store) -> None:
    """Computes the table where it will lie. Leaving the block seals it."""
    with store.build("walk", {"step": "int64", "value": "float64"}, rows=ROWS) as table:
        table["step"][:] = np.arange(ROWS)
        np.random.default_rng(7).standard_normal(out=table["value"])


def histogram(walk: sheaf.Ref, part: int) -> tuple[int, np.ndarray]:
    """One worker's share: it waits for the table, should it come before the producer is done."""
    table = walk.get(timeout=60)
    values = table.to_arrow()["value"].chunk(0).to_numpy()  # The store's memory, read-only.
    share = values[part * ROWS // PARTS : (part + 1) * ROWS // PARTS]
    return os.getpid(), np.histogram(share, BINS)[0]


# %% A store of one's own, a producer, four workers.
def main() -> None:
    context = multiprocessing.get_context("spawn")
    with sheaf.serve(memory="256MiB") as store, context.Pool(4) as workers:
        walk = store.ref("walk")  # Of an object that is not there yet, if you like.
        producer = context.Process(target=produce, args=(sheaf.connect(store.url),))
        producer.start()
        shares = workers.starmap(histogram, [(walk, part) for part in range(PARTS)])
        producer.join()

        # %% What they found, and that it is the whole table.
        counts = np.sum([count for _, count in shares], axis=0)
        table = store.get("walk")
        values = table.to_arrow()["value"].to_numpy()
        assert (counts == np.histogram(values, BINS)[0]).all()
        print(table)
        print(f"{len({pid for pid, _ in shares})} workers counted {counts.sum():,} values:")
        for left, count in zip(BINS[8:32:2], counts[8:32:2], strict=False):
            print(f"{left:+.2f} {'█' * int(60 * count // counts.max())}")


if __name__ == "__main__":
    main()
