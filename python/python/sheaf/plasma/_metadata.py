"""Where an object's metadata lies: in the store's own memory, or behind the object's data.

Plasma's metadata may be of any size, the store's may not, since it lies outside its budget. So
metadata above `OWN_BYTES` follows the data in the object, and the store's metadata is a mark that
says so:

```text
store's metadata:  mark, bytes of the metadata        object:  data │ metadata
                   21    8
```
"""

from __future__ import annotations

import struct

#: The most metadata that the store keeps itself, in bytes.
OWN_BYTES = 1 << 10

_MARK = b"sheaf.plasma:metadata"
_TAIL = struct.Struct(f"<{len(_MARK)}sQ")

#: How large the store's metadata is when it is a mark, in bytes.
TAIL_BYTES = _TAIL.size


def checked(metadata: bytes | bytearray) -> bytes:
    """Metadata as bytes."""
    if isinstance(metadata, (bytes, bytearray)):
        return bytes(metadata)
    raise TypeError(f"metadata is bytes, not {type(metadata).__name__}")


def is_behind(metadata: bytes) -> bool:
    """Whether this metadata goes behind the data: if it is large, or would be taken for a mark."""
    return len(metadata) > OWN_BYTES or metadata.startswith(_MARK)


def mark(metadata: bytes) -> bytes:
    """What the store is told instead."""
    return _TAIL.pack(_MARK, len(metadata))


def behind(own: bytes) -> int:
    """How many bytes of an object are metadata, if this is what the store has for metadata."""
    if len(own) == TAIL_BYTES:
        marked, length = _TAIL.unpack(own)
        if marked == _MARK:
            return int(length)
    return 0


def sizes(nbytes: int, own: bytes) -> tuple[int, int]:
    """The bytes of data and of metadata of an object with this size and this metadata."""
    length = behind(own)
    return (nbytes - length, length) if length else (nbytes, len(own))


def split(view: memoryview, own: bytes) -> tuple[memoryview, bytes | memoryview]:
    """An object's data and metadata."""
    if len(own) == TAIL_BYTES:
        length = behind(own)
        if length:
            return view[:-length], view[-length:]
    return view, own
