"""What can go wrong, by what the caller should do about it.

Each class is also the built-in exception that Python programs catch for it. Messages are the store's.
"""

from __future__ import annotations


class Error(Exception):
    """An error of the store. By itself: a fault of Sheaf or of the kernel under it.

    >>> try:
    ...     store.get("cubes")
    ... except sheaf.Error as error:
    ...     print(type(error).__name__)
    NotFound
    """


class NotFound(Error, KeyError):
    """No object has this name: create it, or wait for it with a time limit.

    >>> store.get("cubes")
    Traceback (most recent call last):
    sheaf.NotFound: ...
    """

    # A KeyError prints as the repr of its key; this one's is a sentence.
    __str__ = Exception.__str__


class Exists(Error):
    """The name is taken: choose another, delete it, or put with ``replace=True``.

    >>> info = store.put_bytes("note", b"hello")
    >>> store.put_bytes("note", b"hello again")
    Traceback (most recent call last):
    sheaf.Exists: ...
    """


class Full(Error, MemoryError):
    """The store's memory or a limit is used up: free something, wait for room, raise the limit.

    >>> store.create("huge", 1 << 40)
    Traceback (most recent call last):
    sheaf.Full: ...
    """


class Timeout(Error, TimeoutError):
    """The time limit passed first: the object may still come.

    >>> store.get("cubes", timeout=0.01)
    Traceback (most recent call last):
    sheaf.Timeout: ...
    """


class WriterGone(Error):
    """The writer that was waited for aborted or died: its object will not come from it.

    >>> import threading
    >>> draft = store.create("later", 5)
    >>> threading.Timer(0.1, draft.abort).start()
    >>> store.bytes("later", timeout=60)
    Traceback (most recent call last):
    sheaf.WriterGone: ...
    """


class Invalid(Error, ValueError):
    """The request or the data is wrong: it will fail again unchanged.

    >>> store.get("a name may have 255 bytes" * 20)
    Traceback (most recent call last):
    sheaf.Invalid: ...
    """


class Denied(Error, PermissionError):
    """The caller may not do this.

    >>> draft = sheaf.connect(store.url).create("theirs", 5)
    >>> store.delete("theirs")
    Traceback (most recent call last):
    sheaf.Denied: ...
    """


class Unavailable(Error, ConnectionError):
    """The store is not there, shutting down, or lost the connection: connect again later.

    >>> sheaf.connect("/nowhere/store.sock", timeout=0)
    Traceback (most recent call last):
    sheaf.Unavailable: ...
    """


for _class in (
    Error, NotFound, Exists, Full, Timeout, WriterGone, Invalid, Denied, Unavailable,
):
    _class.__module__ = "sheaf"
