"""Room: eviction as Plasma counts it, a fifth of the store at a time, and a client's own limit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sheaf

from ._errors import PlasmaStoreFull, plasma_errors
from ._ids import ObjectID, binary, id_of
from ._metadata import sizes

#: Objects from this size on, in bytes, are worth a question whether the store is about to be full.
_LARGE_BYTES = 1 << 20


def capacity(store: Any, socket_name: str) -> int:
    """What `start_plasma_store` was asked for; what the store has, if another started it."""
    try:
        return int(Path(f"{socket_name}.capacity").read_text())
    except (OSError, ValueError):
        return int(store.stat()["budget_bytes"])


def evict(store: Any, nbytes: int) -> int:
    """Drops what nobody uses, least recently used first, until it amounts to `nbytes` of data and
    metadata. Returns how many bytes it did amount to."""
    freed = 0
    if nbytes <= 0:
        return freed
    # The store counts pages; what objects held themselves is in the events of their end.
    mark = b"sheaf.plasma:evict:" + os.urandom(16)
    with store.watch() as events:
        while freed < nbytes and store.evict(nbytes - freed) > 0:
            try:
                store.create(mark, 0, droppable=False).abort()
            except sheaf.Full:
                break  # What was freed is taken already, and with it the place for a mark.
            for event in events:
                if binary(event.name) == mark:
                    break
                if event.kind == "deleted":
                    freed += event.nbytes + event.metadata_nbytes
            next(events)  # The end of the mark itself.
    return freed


class Room:
    """What a client sees to before it creates an object."""

    def __init__(self, store: Any, capacity: int) -> None:
        self._store = store
        self.capacity = capacity
        self._large = min(_LARGE_BYTES, capacity // 64)
        self._limit: int | None = None
        self._own: dict[bytes, int] = {}

    def limit(self, nbytes: int) -> None:
        """From now on, what this client creates may take this many bytes."""
        if nbytes > self.capacity:
            raise PlasmaStoreFull(f"a limit of {nbytes} bytes in a store of {self.capacity}")
        self._limit = nbytes

    def note(self, name: bytes, nbytes: int) -> None:
        """Counts an object that this client has created towards its limit."""
        if self._limit is not None:
            self._own[name] = nbytes

    def make(self, nbytes: int) -> None:
        """Makes room for an object of this size, if it is large or this client has a limit."""
        if nbytes < self._large and self._limit is None:
            return
        if nbytes > self.capacity:
            raise PlasmaStoreFull(
                f"an object of {nbytes} bytes does not fit in a store of {self.capacity}"
            )
        if self._limit is not None:
            self._make_own(nbytes, self._limit)
        if nbytes >= self._large:
            self._make_fifth(nbytes)

    def outlook(self, nbytes: int) -> tuple[bool, bool]:
        """Whether this much fits beside what is used, and whether more may be free in a moment:
        when clients, this one included, let go of what they map and use no more."""
        stat = self._store.stat()
        used = stat["draft_bytes"] + stat["held_bytes"]
        return nbytes <= stat["budget_bytes"] - used, stat["retired_bytes"] > 0

    def _make_fifth(self, nbytes: int) -> None:
        """If the store is about to drop something, has it drop a fifth: the next create is spared
        the search."""
        stat = self._store.stat()
        free = stat["free_bytes"] + stat["pool_bytes"] + stat["slack_bytes"]
        if nbytes > free:
            self._store.evict(max(nbytes - free, self.capacity // 5))

    def _make_own(self, nbytes: int, limit: int) -> None:
        """Drops this client's own objects that nobody uses, oldest first, until it is within its
        limit."""
        used = sum(self._own.values())
        for own, size in list(self._own.items()):
            if used + nbytes <= limit:
                break
            if self._drop(own):
                used -= size
        if used + nbytes > limit:
            raise PlasmaStoreFull(f"this client may use {limit} bytes, and uses {used}")

    def _drop(self, own: bytes) -> bool:
        try:
            if not self._store.info(own, holders=True).holders:
                self._store.delete(own)
                del self._own[own]
                return True
        except sheaf.NotFound:
            del self._own[own]
            return True
        return False


def listed(store: Any) -> dict[ObjectID, dict[str, Any]]:
    """What `PlasmaClient.list` says. The store lists no metadata, so each object is asked for."""
    told = {}
    for info in store.list(b""):
        object_id = id_of(info.name)
        if object_id is not None:
            try:
                told[object_id] = _describe(store.info(info.name, holders=True))
            except sheaf.NotFound:
                pass  # Gone meanwhile.
    return told


def _describe(info: Any) -> dict[str, Any]:
    data_size, metadata_size = sizes(info.nbytes, info.metadata)
    is_sealed = info.state == "sealed"
    return {
        "data_size": data_size,
        "metadata_size": metadata_size,
        "ref_count": len(info.holders),
        "create_time": int(info.created),
        "construct_duration": int(info.sealed - info.created) if is_sealed else -1,
        "state": "sealed" if is_sealed else "created",
    }


def debug_string(store: Any, name: str) -> str:
    """What the store counts, a line each."""
    with plasma_errors():
        stat = store.stat()
    lines = [f"{key}: {value}" for key, value in stat.items()]
    return "\n".join([f"client: {name}", *lines] if name else lines)
