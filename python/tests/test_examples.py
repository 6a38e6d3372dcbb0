"""The examples run, and so does every Python block of README.md and of the two guides."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sheaf

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "python" / "examples"
GUIDE = ROOT / "docs" / "python.md"
GUIDES = [GUIDE, ROOT / "docs" / "from-plasma.md"]

#: What is not called by name: a guide says `len(table)`, not `__len__`.
SPOKEN = {"sheaf", "__version__"}


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """The lines at which Python blocks begin, and the blocks."""
    text = page.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text[: match.start(1)].count("\n") + 1, match[1]


def run_block(page: Path, line: int, block: str, names: dict[str, object]) -> None:
    # Empty lines before it, so that a traceback tells the line of the page.
    exec(compile("\n" * (line - 1) + block, str(page), "exec"), names)


PAGES = {
    f"{page.name}:{line}": (page, line, block) for page in GUIDES for line, block in blocks(page)
}


@pytest.mark.filterwarnings("error::DeprecationWarning", "error::FutureWarning")
@pytest.mark.parametrize("place", PAGES)
def test_every_block_of_the_guides_runs_by_itself(place, store, monkeypatch, tmp_path):
    import numpy as np
    import pyarrow as pa

    monkeypatch.setenv("SHEAF_STORE", store.url)
    monkeypatch.chdir(tmp_path)
    given = {"np": np, "pa": pa, "sheaf": sheaf, "store": store, "__name__": "guide"}

    run_block(*PAGES[place], given)


# Those of sheaf.plasma run with its tests.
PROGRAMS = sorted(p.name for p in EXAMPLES.glob("*.py") if not p.name.startswith("plasma_"))


@pytest.mark.parametrize("example", PROGRAMS)
def test_every_example_runs_without_a_warning(example):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / example], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_readmes_lines_are_those_of_the_example():
    [(_, block)] = blocks(ROOT / "README.md")

    assert block in (EXAMPLES / "ten_lines.py").read_text()
    assert len([line for line in block.splitlines() if line.strip()]) <= 10


def test_the_guide_names_everything_that_is_public():
    guide = GUIDE.read_text()
    public = {name: getattr(sheaf, name) for name in sheaf.__all__ if name not in SPOKEN}
    missing = [name for name in public if not re.search(rf"\b{name}\b", guide)]

    for name, value in public.items():
        if isinstance(value, type) and not issubclass(value, BaseException):
            own = [member for member in vars(value) if not member.startswith("_")]
            missing += [f"{name}.{m}" for m in own if not re.search(rf"\b{m}\b", guide)]

    assert missing == []
