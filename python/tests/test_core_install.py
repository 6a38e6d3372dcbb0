"""What `pip install` brings: one module for every Python from 3.10 on, and the `sheaf` program."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

import pytest

import sheaf
from sheaf import _sheaf
from sheaf._serve import find_program


@pytest.fixture
def wheel() -> metadata.Distribution:
    try:
        return metadata.distribution("sheaf")
    except metadata.PackageNotFoundError:
        pytest.skip("sheaf is not installed from a wheel")


def test_the_wheel_is_for_every_python_from_3_10_on(wheel):
    tags = [line for line in wheel.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]

    assert tags and all(tag.startswith("Tag: cp310-abi3-linux_") for tag in tags)
    assert Path(_sheaf.__file__).name == "_sheaf.abi3.so"
    assert wheel.metadata["Requires-Python"] == ">=3.10"
    assert not wheel.requires


def test_the_wheel_brings_the_program(wheel):
    programs = [file.locate().resolve() for file in wheel.files if file.name == "sheaf"]

    assert programs == [Path(find_program()).resolve()]
    told = subprocess.run([programs[0], "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"sheaf {wheel.version}\n" and wheel.version == sheaf.__version__


def test_the_wheel_is_typed(wheel):
    files = {str(file) for file in wheel.files}

    assert {"sheaf/py.typed", "sheaf/_sheaf.pyi"} <= files
