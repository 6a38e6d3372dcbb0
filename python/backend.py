"""Builds the wheel: maturin's, with the `sheaf` program in it.

`SHEAF_PROFILE` names another cargo profile than `release` for both: `dev`, not `test`, which would
make the module a program. `SHEAF_PROGRAM` names a program that is built already.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import maturin
from maturin import (  # noqa: F401, a part of this backend
    get_requires_for_build_editable,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_wheel,
)

HERE = Path(__file__).resolve().parent
PROFILE = os.environ.get("SHEAF_PROFILE", "release")
# Read by maturin.
os.environ.setdefault("MATURIN_PEP517_ARGS", f"--profile {PROFILE}")

# Where maturin takes the wheel's scripts from; it wants the folder whatever it is asked to do.
SCRIPTS = HERE / "wheel-data" / "scripts"
SCRIPTS.mkdir(parents=True, exist_ok=True)


def _bring_program():
    """Builds the program, unless one is given, and lays it among the scripts."""
    if given := os.environ.get("SHEAF_PROGRAM"):
        shutil.copy2(given, SCRIPTS / "sheaf")
        return
    command = ["cargo", "build", "--package", "sheaf", "--profile", PROFILE]
    subprocess.run([*command, "--message-format", "short"], cwd=HERE, check=True)
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    told = subprocess.run(metadata, cwd=HERE, check=True, stdout=subprocess.PIPE).stdout
    folder = "debug" if PROFILE == "dev" else PROFILE
    built = Path(json.loads(told)["target_directory"], folder, "sheaf")
    shutil.copy2(built, SCRIPTS / "sheaf")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _bring_program()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _bring_program()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)
