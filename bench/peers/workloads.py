"""The workloads, written once for every peer that is driven from Python.

A peer is a `Store`: it puts, gets and deletes. What is put, how often, and between which two
moments the clock runs is decided here, alike for all. README.md states the same as a contract,
for peers in other languages.

Nothing here knows a particular store, starts a server, or computes a ratio.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

KIB, MIB = 1 << 10, 1 << 20

SMALL_BYTES = 1 * KIB
BATCHES = 5


class Store(Protocol):
    """A client of one peer. A reference is whatever the peer finds an object by."""

    def put(self, table: pa.Table) -> Any: ...

    def get(self, reference: Any) -> pa.Table:
        """The table as it lies in shared memory, not copied."""

    def put_small(self, value: bytes) -> Any: ...

    def get_small(self, reference: Any) -> Any:
        """The value as anything with the buffer protocol."""

    def delete(self, references: list) -> None:
        """Deletes the objects and empties the list, the last to refer to them."""

    def settle(self) -> None:
        """Returns when deleted memory can be used again."""

    def elsewhere(self, function: Callable, references: list, *arguments: Any) -> Any:
        """Calls `function(store, references, *arguments)` in a new process that has a client of
        the same server but has seen no object of it yet."""


@dataclass
class Options:
    """How large and how often; README.md explains each."""

    sizes: list[int]
    repeats: int
    readers: int
    churn: int
    small: int

    @property
    def capacity(self) -> int:
        """Twice what any workload keeps at once, so that nobody has to evict or spill."""
        return 2 * (sum(self.sizes) + 64 * MIB)


@dataclass
class Result:
    """`seconds` has one figure per sample; a sample is `operations` operations, each of which
    moves or reads `bytes` of an object of `object_bytes`."""

    workload: str
    object_bytes: int
    bytes: int
    seconds: list[float]
    operations: int = 1


def memcpy(_store: Store, options: Options) -> Iterator[Result]:
    """The yardstick: a copy from warm private memory into warm private memory, in one thread."""
    for size in options.sizes:
        source = np.ones(size // 8)
        target = np.zeros(size // 8)
        seconds = [timed(lambda: np.copyto(target, source)) for _ in range(1 + options.repeats)]
        yield Result("memcpy", size, size, seconds[1:])


def sum_private(_store: Store, options: Options) -> Iterator[Result]:
    """The floor of every get + sum: the same column, in private memory."""
    for size in options.sizes:
        table = make_table(size)
        seconds = [timed(lambda: sum_ids(table)) for _ in range(1 + options.repeats)]
        yield Result("sum", size, size // 2, seconds[1:])


def put_fresh(store: Store, options: Options) -> Iterator[Result]:
    """Puts that keep what they put, so that each goes where no object has ever lain."""
    kept = []
    for size in options.sizes:
        table = make_table(size)
        yield Result("put-fresh", size, size, [timed(lambda: kept.append(store.put(table)))])
    store.delete(kept)
    store.settle()


def put_recycled(store: Store, options: Options) -> Iterator[Result]:
    """Puts into memory that the store has ready. Deletion and recovery are not counted."""
    for size in options.sizes:
        table = make_table(size)
        kept, seconds = [], []
        for _ in range(2 + options.repeats):
            seconds.append(timed(lambda: kept.append(store.put(table))))
            store.delete(kept)
            store.settle()
        yield Result("put-recycled", size, size, seconds[2:])


def churn(store: Store, options: Options) -> Iterator[Result]:
    """Put and delete without a pause: whatever the store does to recover memory is counted."""
    size = min(options.sizes)
    table = make_table(size)
    kept = []

    def put_and_delete() -> None:
        for _ in range(options.churn):
            kept.append(store.put(table))
            store.delete(kept)

    yield Result("churn", size, size, [timed(put_and_delete)], options.churn)
    store.settle()


def get(store: Store, options: Options) -> Iterator[Result]:
    """Gets by new processes: the first of each, which maps the memory, and those that follow."""
    for size in options.sizes:
        references = [store.put(make_table(size))]
        reads = [
            store.elsewhere(read_table, references, size, options.repeats)
            for _ in range(options.readers)
        ]
        store.delete(references)
        store.settle()

        first = [of_reader[0] for of_reader in reads]
        again = [read for of_reader in reads for read in of_reader[1:]]
        for name, samples in (("get-first", first), ("get-again", again)):
            yield Result(name, size, 0, [got for got, _ in samples])
            yield Result(f"{name}-sum", size, size // 2, [summed for _, summed in samples])


def read_table(
    store: Store, references: list, size: int, repeats: int
) -> list[tuple[float, float]]:
    """Per read, the seconds until the table was there, and until its column was summed."""
    reads = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        table = store.get(references[0])
        got = time.perf_counter()
        total = sum_ids(table)
        summed = time.perf_counter()

        del table
        check(total, size)
        reads.append((got - start, summed - start))
    return reads


def put_small(store: Store, options: Options) -> Iterator[Result]:
    """Small objects, one call each, all kept until their batch is timed."""
    value = small_value()
    kept, seconds = [], []
    for _ in range(BATCHES):
        seconds.append(
            timed(lambda: kept.extend(store.put_small(value) for _ in range(options.small)))
        )
        store.delete(kept)
        store.settle()
    yield Result("put-small", SMALL_BYTES, SMALL_BYTES, seconds, options.small)


def get_small(store: Store, options: Options) -> Iterator[Result]:
    """Small objects, one call each, by a new process that has not seen them before."""
    value = small_value()
    count = BATCHES * options.small
    got_only = [store.put_small(value) for _ in range(count)]
    summed = [store.put_small(value) for _ in range(count)]
    references = got_only + summed
    got_only.clear()
    summed.clear()

    gets, sums = store.elsewhere(read_small, references, options.small)
    store.delete(references)
    store.settle()
    yield Result("get-small", SMALL_BYTES, 0, gets, options.small)
    yield Result("get-small-sum", SMALL_BYTES, SMALL_BYTES, sums, options.small)


def read_small(store: Store, references: list, batch: int) -> tuple[list[float], list[float]]:
    """Gets the first half of the objects, gets and sums the second half; seconds per batch."""
    half = len(references) // 2
    expected = int(np.frombuffer(small_value(), np.int64).sum())

    def get_batch(start: int) -> None:
        for reference in references[start : start + batch]:
            store.get_small(reference)

    def sum_batch(start: int) -> None:
        for reference in references[start : start + batch]:
            assert np.frombuffer(store.get_small(reference), np.int64).sum() == expected

    gets = [timed(lambda: get_batch(start)) for start in range(0, half, batch)]
    sums = [timed(lambda: sum_batch(start)) for start in range(half, 2 * half, batch)]
    return gets, sums


# In the order in which a full run must do them: fresh memory is fresh only once.
WORKLOADS = {
    "memcpy": memcpy,
    "sum": sum_private,
    "put-fresh": put_fresh,
    "put-recycled": put_recycled,
    "churn": churn,
    "get": get,
    "put-small": put_small,
    "get-small": get_small,
}


def make_table(size: int) -> pa.Table:
    """One batch of `size` bytes: `id`, int64, counts up from 0; `value`, float64, is half of it."""
    ids = np.arange(size // 16, dtype=np.int64)
    return pa.table({"id": ids, "value": ids * 0.5})


def sum_ids(table: pa.Table) -> int:
    return sum(int(chunk.to_numpy(zero_copy_only=True).sum()) for chunk in table["id"].chunks)


def check(total: int, size: int) -> None:
    """Whoever reads wrong bytes has no time worth printing."""
    rows = size // 16
    if total != rows * (rows - 1) // 2:
        raise SystemExit(f"read a wrong sum from a table of {size} bytes: {total}")


def small_value() -> bytes:
    return np.arange(SMALL_BYTES // 8, dtype=np.int64).tobytes()


def timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(peer: str, version: str, serve: Callable[[int], AbstractContextManager[Store]]) -> None:
    """A peer's program: runs the workloads it is asked for against one new server.

    `serve` starts a server of that many bytes, yields a client, and ends both, come what may.
    """
    parser = argparse.ArgumentParser(description=f"run workloads on {peer}, print JSON lines")
    parser.add_argument("workloads", nargs="+", choices=WORKLOADS, metavar="WORKLOAD")
    parser.add_argument("--sizes", type=bytes_list, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--readers", type=int, required=True)
    parser.add_argument("--churn", type=int, required=True)
    parser.add_argument("--small", type=int, required=True)
    arguments = vars(parser.parse_args())
    workloads = arguments.pop("workloads")
    options = Options(**arguments)

    # A termination unwinds like an exception, so that the server ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    print(json.dumps({"peer": peer, "version": version}), flush=True)
    with serve(options.capacity) as store:
        store.delete([store.put_small(small_value())])  # Connections and lazy imports.
        store.settle()
        for workload in workloads:
            for result in WORKLOADS[workload](store, options):
                print(json.dumps(asdict(result)), flush=True)


def bytes_list(text: str) -> list[int]:
    """`67108864,1073741824`; whole rows of 16 bytes."""
    sizes = [int(size) for size in text.split(",")]
    if any(size <= 0 or size % 16 for size in sizes):
        raise argparse.ArgumentTypeError("sizes must be positive multiples of 16")
    return sizes
