"""Python values as objects: what `put` writes and `get` reads.

By pickle protocol 5, large buffers beside the pickle, so that reading copies none of them:

```text
magic, bytes of the pickle, number of buffers │ offset, length of each │ pickle │ buffers, each
8      8                    8                 │ 16 each                │        │ aligned to 64
```

Where pyarrow still has its own serialization (up to 13), `put` writes that, as Plasma did, for
whoever reads it with `pyarrow.deserialize`; what pyarrow can't serialize is pickled. No object of
pyarrow's begins with the magic, so `get` tells them apart. SHEAF_PLASMA_FORMAT=pickle pickles
everything, for stores that older and newer pyarrows share.
"""

from __future__ import annotations

import os
import pickle
import struct
import warnings
from typing import Any

from ._arrow import pyarrow
from ._buffers import wrap

_MAGIC = b"\xc1sheafv1"
_HEAD = struct.Struct("<8sQQ")
_SPAN = struct.Struct("<QQ")
_ALIGN = 64
_SERIALIZED = struct.Struct("<iiiii")

#: From here on a value is written in place rather than joined first, in bytes.
IN_PLACE_BYTES = 64 << 10

_serialize: Any = getattr(pyarrow and pyarrow.lib, "_serialize", None)
_deserialize: Any = getattr(pyarrow and pyarrow.lib, "_deserialize", None)


class Pickled:
    """A value, pickled, and its buffers where they lie."""

    def __init__(self, value: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        stream = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        views = [buffer.raw() for buffer in buffers]
        head = [_HEAD.pack(_MAGIC, len(stream), len(views))]
        end = _HEAD.size + _SPAN.size * len(views) + len(stream)
        self._places: list[tuple[int, memoryview]] = []
        for view in views:
            start = -(-end // _ALIGN) * _ALIGN
            head.append(_SPAN.pack(start, view.nbytes))
            self._places.append((start, view))
            end = start + view.nbytes
        self._head = b"".join([*head, stream])
        self.nbytes = end

    def to_bytes(self) -> bytes | bytearray:
        """The object, joined."""
        if not self._places:
            return self._head
        joined = bytearray(self.nbytes)
        self.write(memoryview(joined), 1)
        return joined

    def write(self, target: memoryview, threads: int) -> None:
        """Writes the object; several threads copy what is large, if pyarrow is there."""
        for start, part in [(0, memoryview(self._head)), *self._places]:
            place = target[start : start + part.nbytes]
            if pyarrow is None or part.nbytes < IN_PLACE_BYTES:
                place[:] = part
            else:
                _sink(place, threads).write(part)


class Serialized:
    """A value, serialized by pyarrow."""

    def __init__(self, value: Any, context: Any) -> None:
        self._value = _serialize(value, context)
        self.nbytes = self._value.total_bytes

    def to_bytes(self) -> Any:
        """The object, joined."""
        return self._value.to_buffer()

    def write(self, target: memoryview, threads: int) -> None:
        """Writes the object; several threads copy what is large."""
        self._value.write_to(_sink(target, threads))


def _sink(target: memoryview, threads: int) -> Any:
    sink = pyarrow.FixedSizeBufferWriter(wrap(target))
    sink.set_memcopy_threads(max(1, threads))
    return sink


def encode(value: Any, context: Any) -> Pickled | Serialized:
    """A value, ready to be written."""
    if context is not None and _serialize is None:
        raise TypeError(
            "this pyarrow has no serialization contexts any more: values are pickled, so give "
            "their class __reduce__, or register it with copyreg"
        )
    if _serialize is None or (context is None and _pickles_all()):
        return Pickled(value)
    try:
        return Serialized(value, context)
    except pyarrow.lib.ArrowSerializationError as refused:
        if context is not None:
            raise
        try:
            return Pickled(value)
        except (pickle.PicklingError, AttributeError, TypeError):
            raise refused from None


def warn_of(context: Any) -> None:
    """Warns the caller's caller of a serialization context, as Plasma did."""
    if context is not None:
        warnings.warn(
            "'serialization_context' works only with pyarrow 13 and older: it was removed there",
            FutureWarning,
            stacklevel=3,
        )


def _pickles_all() -> bool:
    return os.environ.get("SHEAF_PLASMA_FORMAT") == "pickle"


def decode(view: memoryview, context: Any) -> Any:
    """The value of an object that `put` wrote; its arrays lie in the store's memory."""
    if len(view) >= _HEAD.size:
        magic, size, count = _HEAD.unpack_from(view)
        if magic == _MAGIC:
            start = _HEAD.size + _SPAN.size * count
            spans = _SPAN.iter_unpack(view[_HEAD.size : start])
            buffers = [view[at : at + length] for at, length in spans]
            return pickle.loads(view[start : start + size], buffers=buffers)
    if _deserialize is None or not _is_serialized(view):
        raise ValueError(
            "this object is not a value that put wrote with pickle: read it with get_buffers, "
            "or, if a process with an older pyarrow put it, set SHEAF_PLASMA_FORMAT=pickle there"
        )
    return _deserialize(wrap(view), context)


def _is_serialized(view: memoryview) -> bool:
    """Whether it can be pyarrow's: how many tensors, sparse ones, arrays and buffers follow, then
    an Arrow message. Of anything else pyarrow itself would read past the end."""
    if len(view) < _SERIALIZED.size:
        return False
    *counts, message = _SERIALIZED.unpack_from(view)
    return message == -1 and all(0 <= count < len(view) for count in counts)
