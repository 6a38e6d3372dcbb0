"""Ray's object store: a `Store` and the program that runs workloads on it.

`ray.put` copies a table's buffers into shared memory in parallel, `ray.get` hands them out as
they lie there. Deleting is dropping the last reference; Ray recovers the memory a moment later.
"""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import pyarrow as pa
import ray

import workloads

# Ray collects deletions for a second before it acts on them; until then, puts go to fresh memory.
# Without that delay (which serves many nodes) put + delete takes a third less time here.
SYSTEM_CONFIG = {"free_objects_period_milliseconds": 0}
# Even so it deletes in the background and tells nobody; 50 ms are enough on an idle machine.
RECOVERY_SECONDS = 0.3


class RayStore:
    """The process's own connection to Ray, which is global."""

    def put(self, table: pa.Table) -> ray.ObjectRef:
        return ray.put(table)

    def get(self, reference: ray.ObjectRef) -> pa.Table:
        return ray.get(reference)

    def put_small(self, value: bytes) -> ray.ObjectRef:
        return ray.put(value)

    def get_small(self, reference: ray.ObjectRef) -> bytes:
        return ray.get(reference)

    def delete(self, references: list[ray.ObjectRef]) -> None:
        references.clear()

    def settle(self) -> None:
        time.sleep(RECOVERY_SECONDS)

    def elsewhere(self, function: Callable, references: list, *arguments: Any) -> Any:
        actor = Elsewhere.remote()
        try:
            return ray.get(actor.call.remote(function, references, *arguments))
        finally:
            ray.kill(actor)


@ray.remote(num_cpus=0)
class Elsewhere:
    """A worker process of its own. References inside a list arrive as references."""

    def call(self, function: Callable, references: list, *arguments: Any) -> Any:
        return function(RayStore(), references, *arguments)


@contextmanager
def serve(capacity: int) -> Iterator[RayStore]:
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        try:
            ray.init(
                num_cpus=2,
                object_store_memory=capacity,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                _temp_dir=folder,
                _system_config=dict(SYSTEM_CONFIG),  # Ray writes into it.
            )
            yield RayStore()
        finally:
            ray.shutdown()


def confine_to_loopback() -> None:
    """Starts this program anew in a network namespace that has no interface but loopback.

    Ray's processes listen on every interface they find, whatever address they are told.
    """
    if [name for _, name in socket.if_nameindex()] == ["lo"]:
        return
    raise_lo = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    program = [sys.executable, *sys.argv]
    os.execvp("unshare", ["unshare", "--map-root-user", "--net", *raise_lo, *program])


if __name__ == "__main__":
    confine_to_loopback()
    workloads.main("ray", ray.__version__, serve)
