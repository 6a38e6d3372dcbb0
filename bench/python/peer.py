"""One peer's program: `peer.py sheaf|plasma|ray FLAGS WORKLOADS`.

It runs the workloads of ../peers and those below, against one server, and prints JSON lines as
../peers/README.md says. `run.py` puts ../peers on PYTHONPATH, for the processes started here too.
"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np
import pyarrow as pa
import workloads
from workloads import Options, Result, make_table, timed

#: What every server gets. Sheaf keeps up to a quarter of it prepared, unless it is told otherwise.
MEMORY = 6 << 30
#: Puts and deletes before the clock of a sustained row runs.
WARM = 3
#: Bytes that a sustained row moves for each size.
SUSTAINED_BYTES = 8 << 30
#: The most puts that it makes.
MOST_CHURN = 40


def sustained(store: Any, options: Options) -> Iterator[Result]:
    """Put and delete without a pause, into memory that was used before: for each size."""
    for size in options.sizes:
        table = make_table(size)
        yield in_a_row("sustained", store, size, lambda: store.put(table))
    store.settle()


def computed(store: Any, options: Options) -> Iterator[Result]:
    """A table whose columns are computed, until it is sealed: Sheaf's where they will lie, the
    others' in warm private memory that is then put. Without a pause, as `sustained`."""
    for size in options.sizes:
        ids = np.arange(size // 16, dtype=np.int64)

        def fill(id: np.ndarray, value: np.ndarray) -> None:
            np.add(ids, 1, out=id)
            np.multiply(ids, 0.5, out=value)

        yield in_a_row("computed", store, size, putter(store, size, fill))
    store.settle()


def putter(store: Any, size: int, fill: Callable) -> Callable[[], Any]:
    if hasattr(store, "build"):
        return lambda: store.build(size, fill)
    id = np.zeros(size // 16, np.int64)
    value = np.zeros(size // 16, np.float64)
    table = pa.table({"id": id, "value": value})  # Without a copy: filled below.

    def put() -> Any:
        fill(id, value)
        return store.put(table)

    return put


def in_a_row(name: str, store: Any, size: int, put: Callable[[], Any]) -> Result:
    count = max(4, min(MOST_CHURN, SUSTAINED_BYTES // size))

    def put_and_delete(times: int) -> None:
        for _ in range(times):
            store.delete([put()])

    put_and_delete(WARM)
    return Result(name, size, size, [timed(lambda: put_and_delete(count))], count)


def compute(_store: Any, options: Options) -> Iterator[Result]:
    """The floor of `computed`: the same columns computed in warm private memory."""
    for size in options.sizes:
        ids = np.arange(size // 16, dtype=np.int64)
        id, value = np.zeros(size // 16, np.int64), np.zeros(size // 16, np.float64)

        def fill() -> None:
            np.add(ids, 1, out=id)
            np.multiply(ids, 0.5, out=value)

        seconds = [timed(fill) for _ in range(1 + options.repeats)]
        yield Result("compute", size, size, seconds[1:])


class SheafStore:
    """A client of the store behind a URL."""

    def __init__(self, url: str) -> None:
        import sheaf

        self.store = sheaf.connect(url, timeout=10)
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"object-{self.count}"

    def put(self, table: pa.Table) -> str:
        name = self.name()
        self.store.put(name, table)
        return name

    def build(self, size: int, fill: Callable) -> str:
        name = self.name()
        schema = {"id": "int64", "value": "float64"}
        with self.store.build(name, schema, rows=size // 16) as table:
            fill(table["id"], table["value"])
        return name

    def get(self, reference: str) -> pa.Table:
        return self.store.get(reference).to_arrow()

    def put_small(self, value: bytes) -> str:
        name = self.name()
        self.store.put_bytes(name, value)
        return name

    def get_small(self, reference: str) -> memoryview:
        return self.store.bytes(reference)

    def delete(self, references: list[str]) -> None:
        for name in references:
            self.store.delete(name)
        references.clear()

    def settle(self) -> None:
        stat = self.store.stat()
        while stat["retiring"] or stat["pooled"] != stat["pooled_ready"]:
            time.sleep(0.001)
            stat = self.store.stat()

    def elsewhere(self, function: Callable, references: list, *arguments: Any) -> Any:
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
            task = process.submit(call, self.store.url, function, references, *arguments)
            return task.result()


def call(url: str, function: Callable, *arguments: Any) -> Any:
    """Runs in the new process."""
    return function(SheafStore(url), *arguments)


@contextmanager
def serve_sheaf(capacity: int) -> Iterator[SheafStore]:
    import sheaf

    with sheaf.serve(memory=capacity) as served:
        yield SheafStore(served.url)


def put_fresh_sheaf(_store: SheafStore, options: Options) -> Iterator[Result]:
    """As for the others, in a store that prepares nothing ahead."""
    import sheaf

    with sheaf.serve(memory=MEMORY, pool=0) as served:
        yield from put_fresh(SheafStore(served.url), options)


put_fresh = workloads.put_fresh


def main() -> None:
    peer = sys.argv.pop(1)
    Options.capacity = property(lambda _options: MEMORY)
    workloads.WORKLOADS |= {"sustained": sustained, "compute": compute, "computed": computed}
    if peer == "sheaf":
        import sheaf

        workloads.WORKLOADS["put-fresh"] = put_fresh_sheaf
        workloads.main("sheaf", sheaf.__version__, serve_sheaf)
    elif peer == "plasma":
        import plasma_peer

        workloads.main("plasma", pa.__version__, plasma_peer.serve)
    else:
        sys.argv[0] = __file__
        sys.argv.insert(1, peer)  # For the program started anew.
        import ray_peer

        ray_peer.confine_to_loopback()
        sys.argv.pop(1)
        workloads.main("ray", ray_peer.ray.__version__, ray_peer.serve)


if __name__ == "__main__":
    main()
