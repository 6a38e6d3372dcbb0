"""Notifications: what is sealed and what goes, in order, and as a socket for event loops.

```text
watch ─▶ a thread ─▶ queue ─▶ get_next_notification
                       └─ once asked for: another thread ─▶ socket ─▶ decode_notifications
```

The queue is in this process and has no limit, so a slow reader holds nobody up. Notifications on
the socket are framed as Plasma framed them, the length in 8 bytes first; what they hold is known
to `decode` alone, as it was there.
"""

from __future__ import annotations

import socket
import struct
import threading
from queue import SimpleQueue
from typing import Any

import sheaf

from ._ids import SIZE, ObjectID, binary
from ._metadata import TAIL_BYTES, sizes

#: An object's name, bytes of data and of metadata; both -1 when it is gone.
Notification = tuple[bytes, int, int]

_LENGTH = struct.Struct("=Q")
_ENTRY = struct.Struct(f"={SIZE}sqq")


class Notifications:
    """One subscription."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._watch = store.watch(replay=True)
        self._queue: SimpleQueue[Notification | None] = SimpleQueue()
        self._ends: tuple[socket.socket, socket.socket] | None = None
        threading.Thread(target=self._read, name="sheaf-notifications", daemon=True).start()

    def next(self) -> Notification:
        """The next notification; waits for it."""
        if self._ends is None:
            told = self._queue.get()
        else:
            told = self._receive(self._ends[0])
        if told is None:
            self._queue.put(None)  # For whoever asks next.
            raise ConnectionError("no more notifications: the store is gone")
        return told

    def open_socket(self) -> socket.socket:
        """A socket with every notification from here on. Closing it ends nothing."""
        if self._ends is None:
            self._ends = socket.socketpair()
            writer = threading.Thread(
                target=self._send, args=(self._ends[1],), name="sheaf-notify", daemon=True
            )
            writer.start()
        return self._ends[0].dup()

    def close(self) -> None:
        """Ends the subscription."""
        self._watch.close()
        if self._ends is not None:
            for end in self._ends:
                end.close()

    def _read(self) -> None:
        drafts: set[bytes] = set()
        try:
            for event in self._watch:
                name = binary(event.name)
                if len(name) == SIZE:
                    self._take(event, name, drafts)
        except sheaf.Error:
            pass  # The store is gone, and says nothing more.
        self._queue.put(None)

    def _take(self, event: Any, name: bytes, drafts: set[bytes]) -> None:
        """Plasma told of objects only, not of drafts."""
        if event.kind == "created":
            drafts.add(name)
        elif event.kind == "sealed":
            drafts.discard(name)
            self._queue.put((name, *self._sizes(event, name)))
        elif name in drafts:
            drafts.discard(name)
        else:
            self._queue.put((name, -1, -1))

    def _sizes(self, event: Any, name: bytes) -> tuple[int, int]:
        if event.metadata_nbytes == TAIL_BYTES:
            try:
                return sizes(event.nbytes, self._store.info(name).metadata)
            except sheaf.Error:
                pass  # It has gone meanwhile: then its sizes interest nobody.
        return event.nbytes, event.metadata_nbytes

    def _send(self, end: socket.socket) -> None:
        try:
            while (told := self._queue.get()) is not None:
                # In one piece: who has the length can have the rest.
                end.sendall(_LENGTH.pack(_ENTRY.size) + _ENTRY.pack(*told))
        except OSError:
            pass  # Closed: nobody reads any more.
        end.close()

    @staticmethod
    def _receive(end: socket.socket) -> Notification | None:
        frame = end.recv(_LENGTH.size + _ENTRY.size, socket.MSG_WAITALL)
        if len(frame) < _LENGTH.size + _ENTRY.size:
            return None
        return _ENTRY.unpack_from(frame, _LENGTH.size)


def decode(buffer: Any) -> tuple[list[ObjectID], list[int], list[int]]:
    """Ids, sizes of data and sizes of metadata in what came behind a length on the socket."""
    told = list(_ENTRY.iter_unpack(buffer))
    ids = [ObjectID(name) for name, _, _ in told]
    return ids, [data for _, data, _ in told], [metadata for _, _, metadata in told]
