"""A store of one's own for a script or a test, as `plasma.start_plasma_store` gave."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sheaf
from sheaf._serve import find_program

#: The page, of which the kernel gives out whole ones, and the least store, in bytes.
_PAGE_BYTES = 4 << 10
_LEAST_BYTES = 1 << 20

#: How long a store may take to listen, in seconds.
_START_SECONDS = 10.0


@contextmanager
def start_plasma_store(
    plasma_store_memory: int,
    use_valgrind: bool = False,
    use_profiler: bool = False,
    plasma_directory: str | None = None,
    use_hugepages: bool = False,
    external_store: str | None = None,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Starts a store of `plasma_store_memory` bytes; yields the name of its socket and its process,
    and ends it.

    `plasma_directory` and `use_hugepages` do nothing: the memory is anonymous, and large pages
    come by themselves. `use_valgrind` and `use_profiler` are refused, and so is `external_store`,
    since Sheaf writes nothing to anywhere else.

    >>> with plasma.start_plasma_store(100_000_000) as (socket, process):
    ...     plasma.connect(socket).list()
    {}
    """
    if use_valgrind and use_profiler:
        raise Exception("Cannot use valgrind and profiler at the same time.")
    if use_valgrind or use_profiler:
        raise NotImplementedError("run `sheaf serve` under valgrind by hand")
    if external_store is not None:
        raise NotImplementedError("Sheaf has no external store: what is evicted is gone")
    with tempfile.TemporaryDirectory(prefix="sheaf-plasma-") as folder:
        socket = os.path.join(folder, "plasma.sock")
        process = _start(socket, plasma_store_memory)
        Path(f"{socket}.capacity").write_text(str(plasma_store_memory))
        try:
            yield socket, process
        finally:
            _kill(process)


def _start(socket: str, capacity: int) -> subprocess.Popen[bytes]:
    """A store with room for `capacity` bytes of objects: whole pages, and what the store needs
    for itself, which it takes from its memory and knows when it runs."""
    room = max(-(-capacity // _PAGE_BYTES) * _PAGE_BYTES, _LEAST_BYTES)
    memory = room
    while True:
        command = [find_program(), "serve", "--flight", "off", "--socket", socket]
        command += ["--memory", str(memory)]
        command += ["--drain", "0ms"]  # As Plasma: it ends without waiting for who still writes.
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            lacking = room - _await(socket, process)
        except BaseException:
            _kill(process)
            raise
        if lacking <= 0:
            return process
        _kill(process)
        memory += lacking


def _await(socket: str, process: subprocess.Popen[bytes]) -> int:
    """Returns when the store answers, with its room for objects."""
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            with sheaf.connect(socket, timeout=0.1) as store:
                stat = store.stat()
            if stat["store_pid"] == process.pid:
                return int(stat["budget_bytes"])
        except sheaf.Unavailable:
            if time.monotonic() > give_up:
                raise
        status = process.poll()
        if status is not None:
            raise RuntimeError(f"the store ended with status {status}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
