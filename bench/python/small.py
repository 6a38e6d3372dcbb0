"""Small objects: `small.py mapped | sheaf.plasma | pyarrow.plasma`, each with a server of its own.

Prints one JSON object: the median microseconds of one call, of all the calls of this process.
"""

import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

BYTES = 1024
CALLS = 3000
CAPACITY = 512 << 20


def microseconds(call: Callable[[Any], Any], arguments: list) -> float:
    """The median over one call for each argument. The clock itself takes some 0.05 µs."""
    clock = time.perf_counter
    samples = []
    for argument in arguments:
        start = clock()
        got = call(argument)
        samples.append(clock() - start)
        del got  # Letting go is not what is measured, here as in Rust.
    return median(samples) * 1e6


def mapped() -> dict[str, float]:
    """A table of 1 MiB that this process has mapped, and the least that can be asked of a store."""
    import numpy as np
    import pyarrow as pa

    import sheaf

    with sheaf.serve(memory=CAPACITY) as store:
        store.put("table", pa.table({"k": np.arange(1 << 17)}))
        held = store.get("table").to_arrow()
        calls: dict[str, Callable[[Any], Any]] = {
            "least": lambda _: store.info("table"),
            "get": lambda _: store.get("table"),
            "get-arrow": lambda _: store.get("table").to_arrow(),
        }
        for call in calls.values():
            microseconds(call, [None] * 200)
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(CALLS // 100):  # In turn, so that other work meets all.
            for name, call in calls.items():
                found[name].append(microseconds(call, [None] * 100))
        del held
        return {name: median(samples) for name, samples in found.items()}


def plasma(module: str) -> dict[str, float]:
    """Objects of 1 KiB, no id twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plasma = importlib.import_module(module)
        with plasma.start_plasma_store(CAPACITY) as (socket, _server):
            return measured(plasma, plasma.connect(socket), plasma.connect(socket))


def measured(plasma: Any, client: Any, other: Any) -> dict[str, float]:
    value = bytes(range(256)) * (BYTES // 256)

    def create_and_seal(object_id: Any) -> None:
        memoryview(client.create(object_id, BYTES)).cast("B")[:] = value
        client.seal(object_id)

    def ids() -> list:
        return [plasma.ObjectID.from_random() for _ in range(CALLS)]

    for object_id in ids()[:200]:
        create_and_seal(object_id)
        client.create_and_seal(plasma.ObjectID.from_random(), value)
        assert bytes(other.get_buffers([object_id])[0]) == value
    created, put, values = ids(), ids(), ids()
    found = {
        "create + seal": microseconds(create_and_seal, created),
        "create_and_seal": microseconds(lambda i: client.create_and_seal(i, value), put),
        "get_buffers": microseconds(lambda i: other.get_buffers([i]), created),
        "put": microseconds(lambda i: client.put(value, i), values),
        "get": microseconds(lambda i: other.get(i), values),
    }
    assert other.get(values[7]) == value and bytes(other.get_buffers([put[7]])[0]) == value
    return found


if __name__ == "__main__":
    what = sys.argv[1]
    print(json.dumps(mapped() if what == "mapped" else plasma(what)))
