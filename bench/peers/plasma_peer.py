"""Plasma, the store of pyarrow up to 11: a `Store` and the program that runs workloads on it.

A table becomes an Arrow IPC stream inside the object, written in place and in parallel, and read
in place. Sealing includes Plasma's hash of the whole object, which cannot be turned off.
"""

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

import workloads

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # "Plasma is deprecated": that is why we are here.
    from pyarrow import plasma

SERVER = Path(sys.prefix, "bin", "plasma_store")
# What Plasma's own put_raw_buffer uses; on two cores no slower than two.
MEMCOPY_THREADS = 6
CONNECT_RETRIES = 50


class PlasmaStore:
    """A client of the server behind a socket."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.client = plasma.connect(socket, CONNECT_RETRIES)

    def put(self, table: pa.Table) -> plasma.ObjectID:
        reference = plasma.ObjectID.from_random()
        measure = pa.MockOutputStream()
        write(measure, table)
        sink = pa.FixedSizeBufferWriter(self.client.create(reference, measure.size()))
        sink.set_memcopy_threads(MEMCOPY_THREADS)
        write(sink, table)
        self.client.seal(reference)
        return reference

    def get(self, reference: plasma.ObjectID) -> pa.Table:
        [buffer] = self.client.get_buffers([reference])
        return pa.ipc.open_stream(buffer).read_all()

    def put_small(self, value: bytes) -> plasma.ObjectID:
        reference = plasma.ObjectID.from_random()
        self.client.create_and_seal(reference, value)
        return reference

    def get_small(self, reference: plasma.ObjectID) -> pa.Buffer:
        [buffer] = self.client.get_buffers([reference])
        return buffer

    def delete(self, references: list[plasma.ObjectID]) -> None:
        self.client.delete(references)
        references.clear()

    def settle(self) -> None:
        """Nothing to wait for: Plasma deletes before it answers."""

    def elsewhere(self, function: Callable, references: list, *arguments: Any) -> Any:
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
            task = process.submit(call, self.socket, function, references, *arguments)
            return task.result()


def call(socket: str, function: Callable, *arguments: Any) -> Any:
    """Runs in the new process."""
    return function(PlasmaStore(socket), *arguments)


def write(sink: pa.NativeFile, table: pa.Table) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


@contextmanager
def serve(capacity: int) -> Iterator[PlasmaStore]:
    with tempfile.TemporaryDirectory(prefix="plasma-") as folder:
        socket = str(Path(folder, "socket"))
        server = subprocess.Popen(
            [SERVER, "-m", str(capacity), "-s", socket],
            stdout=subprocess.DEVNULL,  # Ours is for results; its complaints go to stderr.
        )
        try:
            yield PlasmaStore(socket)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    workloads.main("plasma", pa.__version__, serve)
