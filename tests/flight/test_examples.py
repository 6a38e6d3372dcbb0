"""The example and the guide's program run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from endpoint import Endpoint

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_runs(endpoint: Endpoint) -> None:
    command = [sys.executable, str(ROOT / "examples" / "flight_client.py"), endpoint.urls[0]]

    said = subprocess.run(command, capture_output=True, text=True)

    assert said.returncode == 0, said.stderr
    assert "what came back is what went" in said.stdout


def test_the_example_in_sql_runs(endpoint: Endpoint) -> None:
    command = [sys.executable, str(ROOT / "examples" / "sql_client.py"), endpoint.urls[0]]

    said = subprocess.run(command, capture_output=True, text=True)

    assert said.returncode == 0, said.stderr
    assert "what was asked was answered" in said.stdout


def test_the_guides_program_runs(endpoint: Endpoint) -> None:
    guide = (ROOT / "docs" / "flight.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    [program] = [block for block in blocks if "do_put" in block]
    program = program.replace("grpc://127.0.0.1:8815", endpoint.urls[0])

    exec(program, {})
