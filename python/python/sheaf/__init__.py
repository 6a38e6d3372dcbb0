"""Sheaf: Arrow tables in shared memory, once, for every process of a machine.

>>> import sheaf
>>> with sheaf.serve(memory="64MiB") as store:
...     with store.writer("trades", {"price": "float64", "size": "int32"}) as writer:
...         pass
...     store.get("trades")
Table('trades': 0 rows, 2 columns, 0 batches, 490 B; price: float64, size: int32)

Data goes in from whatever has ``__arrow_c_stream__`` or ``__arrow_c_array__`` (pyarrow, polars,
pandas, duckdb, …), and out to whatever takes such; nothing of them is imported here.
"""

from __future__ import annotations

import os

from sheaf._draft import Draft
from sheaf._errors import (
    Denied,
    Error,
    Exists,
    Full,
    Invalid,
    NotFound,
    Timeout,
    Unavailable,
    WriterGone,
)
from sheaf._refs import Ref
from sheaf._serve import Served, serve
from sheaf._sheaf import (
    Buffer,
    Builder,
    Event,
    Holder,
    Info,
    Schema,
    Store,
    Table,
    Watch,
    Writer,
    __version__,
    default_url,
)

__all__ = [
    "Buffer",
    "Builder",
    "Denied",
    "Draft",
    "Error",
    "Event",
    "Exists",
    "Full",
    "Holder",
    "Info",
    "Invalid",
    "NotFound",
    "Ref",
    "Schema",
    "Served",
    "Store",
    "Table",
    "Timeout",
    "Unavailable",
    "Watch",
    "Writer",
    "WriterGone",
    "__version__",
    "connect",
    "default_url",
    "serve",
]


def connect(
    url: str | os.PathLike[str] | None = None, timeout: float = 0.2, *, command: str | None = None
) -> Store:
    """Connects to the store at `url`: ``unix:/path/of/the/socket``, or the path alone; without
    one to ``$SHEAF_STORE``, else to the user's default socket.

    `timeout` is how many seconds to keep trying while nobody listens there, `command` what this
    client is called where the store tells who holds an object.

    >>> import sheaf
    >>> with sheaf.serve(memory="64MiB") as served:
    ...     store = sheaf.connect(served.url)
    ...     store.list()
    []
    """
    url = None if url is None else os.fspath(url)
    return Store(url, timeout=timeout, command=command)
