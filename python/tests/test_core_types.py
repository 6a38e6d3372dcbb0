"""The types: the package is clean under `mypy --strict`, its stubs say what the native half has, and
programs that use it are checked by them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

#: Kept between runs, since the types of pandas and pyarrow take long to read.
CACHE = Path(sys.prefix) / "mypy-cache"

#: Of the native half: what is private, and what Python shows from 3.12 on.
UNSTUBBED = [r"sheaf\._sheaf\.__all__", r"sheaf\._sheaf\.Buffer\.__buffer__"]

#: pyarrow brings no types of its own.
UNTYPED = "--disable-error-code=import-untyped"

#: What a program gets wrong that a type checker sees, and what it says of it.
WRONG = {
    "store.put('t', 5)": "arg-type",
    "store.get(5)": "arg-type",
    "store.get('t').num_row": "attr-defined",
    "store.put_bytes('t', b'', replaces=True)": "call-arg",
    "store.get('t').num_rows = 5": "misc",
    "len(store.info('t').sealed)": "arg-type",
    "store.info('t').kind == 'tables'": "comparison-overlap",
}


def check(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent)


def mypy(*arguments: object) -> subprocess.CompletedProcess[str]:
    return check("mypy", "--strict", "--cache-dir", CACHE, *arguments)


def test_the_package_is_clean_under_mypy_strict():
    told = mypy("-p", "sheaf")

    assert told.returncode == 0, told.stdout + told.stderr


def test_the_stubs_agree_with_the_native_half(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text("\n".join(UNSTUBBED))

    told = check("mypy.stubtest", "sheaf", "--allowlist", allowed, "--ignore-unused-allowlist")

    assert told.returncode == 0, told.stdout + told.stderr


def test_examples_are_clean_under_mypy_strict():
    told = mypy(UNTYPED, EXAMPLES)

    assert told.returncode == 0, told.stdout + told.stderr


def test_what_is_used_wrongly_is_told(tmp_path):
    head = "import sheaf\nstore = sheaf.connect()\n"
    program = tmp_path / "wrong.py"
    program.write_text(head + "\n".join(WRONG))

    told = mypy(program).stdout.splitlines()

    for line, (wrong, kind) in enumerate(WRONG.items(), 3):
        said = [text for text in told if f"wrong.py:{line}:" in text and f"[{kind}]" in text]
        assert said, (wrong, told)
