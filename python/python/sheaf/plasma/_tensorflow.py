"""Plasma's TensorFlow operator: C++ against Plasma's own client, so it can't be had here."""

from typing import NoReturn

TF_PLASMA_OP_PATH = ""
tf_plasma_op = None

_WHY = (
    "Sheaf has no TensorFlow operator: read with get, which copies nothing, and hand the arrays "
    "to TensorFlow"
)


def load_plasma_tensorflow_op() -> NoReturn:
    """Plasma's operator is not there: raises NotImplementedError.

    >>> plasma.load_plasma_tensorflow_op()
    Traceback (most recent call last):
    NotImplementedError: ...
    """
    raise NotImplementedError(_WHY)


def build_plasma_tensorflow_op() -> NoReturn:
    """Plasma's operator is not there: raises NotImplementedError.

    >>> plasma.build_plasma_tensorflow_op()
    Traceback (most recent call last):
    NotImplementedError: ...
    """
    raise NotImplementedError(_WHY)
