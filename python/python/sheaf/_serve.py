"""A store of one's own: the `sheaf` program as a child process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

from sheaf._errors import Error, Invalid, Unavailable
from sheaf._sheaf import Child, Store

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0

#: The longest path of a socket that the kernel takes, in bytes.
_SOCKET_PATH_BYTES = 107


class Served(Store):
    """A store that runs as a child process; made by :func:`serve`. It ends with its ``with``
    block, with :meth:`close`, or with this process, whichever comes first.

    >>> import sheaf
    >>> mine = sheaf.serve(memory="64MiB")
    >>> mine.pid == mine.stat()["store_pid"]
    True
    >>> mine.close()
    """

    _child: Child
    _end: weakref.finalize[Any, Any]
    _log: Path

    @property
    def pid(self) -> int:
        """The store's process id."""
        return self._child.pid

    @property
    def flight_urls(self) -> list[str]:
        """Where it serves Arrow Flight, for `pyarrow.flight.connect` and any other client.

        >>> import sheaf
        >>> with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as mine:
        ...     [url] = mine.flight_urls
        >>> url.startswith("grpc://127.0.0.1:")
        True
        """
        return re.findall(r"^sheaf: Arrow Flight at (\S+)$", self._log.read_text(), re.MULTILINE)

    def close(self) -> None:
        """Ends the store, and waits until it has ended. Tables got from it stay valid.

        >>> mine = sheaf.serve(memory="64MiB")
        >>> mine.close()
        >>> mine.closed
        True
        """
        super().close()
        self._end()


def serve(
    memory: int | str = "1GiB",
    socket: str | os.PathLike[str] | None = None,
    *,
    pool: int | str | None = None,
    drain: float | str | None = None,
    flight: str | None = None,
    program: str | os.PathLike[str] | None = None,
) -> Served:
    """Starts a store as a child process and connects to it.

    `memory` is the most that objects may take: bytes, or text such as ``"2GiB"``. The socket is in
    a new folder of its own unless `socket` says where. `pool` is how much memory may be kept
    prepared for puts to come, `drain` how long to wait for unfinished drafts at the end, `flight`
    where to serve Arrow Flight, such as ``"127.0.0.1:0"`` (see `Served.flight_urls`; nowhere
    unless it is given), `program` another `sheaf` than the one that came with this package.

    The child dies with this process, whatever ends it.

    >>> import sheaf
    >>> with sheaf.serve(memory="64MiB") as store:
    ...     info = store.put_bytes("greeting", b"hello")
    ...     "greeting" in store
    True
    """
    folder = Path(_new_folder())
    try:
        path = Path(socket).absolute() if socket is not None else folder / "store.sock"
        options = {"--socket": path, "--memory": memory, "--pool": pool, "--drain": drain}
        arguments = ["serve", "--flight", "off" if flight is None else flight]
        for name, value in options.items():
            if value is not None:
                arguments += [name, _text(name, value)]
        log = folder / "log"
        child = Child(os.fspath(program or find_program()), arguments, log)
        try:
            store = _connect(child, path, log)
            if flight is not None:
                _await_flight(child, log)
        except BaseException:
            _stop(child, folder)
            raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    store._child = child
    store._log = log
    store._end = weakref.finalize(store, _stop, child, folder)
    return store


def find_program() -> str:
    """The `sheaf` program that came with this package, else the one on the PATH."""
    schemes = [sysconfig.get_path("scripts")]
    user = sysconfig.get_preferred_scheme("user")
    schemes.append(sysconfig.get_path("scripts", user))
    for folder in [*schemes, os.path.dirname(sys.executable)]:
        found = shutil.which("sheaf", path=folder)
        if found:
            return found
    found = shutil.which("sheaf")
    if found:
        return found
    raise Unavailable(
        f"no `sheaf` program in {schemes[0]} or on the PATH: install this package's wheel again"
    )


def _new_folder() -> str:
    folder = tempfile.mkdtemp(prefix="sheaf-")
    if len(os.fsencode(folder)) + len("/store.sock") <= _SOCKET_PATH_BYTES:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="sheaf-", dir="/tmp")


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        raise Invalid(f"{name[2:]} is a number or text, not {value}")
    if name == "--drain" and isinstance(value, (int, float)):
        return f"{round(value * 1000)}ms"
    return str(value)


def _connect(child: Child, path: Path, log: Path) -> Served:
    """Waits until the child answers."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if child.poll() is not None:
            raise _failure(child, log)
        try:
            store = Served(f"unix:{path}", timeout=0.05)
            # Another store may live on the socket: then the child will fail.
            if store.stat()["store_pid"] == child.pid:
                return store
            child.wait(0.05)
        except Unavailable:
            if time.monotonic() > deadline:
                raise


def _await_flight(child: Child, log: Path) -> None:
    """Waits until the child says that all of it serves: the line after those of Flight."""
    deadline = time.monotonic() + _START_SECONDS
    while "sheaf: serving at" not in log.read_text(errors="replace"):
        if child.wait(0.005) or time.monotonic() > deadline:
            raise _failure(child, log)


def _failure(child: Child, log: Path) -> Error:
    said = log.read_text(errors="replace").strip() if log.exists() else ""
    lines = [line for line in said.splitlines() if line.strip()]
    what = lines[0].removeprefix("sheaf: ").removeprefix("error: ") if lines else "it said nothing"
    message = f"the store did not start (status {child.poll()}): {what}"
    # Status 2 is the program's word for being misused.
    return Invalid(message) if child.poll() == 2 else Unavailable(message)


def _stop(child: Child, folder: Path) -> None:
    """Ends the child, if it is this process's own."""
    if not child.is_mine:
        return
    child.signal(signal.SIGTERM)
    try:
        if not child.wait(_STOP_SECONDS):
            child.signal(signal.SIGKILL)
            child.wait(_STOP_SECONDS)
    except BaseException:  # Ctrl-C: its user has no patience, and it must not be left behind.
        child.signal(signal.SIGKILL)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


Served.__module__ = "sheaf"
serve.__module__ = "sheaf"
