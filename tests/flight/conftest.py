"""A store with a Flight endpoint for each test that asks for one: the `sheaf` program itself."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from endpoint import Endpoint

import sheaf
from sheaf._serve import find_program


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Endpoint]]:
    """Starts `sheaf serve`, with more arguments."""
    running = []

    def start(*arguments: str, memory: str = "256MiB") -> Endpoint:
        socket = tmp_path / f"store-{len(running)}.sock"
        if "--flight" not in arguments:
            arguments = ("--flight", "127.0.0.1:0", *arguments)
        command = [find_program(), "serve", "--memory", memory, "--socket", str(socket), *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        running.append(process)
        urls = []
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"Arrow Flight at (\S+)", line):
                urls.append(found[1])
            if "serving at" in line:
                break
        else:
            raise AssertionError(f"it did not start: {process.wait()}")
        # Nobody else reads what it says.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        return Endpoint(process, urls, sheaf.connect(f"unix:{socket}", timeout=10))

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def endpoint(serve: Callable[..., Endpoint]) -> Endpoint:
    return serve()
