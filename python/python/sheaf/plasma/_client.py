"""`PlasmaClient`: every call of Plasma's, over a `sheaf.Store`.

Thin: a call checks its arguments, calls the store, and says what the store says in Plasma's words.
Everything is created droppable, since Plasma drops what nobody uses when it is full.
"""

from __future__ import annotations

import builtins
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import sheaf
from sheaf._sheaf import PlasmaCore

from . import _metadata as meta
from . import _room, _values
from ._buffers import Written, wrap
from ._closed import Closed
from ._errors import PlasmaObjectAlreadySealed, PlasmaObjectNotFound, plasma_errors, translated
from ._ids import ObjectID, ObjectNotAvailable, name_of
from ._notifications import Notifications, decode

#: Objects up to this size are handed out as copies, which nobody needs to hold, in bytes.
_INLINE_BYTES = 4 << 10

#: How long to wait, at each attempt, for memory that clients are letting go of, in seconds.
_WAITS = (None, 0.02, 0.04, 0.08, 0.16, 0.32)

#: How many times `connect` tries, unless told, and how long it waits between, in seconds.
_RETRIES = 50
_RETRY_SECONDS = 0.1


def connect(store_socket_name: str, num_retries: int = -1) -> PlasmaClient:
    """Connects to the store at this socket.

    Tries again `num_retries` times, a tenth of a second apart; 50 times if negative. Raises an
    OSError (`sheaf.Unavailable`) when nobody listens there after that.

    >>> plasma.connect(client.store_socket_name).contains(plasma.ObjectID(b"a" * 20))
    False
    """
    retries = _RETRIES if num_retries < 0 else num_retries
    store = sheaf.connect(store_socket_name, timeout=retries * _RETRY_SECONDS)
    client = PlasmaClient()
    client._open(store, store_socket_name)
    return client


