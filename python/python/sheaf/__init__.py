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
from collections.abc import Mapping

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
    url: str | os.PathLike[str] | None = None,
    timeout: float = 0.2,
    *,
    command: str | None = None,
    token: str | None = None,
    tls: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    near: bool = True,
) -> Store:
    """Connects to the store at `url`: ``unix:/path/of/the/socket``, or the path alone; without
    one to ``$SHEAF_STORE``, else to the user's default socket.

    ``grpc://host:port``, ``grpc+tls://host:port`` and ``grpc+unix:///path`` reach a store by Arrow
    Flight. If it is on this machine, its memory is mapped all the same, unless `near` is false;
    tables of others are streamed, and `build`, `create` and `watch` are not to be had there. `token`
    is shown with every call (``$SHEAF_TOKEN`` when none is given); `tls` is the file of the
    certificates to trust instead of the system's, or a dict of files with ``ca``, ``cert`` and
    ``key``, and ``server_name``.

    `timeout` is how many seconds to keep trying while nobody listens there, `command` what this
    client is called where the store tells who holds an object.

    >>> import sheaf
    >>> with sheaf.serve(memory="64MiB", flight="127.0.0.1:0") as served:
    ...     store = sheaf.connect(served.url)
    ...     store.put_bytes("note", b"hello").nbytes
    ...     far = sheaf.connect(served.flight_urls[0], near=False)
    ...     bytes(far.bytes("note"))
    5
    b'hello'
    """
    url = None if url is None else os.fspath(url)
    token = token or os.environ.get("SHEAF_TOKEN")
    files = dict(tls) if isinstance(tls, Mapping) else tls
    return Store(url, timeout=timeout, command=command, token=token, tls=files, near=near)
