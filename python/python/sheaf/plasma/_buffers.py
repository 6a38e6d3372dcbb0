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

    def __new__(cls, buffer: Any, client: int, name: bytes) -> Written:
        return super().__new__(cls, buffer, _forget)

    def __init__(self, buffer: Any, client: int, name: bytes) -> None:
        super().__init__(buffer, _forget)  # type: ignore[call-arg]
        self.client = client
        self.name = name
        self.key = id(buffer)
        self.sealed = False
        #: A view of the sealed object, which keeps it in use.
        self.hold: memoryview | None = None
        self.alive[self.key] = self

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
    a `memoryview`) of which `isinstance(buffer, PlasmaBuffer)` is true."""

    def __init__(self) -> None:
        raise TypeError("a PlasmaBuffer comes from PlasmaClient.create")
