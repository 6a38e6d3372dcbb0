"""Plasma's errors: each is pyarrow's, where there is one, and the store's own.

So `except pyarrow.ArrowException`, `except pyarrow.plasma.PlasmaStoreFull` and
`except sheaf.Full` all catch a full store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sheaf

from ._arrow import old_plasma, pyarrow

_ArrowException: Any = pyarrow.lib.ArrowException if pyarrow else Exception
_ArrowTypeError: Any = pyarrow.lib.ArrowTypeError if pyarrow else TypeError


def _bases(name: str, native: type) -> tuple[type, ...]:
    """The old class of this name, else what it derived from; then the store's own."""
    old = getattr(old_plasma, name, None) or _ArrowException
    # `Exception` is a base of the store's own already.
    return (native,) if old is Exception else (old, native)


class PlasmaObjectExists(*_bases("PlasmaObjectExists", sheaf.Exists)):  # type: ignore[misc]
    """There is an object, or one being written, with this id.

    >>> client.put(1, client.put("another"))
    Traceback (most recent call last):
    sheaf.plasma.PlasmaObjectExists: ...
    """


class PlasmaObjectNotFound(*_bases("PlasmaObjectNotFound", sheaf.NotFound)):  # type: ignore[misc]
    """There is no such object, or this client is not writing it.

    >>> client.seal(plasma.ObjectID.from_random())
    Traceback (most recent call last):
    sheaf.plasma.PlasmaObjectNotFound: ...
    """

    # A KeyError shows its message as repr would.
    __str__ = Exception.__str__


class PlasmaStoreFull(*_bases("PlasmaStoreFull", sheaf.Full)):  # type: ignore[misc]
    """There is no room, even without all that nobody uses.

    >>> client.create(plasma.ObjectID.from_random(), 1 << 40)
    Traceback (most recent call last):
    sheaf.plasma.PlasmaStoreFull: ...
    """


class PlasmaObjectAlreadySealed(_ArrowTypeError):  # type: ignore[misc]
    """The object was sealed before. (Plasma raised a bare ArrowTypeError.)"""


_TWINS = (
    (sheaf.Exists, PlasmaObjectExists),
    (sheaf.NotFound, PlasmaObjectNotFound),
    (sheaf.Full, PlasmaStoreFull),
)


def translated(error: sheaf.Error) -> BaseException:
    """Plasma's twin of an error of the store; the same error if it has none."""
    for native, twin in _TWINS:
        if isinstance(error, native) and not isinstance(error, twin):
            return twin(*error.args)
    return error


@contextmanager
def plasma_errors() -> Iterator[None]:
    """Raises Plasma's errors in place of the store's; for calls where a microsecond is nothing."""
    try:
        yield
    except sheaf.Error as error:
        raise translated(error) from None
