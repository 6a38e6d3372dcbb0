"""Buffers as Plasma's callers know them: `pyarrow.Buffer`, or `memoryview` without pyarrow.

```text
create ─▶ PlasmaBuffer, writable ── seal ─▶ the same, its writer's own copy
                └── while it lives, the sealed object is in use: nothing drops it for room
get_buffers ─▶ buffer, read-only: the object is in use while the buffer or a view of it lives
```
"""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from ._arrow import pyarrow

#: Makes a buffer of a memoryview; both keep the memory.
wrap = pyarrow.py_buffer if pyarrow else memoryview

_KIND = pyarrow.Buffer if pyarrow else memoryview


class Written(weakref.ref[Any]):
    """What is known of a buffer from `create`, as long as the buffer lives."""

    __slots__ = ("client", "hold", "key", "name", "sealed")

    #: Every buffer from `create` that is alive, by its address.
    alive: ClassVar[dict[int, Written]] = {}

    client: int
    name: bytes
    key: int
    sealed: bool
    #: A view of the sealed object, which keeps it in use.
    hold: memoryview | None

    @classmethod
    def of(cls, buffer: Any, client: int, name: bytes) -> Written:
        """Notes a buffer that this client writes."""
        written = cls(buffer, _forget)
        written.client = client
        written.name = name
        written.key = id(buffer)
        written.sealed = False
        written.hold = None
        cls.alive[written.key] = written
        return written

    @classmethod
    def was_sealed(cls, client: int, name: bytes) -> bool:
        """Whether this client sealed this object and still has the buffer it wrote."""
        written = list(cls.alive.values())
        return any(w.sealed and (w.client, w.name) == (client, name) for w in written)


def _forget(written: Written) -> None:
    Written.alive.pop(written.key, None)
    written.hold = None


class _Kind(type):
    """pyarrow's buffers can't be subclassed in Python, so this class knows its own by address."""

    def __instancecheck__(cls, instance: object) -> bool:
        if type(instance) is not _KIND:
            return False
        written = Written.alive.get(id(instance))
        return written is not None and written() is instance


class PlasmaBuffer(metaclass=_Kind):
    """The kind of buffer that `PlasmaClient.create` returns: a `pyarrow.Buffer` (without pyarrow,
    a `memoryview`) of which `isinstance(buffer, PlasmaBuffer)` is true.

    >>> buffer = client.create(plasma.ObjectID.from_random(), 5)
    >>> isinstance(buffer, plasma.PlasmaBuffer), isinstance(b"hello", plasma.PlasmaBuffer)
    (True, False)
    """

    def __init__(self) -> None:
        raise TypeError("a PlasmaBuffer comes from PlasmaClient.create")
