"""References: what is pickled instead of data.

A process keeps one connection to each store for all the references that it opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sheaf._errors import NotFound
from sheaf._sheaf import Info, Schema, Store, Table

_stores: dict[str, Store] = {}


def _store_at(url: str) -> Store:
    """The process's own connection to the store at `url`. A forked child's connects anew."""
    store = _stores.get(url)
    if store is None:
        # No lock: a fork may happen while one is held. At worst two connect, and one is dropped.
        store = _stores.setdefault(url, Store(url, timeout=1.0))
    return store


@dataclass(frozen=True)
class Ref:
    """A name in a store. Small to pickle: a worker gets the table without a copy.

    >>> import pickle, sheaf
    >>> with sheaf.serve(memory="64MiB") as store:
    ...     info = store.put_bytes("raw", b"hello")
    ...     ref = pickle.loads(pickle.dumps(store.ref("raw")))
    ...     bytes(ref.bytes())
    b'hello'
    """

    name: str | bytes
    url: str

    def get(self, timeout: float | None = None) -> Table:
        """The table, as :meth:`sheaf.Store.get` returns it.

        >>> store.ref("prices").get(timeout=0.01)
        Traceback (most recent call last):
        sheaf.Timeout: ...
        """
        return _store_at(self.url).get(self.name, timeout)

    def bytes(self, timeout: float | None = None) -> memoryview:
        """The bytes, as :meth:`sheaf.Store.bytes` returns them.

        >>> info = store.put_bytes("note", b"hello")
        >>> bytes(store.ref("note").bytes())
        b'hello'
        """
        return _store_at(self.url).bytes(self.name, timeout)


def table_again(url: str, name: str | bytes, sealed_ms: int, nbytes: int) -> Table:
    """The very object that a table was pickled from; never another one of its name."""
    table = _store_at(url).get(name)
    if (table.info._sealed_ms, table.nbytes) != (sealed_ms, nbytes):
        raise NotFound(f"object {name!s} was replaced since this table was pickled: get it anew")
    return table


def schema_again(file: bytes) -> Schema:
    """A schema from what it was pickled as."""
    return Schema._of_file(file)


def info_again(parts: tuple[Any, ...]) -> Info:
    """An info from what it was pickled as."""
    return Info._of_parts(parts)


Ref.__module__ = "sheaf"
