"""A store for each test that asks for one, and programs run as processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

import sheaf


def pytest_configure() -> None:
    """A shell that starts tests in the background has them ignore Ctrl-C, and so what they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def store() -> Iterator[sheaf.Served]:
    with sheaf.serve(memory="256MiB") as served:
        yield served


@pytest.fixture
def run() -> Callable[..., subprocess.Popen[str]]:
    """Starts a Python program; its arguments are `sys.argv[1:]`."""

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
