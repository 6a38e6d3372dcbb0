"""Opaque bytes written in place."""

from __future__ import annotations

from types import TracebackType

from sheaf._sheaf import Buffer, DraftCore, Info


class Draft(Buffer):
    """An object of opaque bytes that is being written; made by :meth:`sheaf.Store.create`.

    ``memoryview(draft)`` is the object's own memory, zero at first. Used with ``with`` it is sealed
    at the end and aborted on an exception. A draft that is dropped unsealed is aborted.

    Views that live longer than the draft stay valid: they become private, and what is written to
    them then reaches nobody.

    >>> import sheaf
    >>> with sheaf.serve(memory="64MiB") as store:
    ...     draft = store.create("raw", 5)
    ...     memoryview(draft)[:] = b"hello"
    ...     info = draft.seal()
    ...     bytes(store.bytes("raw"))
    b'hello'
    """

    __slots__ = ("_core",)

    _core: DraftCore

    @property
    def name(self) -> str:
        """The object's name, as it is printed."""
        return self._core.name

    @property
    def nbytes(self) -> int:
        """The object's size, in bytes."""
        return self._core.nbytes

    def __len__(self) -> int:
        return self._core.nbytes

    def seal(self) -> Info:
        """Seals: every process may now read it, none may write.

        >>> store.create("zeros", 5).seal()
        Info('zeros': sealed bytes, 5 B)
        """
        return self._core.seal()

    def abort(self) -> None:
        """Ends the draft: nobody gets it, and who waits for it learns so at once.

        >>> store.create("zeros", 5).abort()
        >>> "zeros" in store
        False
        """
        self._core.abort()

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._core.open:
            return
        if kind is None:
            self.seal()
            return
        try:
            self.abort()
        except Exception:  # The exception that ended the block is the one to be told.
            pass

    def __repr__(self) -> str:
        state = "open" if self._core.open else "ended"
        return f"Draft({self.name}, {self.nbytes} bytes, {state})"


Draft.__module__ = "sheaf"
