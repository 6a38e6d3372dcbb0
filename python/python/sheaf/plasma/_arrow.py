"""pyarrow, if it is there: any version, and none is fine."""

from __future__ import annotations

import importlib
from typing import Any


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


pyarrow: Any = _module("pyarrow")

#: pyarrow.plasma itself, up to pyarrow 11.
old_plasma: Any = _module("pyarrow.plasma")