class PlasmaClient:
    """A client of a store. Threads may share it; `connect` makes one.

    >>> object_id = plasma.ObjectID(b"a" * 20)
    >>> buffer = client.create(object_id, 5)
    >>> memoryview(buffer).cast("B")[:] = b"hello"
    >>> client.seal(object_id)
    >>> [data] = client.get_buffers([object_id])
    >>> bytes(data)
    b'hello'
    """

    def __init__(self) -> None:
        self._store: Any = Closed()
        self._core: Any = self._store
        self._socket_name = ""
        self._name = ""
        self._room = _room.Room(self._store, 0)
        self._drafts: dict[bytes, tuple[Any, Written | None]] = {}
        #: Those of the drafts that are to go once they are sealed.
        self._doomed: set[bytes] = set()
        self._notifications: Notifications | None = None

    def _open(self, store: Any, socket_name: str) -> None:
        self._store = store
        self._core = PlasmaCore(store)
        self._socket_name = socket_name
        self._room = _room.Room(store, _room.capacity(store, socket_name))

    @property
    def store_socket_name(self) -> str:
        """The socket, as `connect` was given it.

        >>> client.store_socket_name == socket
        True
        """
        return self._socket_name

    # Writing.

    def create(self, object_id: ObjectID, data_size: int, metadata: bytes = b"") -> Any:
        """Creates an object of this size; returns its memory as a writable buffer.

        Nobody can get it before `seal`. The buffer may be kept after that: it is then the writer's
        own copy (of the pages it writes), and keeps the object in use as Plasma's did.

        Raises PlasmaObjectExists, and PlasmaStoreFull when nothing unused is left to drop.

        >>> buffer = client.create(plasma.ObjectID(b"a" * 20), 5, metadata=b"mine")
        >>> memoryview(buffer).readonly, isinstance(buffer, plasma.PlasmaBuffer)
        (False, True)
        """
        name = name_of(object_id)
        buffer = wrap(self._draft(name, _whole(data_size), metadata))
        draft, _ = self._drafts[name]
        self._drafts[name] = (draft, Written.of(buffer, id(self), name))
        return buffer

    def _draft(self, name: bytes, data_size: int, metadata: bytes) -> memoryview:
        """The memory of a new object, which is among the drafts then."""
        metadata = meta.checked(metadata)
        size, own = data_size, metadata
        if meta.is_behind(metadata):
            size, own = data_size + len(metadata), meta.mark(metadata)
        view: memoryview
        draft, view = self._with_room(self._core.create, name, size, size, own)
        self._drafts[name] = (draft, None)
        if size != data_size:
            view[data_size:] = metadata
            view = view[:data_size]
        return view

    def seal(self, object_id: ObjectID) -> None:
        """Seals an object that this client created: everybody can get it, nobody can change it.

        Raises PlasmaObjectNotFound unless this client is writing it.

        >>> object_id = plasma.ObjectID(b"a" * 20)
        >>> buffer = client.create(object_id, 5)
        >>> client.seal(object_id)
        >>> client.contains(object_id)
        True
        """
        name = name_of(object_id)
        try:
            draft, written = self._drafts.pop(name)
        except KeyError:
            if Written.was_sealed(id(self), name):
                raise PlasmaObjectAlreadySealed(f"{object_id} is sealed already") from None
            raise PlasmaObjectNotFound(f"this client is not writing {object_id}") from None
        try:
            size = draft.seal().nbytes
        except sheaf.Error as error:
            raise translated(error) from None
        if written is not None and written() is not None:
            written.sealed = True
            if size > _INLINE_BYTES:
                self._keep(name, written)
        if name in self._doomed:
            self._doomed.discard(name)
            self.delete([object_id])

    def _keep(self, name: bytes, written: Written) -> None:
        """Keeps an object in use as long as the buffer that it was written through."""
        try:
            written.hold = self._store.bytes(name)
        except sheaf.Error:
            return  # It has gone already, or the store has.
        if written() is None:
            written.hold = None

    def create_and_seal(self, object_id: ObjectID, data: Any, metadata: bytes = b"") -> None:
        """Puts an object with this data, of anything that has bytes.

        Raises as `create` does.

        >>> object_id = plasma.ObjectID(b"a" * 20)
        >>> client.create_and_seal(object_id, b"hello", metadata=b"mine")
        >>> [(metadata, data)] = client.get_buffers([object_id], with_meta=True)
        >>> metadata, bytes(data)
        (b'mine', b'hello')
        """
        if metadata:
            metadata = meta.checked(metadata)
            if meta.is_behind(metadata):
                data, metadata = b"".join((data, metadata)), meta.mark(metadata)
        self._put(name_of(object_id), data, len(data), metadata)

    def _put(self, name: bytes, data: Any, size: int, metadata: bytes) -> None:
        self._with_room(self._core.put, name, data, size, metadata)

    def _with_room(self, make: Any, name: bytes, what: Any, size: int, metadata: bytes) -> Any:
        """Creates or puts an object of this size, for which room is made first."""
        try:
            self._room.make(size)
            came = True  # Memory may have come back after it was found lacking, so try once more.
            for wait in _WAITS:
                try:
                    made = make(name, what, metadata, wait)
                    break
                except sheaf.Full:
                    # To ask is also to hear what is to be let go of.
                    fits, comes = self._room.outlook(size)
                    if wait == _WAITS[-1] or not fits or not (came or comes):
                        raise
                    came = comes
        except sheaf.Error as error:
            raise translated(error) from None
        self._room.note(name, size)
        return made

    def put_raw_buffer(
        self,
        value: Any,
        object_id: ObjectID | None = None,
        metadata: bytes = b"",
        memcopy_threads: int = 6,
    ) -> ObjectID:
        """Puts an object with the bytes of `value`; returns its id.

        The store decides how many threads copy it.

        >>> object_id = client.put_raw_buffer(b"hello")
        >>> bytes(client.get_buffers([object_id])[0])
        b'hello'
        """
        object_id = object_id or ObjectID.from_random()
        view = memoryview(value).cast("B")
        self.create_and_seal(object_id, view, metadata)
        return object_id

    def put(
        self,
        value: Any,
        object_id: ObjectID | None = None,
        memcopy_threads: int = 6,
        serialization_context: Any = None,
    ) -> ObjectID:
        """Puts a Python value; returns its id.

        Raises as `create` does, and what pickle raises of a value that can't be pickled (with a
        pyarrow that serializes by itself, its ArrowSerializationError).

        >>> object_id = client.put({"answer": 42})
        >>> client.get(object_id)
        {'answer': 42}
        """
        _values.warn_of(serialization_context)
        object_id = object_id or ObjectID.from_random()
        name = name_of(object_id)
        encoded = _values.encode(value, serialization_context)
        if encoded.nbytes < _values.IN_PLACE_BYTES:
            self._put(name, encoded.to_bytes(), encoded.nbytes, b"")
            return object_id
        view = self._draft(name, encoded.nbytes, b"")
        try:
            encoded.write(view, memcopy_threads)
        except BaseException:
            self._drafts.pop(name)[0].abort()
            raise
        del view
        self.seal(object_id)
        return object_id

    # Reading.

    def get_buffers(
        self, object_ids: Iterable[ObjectID], timeout_ms: int = -1, with_meta: bool = False
    ) -> list[Any]:
        """The data of these objects, read-only and not copied; None for one that did not come.

        Waits up to `timeout_ms` for objects that are not there or not sealed; for ever if negative.
        An object whose writer has died is None at once. With `with_meta`, each is a pair of
        metadata, as bytes, and data.

        >>> object_id = client.put_raw_buffer(b"hello")
        >>> wanted = [object_id, plasma.ObjectID(b"a" * 20)]
        >>> there, missing = client.get_buffers(wanted, timeout_ms=0)
        >>> bytes(there), missing
        (b'hello', None)
        """
        found = self._get(object_ids, timeout_ms)
        if not with_meta:
            return [None if one is None else wrap(meta.split(*one)[0]) for one in found]
        pairs: list[tuple[Any, Any]] = []
        for one in found:
            if one is None:
                pairs.append((None, None))
            else:
                data, metadata = meta.split(*one)
                pairs.append((bytes(metadata), wrap(data)))
        return pairs

    def get_metadata(self, object_ids: Iterable[ObjectID], timeout_ms: int = -1) -> list[Any]:
        """The metadata of these objects as buffers; None for one that did not come.

        >>> object_id = client.put_raw_buffer(b"hello", metadata=b"mine")
        >>> bytes(client.get_metadata([object_id])[0])
        b'mine'
        """
        found = self._get(object_ids, timeout_ms)
        return [None if one is None else wrap(meta.split(*one)[1]) for one in found]

    def get(
        self,
        object_ids: ObjectID | Sequence[ObjectID],
        timeout_ms: int = -1,
        serialization_context: Any = None,
    ) -> Any:
        """The values of these objects, or of this one, that `put` has put.

        Arrays among them are read-only and lie in the store's memory. `ObjectNotAvailable`, the
        class, stands for one that did not come in time.

        >>> client.get([client.put(1), client.put("two")])
        [1, 'two']
        >>> client.get(plasma.ObjectID(b"a" * 20), timeout_ms=0) is plasma.ObjectNotAvailable
        True
        """
        _values.warn_of(serialization_context)
        if not isinstance(object_ids, Sequence):
            return self.get([object_ids], timeout_ms, serialization_context)[0]
        return [
            ObjectNotAvailable
            if one is None
            else _values.decode(meta.split(*one)[0], serialization_context)
            for one in self._get(object_ids, timeout_ms)
        ]

    def _get(
        self, object_ids: Iterable[ObjectID], timeout_ms: int
    ) -> list[tuple[memoryview, bytes] | None]:
        """Views and the store's metadata; None for what did not come."""
        names = [name_of(object_id) for object_id in object_ids]
        limit = math.inf if timeout_ms < 0 else timeout_ms / 1000
        try:
            found: list[tuple[memoryview, bytes] | None] = self._core.get_many(names, limit)
            return found
        except sheaf.Error as error:
            raise translated(error) from None

    def contains(self, object_id: ObjectID) -> bool:
        """Whether there is a sealed object with this id.

        >>> client.contains(client.put(1)), client.contains(plasma.ObjectID(b"a" * 20))
        (True, False)
        """
        return name_of(object_id) in self._store

    def hash(self, object_id: ObjectID) -> bytes:
        """8 bytes that are equal for equal data and metadata. Computed here and now, unlike
        Plasma's, which every seal paid for.

        Raises PlasmaObjectNotFound.

        >>> one, other = client.put_raw_buffer(b"hello"), client.put_raw_buffer(b"hello")
        >>> client.hash(one) == client.hash(other), len(client.hash(one))
        (True, 8)
        """
        [one] = self._get([object_id], 0)
        if one is None:
            raise PlasmaObjectNotFound(f"there is no sealed object with {object_id}")
        data, metadata = meta.split(*one)
        digest = hashlib.blake2b(data, digest_size=8)
        digest.update(metadata)
        digest.update(len(metadata).to_bytes(8, "little"))
        return digest.digest()

    # Room.

    def delete(self, object_ids: Iterable[ObjectID]) -> None:
        """Deletes these objects; those that are not there, and others' unsealed ones, are passed
        over.

        The id is free at once. The memory is given back when nobody uses it any more. What this
        client is still writing is deleted when it is sealed.

        >>> object_id = client.put(1)
        >>> client.delete([object_id])
        >>> client.contains(object_id)
        False
        """
        for object_id in object_ids:
            name = name_of(object_id)
            if name in self._drafts:
                self._doomed.add(name)
                continue
            try:
                self._store.delete(name)
            except (sheaf.NotFound, sheaf.Denied):
                pass
            except sheaf.Invalid:
                # A draft of this connection that is not among this client's: a `put` of another
                # thread that is being written.
                pass

    def evict(self, num_bytes: int) -> int:
        """Drops objects that nobody uses, least recently used first, until they amount to
        `num_bytes`; returns how many bytes they were.

        >>> object_id = client.put_raw_buffer(b"hello")
        >>> client.evict(1), client.contains(object_id)
        (5, False)
        """
        with plasma_errors():
            return _room.evict(self._store, _whole(num_bytes))

    def set_client_options(self, client_name: str, limit_output_memory: int) -> None:
        """Names this client, and limits what its objects may take: beyond that, its own go first.

        Raises PlasmaStoreFull when the limit is more than the store has.

        >>> client.set_client_options("loader", 1_000_000)
        """
        self._room.limit(_whole(limit_output_memory))
        self._name = client_name

    def store_capacity(self) -> int:
        """How many bytes the store may take.

        >>> client.store_capacity()
        100000000
        """
        return self._room.capacity

    # Looking around.

    def list(self) -> dict[ObjectID, dict[str, Any]]:
        """Every object: data_size, metadata_size, ref_count, create_time, construct_duration (both
        in seconds, -1 if it is not sealed) and state ("created" or "sealed").

        >>> object_id = client.put_raw_buffer(b"hello")
        >>> entry = client.list()[object_id]
        >>> entry["data_size"], entry["state"]
        (5, 'sealed')
        """
        with plasma_errors():
            return _room.listed(self._store)

    def debug_string(self) -> str:
        """What the store counts, for people.

        >>> "objects" in client.debug_string()
        True
        """
        return _room.debug_string(self._store, self._name)

    def subscribe(self) -> None:
        """Subscribes to notifications: of the objects that are there, then of all that are sealed
        and all that go.

        >>> client.subscribe()
        """
        with plasma_errors():
            fresh = Notifications(self._store)
        if self._notifications is not None:
            self._notifications.close()
        self._notifications = fresh

    def get_next_notification(self) -> tuple[ObjectID, int, int]:
        """Waits for a notification: id, bytes of data, bytes of metadata; both -1 for an object
        that is gone.

        >>> client.subscribe()
        >>> object_id = client.put_raw_buffer(b"hello", metadata=b"mine")
        >>> client.get_next_notification() == (object_id, 5, 4)
        True
        """
        name, data_size, metadata_size = self._subscription().next()
        return ObjectID(name), data_size, metadata_size

    def get_notification_socket(self) -> Any:
        """A socket to wait on for notifications: each is 8 bytes, the length of what follows for
        `decode_notifications`.

        >>> client.subscribe()
        >>> notifications = client.get_notification_socket()
        >>> object_id = client.put_raw_buffer(b"hello")
        >>> length = int.from_bytes(notifications.recv(8), "little")
        >>> client.decode_notifications(notifications.recv(length)) == ([object_id], [5], [0])
        True
        """
        return self._subscription().open_socket()

    def decode_notifications(
        self, buf: bytes
    ) -> tuple[builtins.list[ObjectID], builtins.list[int], builtins.list[int]]:
        """Ids, sizes of data and sizes of metadata in what was read from the socket.

        >>> client.decode_notifications(b"")
        ([], [], [])
        """
        return decode(buf)

    def _subscription(self) -> Notifications:
        if self._notifications is None:
            raise ValueError("call subscribe first")
        return self._notifications

    # The end.

    def to_capsule(self) -> NoReturn:
        """Plasma's C++ client, which is not there: raises NotImplementedError.

        >>> client.to_capsule()
        Traceback (most recent call last):
        NotImplementedError: ...
        """
        raise NotImplementedError(
            "there is no C++ client behind this one: give C++ the address of a buffer, or the "
            "descriptor that docs/protocol.md describes"
        )

    def disconnect(self) -> None:
        """Ends the connection: what this client was writing goes. Buffers stay valid.

        >>> [data] = client.get_buffers([client.put_raw_buffer(b"hello")])
        >>> client.disconnect()
        >>> bytes(data)
        b'hello'
        """
        if self._notifications is not None:
            self._notifications.close()
            self._notifications = None
        self._drafts.clear()
        self._doomed.clear()
        if not isinstance(self._store, Closed):
            self._store.close()
            self._store = self._core = Closed()

    def __repr__(self) -> str:
        return f"<PlasmaClient of {self._socket_name or 'no store'}>"


def _whole(nbytes: int) -> int:
    """A number of bytes. Plasma took `1e9` for one, too."""
    return int(nbytes) if isinstance(nbytes, float) else nbytes
