"""What stands for the store of a client that is not connected."""

from __future__ import annotations

import errno
from typing import NoReturn


class Closed:
    """Raises the OSError of a closed connection whatever is asked of it."""

    def __getattr__(self, _name: str) -> NoReturn:
        raise OSError(errno.EBADF, "this client is not connected to a store")

    def __contains__(self, _name: object) -> bool:
        raise OSError(errno.EBADF, "this client is not connected to a store")
