"""A running store with a Flight endpoint."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pyarrow.flight as fl

import sheaf


@dataclass
class Endpoint:
    """A running store, and the addresses of its endpoint."""

    process: subprocess.Popen[str]
    urls: list[str]
    near: sheaf.Store

    def client(self, **options: object) -> fl.FlightClient:
        return fl.FlightClient(self.urls[0], **options)

    def memory_bytes(self) -> int:
        """The server's own memory: what it has mapped of objects is not."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.findall(r"Anonymous:\s+(\d+) kB", rollup)[0]) << 10

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
