"""What can go wrong, by what the caller should do about it.

Each class is also the built-in exception that Python programs catch for it. Messages are the store's.
"""

from __future__ import annotations


class Error(Exception):
    """An error of the store. By itself: a fault of Sheaf or of the kernel under it."""


class NotFound(Error, KeyError):
    """No object has this name: create it, or wait for it with a time limit."""

    # A KeyError prints as the repr of its key; this one's is a sentence.
    __str__ = Exception.__str__


class Exists(Error):
    """The name is taken: choose another, delete it, or put with ``replace=True``."""


class Full(Error, MemoryError):
    """The store's memory or a limit is used up: free something, wait for room, raise the limit."""


class Timeout(Error, TimeoutError):
    """The time limit passed first: the object may still come."""


class WriterGone(Error):
    """The writer that was waited for aborted or died: its object will not come from it."""


class Invalid(Error, ValueError):
    """The request or the data is wrong: it will fail again unchanged."""


class Denied(Error, PermissionError):
    """The caller may not do this."""


class Unavailable(Error, ConnectionError):
    """The store is not there, shutting down, or lost the connection: connect again later."""


for _class in (
    Error, NotFound, Exists, Full, Timeout, WriterGone, Invalid, Denied, Unavailable,
):
    _class.__module__ = "sheaf"
