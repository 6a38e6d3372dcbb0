"""`pyarrow.plasma` as it was in pyarrow 11, over a Sheaf store.

A script changes one line::

    import sheaf.plasma as plasma        # was: import pyarrow.plasma as plasma

What differs, and the native twin of every call, is in docs/from-plasma.md.

With pyarrow installed, of any version, buffers are `pyarrow.Buffer` and errors are subclasses of
`pyarrow.ArrowException` (and, where pyarrow still has Plasma, of its errors). Without pyarrow,
buffers are `memoryview` and everything else is the same.

An `ObjectID` is the name of an object: its 20 bytes. So the rest of Sheaf sees what Plasma code
puts, and Plasma code sees every object of bytes whose name has 20 bytes.
"""

from ._buffers import PlasmaBuffer
from ._client import PlasmaClient, connect
from ._errors import PlasmaObjectExists, PlasmaObjectNotFound, PlasmaStoreFull
from ._ids import ObjectID, ObjectNotAvailable
from ._serve import start_plasma_store
from ._tensorflow import (
    TF_PLASMA_OP_PATH,
    build_plasma_tensorflow_op,
    load_plasma_tensorflow_op,
    tf_plasma_op,
)

__all__ = [
    "TF_PLASMA_OP_PATH",
    "ObjectID",
    "ObjectNotAvailable",
    "PlasmaBuffer",
    "PlasmaClient",
    "PlasmaObjectExists",
    "PlasmaObjectNotFound",
    "PlasmaStoreFull",
    "build_plasma_tensorflow_op",
    "connect",
    "load_plasma_tensorflow_op",
    "start_plasma_store",
    "tf_plasma_op",
]

# What is pickled, and what a traceback shows, is what people import.
for _name in __all__:
    _value = globals()[_name]
    if hasattr(_value, "__module__"):
        _value.__module__ = __name__
del _name, _value
