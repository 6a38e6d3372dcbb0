"""Object ids: 20 bytes, which are the object's name in the store."""

from __future__ import annotations

import os

SIZE = 20


class ObjectID:
    """The id of an object: 20 bytes. Hashable, and it pickles.

    >>> plasma.ObjectID(b"0123456789" * 2)
    ObjectID(3031323334353637383930313233343536373839)
    """

    __slots__ = ("__weakref__", "_binary")

    def __init__(self, object_id: bytes) -> None:
        if not isinstance(object_id, bytes) or len(object_id) != SIZE:
            raise ValueError(f"Object ID must be {SIZE} bytes, is {object_id!r}")
        self._binary = bytes(object_id)

    @staticmethod
    def from_random() -> ObjectID:
        """A new id, from the kernel's random numbers: unlike Plasma's, never the same in two
        forked processes, and not to be had again by seeding `random`.

        >>> plasma.ObjectID.from_random() == plasma.ObjectID.from_random()
        False
        """
        return ObjectID(os.urandom(SIZE))

    def binary(self) -> bytes:
        """The 20 bytes: the object's name for `sheaf.Store`.

        >>> plasma.ObjectID(b"0123456789" * 2).binary()
        b'01234567890123456789'
        """
        return self._binary

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectID) and self._binary == other._binary

    def __hash__(self) -> int:
        return hash(self._binary)

    def __repr__(self) -> str:
        return f"ObjectID({self._binary.hex()})"

    def __reduce__(self) -> tuple[type[ObjectID], tuple[bytes]]:
        return (ObjectID, (self._binary,))


class ObjectNotAvailable:
    """What `PlasmaClient.get` has, the class itself, for an object that did not come in time.

    >>> client.get(plasma.ObjectID.from_random(), timeout_ms=0) is plasma.ObjectNotAvailable
    True
    """


def name_of(object_id: ObjectID) -> bytes:
    """The name of the object with this id."""
    if isinstance(object_id, ObjectID):
        return object_id._binary
    kind = type(object_id).__name__
    raise TypeError(f"an object is named by an ObjectID, not by a {kind}")


def binary(name: str | bytes) -> bytes:
    """The bytes of a name that the store gave, which is text if it can be."""
    return name if isinstance(name, bytes) else name.encode()


def id_of(name: str | bytes) -> ObjectID | None:
    """The id of an object that has one: whose name has 20 bytes."""
    name = binary(name)
    return ObjectID(name) if len(name) == SIZE else None
