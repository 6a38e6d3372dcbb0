"""How each peer's program comes to be: a virtual environment of its own, or a cargo build.

Both are made when first needed and kept; nothing is installed outside this folder and `target/`.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WORKSPACE = HERE.parents[1]


def command(peer: str) -> list[str] | None:
    """What runs the peer, made ready; None if the checkout has no such program yet."""
    return sheaf() if peer == "sheaf" else [str(environment(peer)), str(HERE / f"{peer}_peer.py")]


def environment(peer: str) -> Path:
    """The Python of `.venv-<peer>`, which holds what `requirements-<peer>.txt` asks for."""
    folder = HERE / f".venv-{peer}"
    requirements = HERE / f"requirements-{peer}.txt"
    python = folder / "bin" / "python"
    installed = folder / "installed.txt"
    if installed.exists() and installed.read_text() == requirements.read_text():
        return python

    print(f"setting up {folder.name}", file=sys.stderr)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    output([python_3_11(), "-m", "venv", "--clear", str(folder)])
    output([*pip, "--requirement", str(requirements)])
    installed.write_text(requirements.read_text())
    return python


def python_3_11() -> str:
    """pyarrow 11 has no wheels for a later one."""
    if sys.version_info[:2] == (3, 11):
        return sys.executable
    if found := shutil.which("python3.11"):
        return found
    raise SystemExit("python3.11 is not on PATH, and Plasma's last release needs it")


def sheaf() -> list[str] | None:
    """The Rust program `sheaf-peer`, built for release."""
    if not shutil.which("cargo"):
        return None
    query = ["cargo", "metadata", "--no-deps", "--format-version=1"]
    metadata = json.loads(output(query))
    targets = {target["name"] for package in metadata["packages"] for target in package["targets"]}
    if "sheaf-peer" not in targets:
        return None

    build = ["cargo", "build", "--quiet", "--release", "--package=sheaf-bench", "--bin=sheaf-peer"]
    output(build)
    return [str(Path(metadata["target_directory"], "release", "sheaf-peer"))]


def warm_host(nbytes: int) -> None:
    """Touches this much memory and lets go of it.

    A hypervisor takes back what lies free, in huge pages, and the first to touch such a page again
    waits for the host (1.3 s a GiB where 0.13 is usual). So that nobody pays for having been last
    in line, every peer starts right after this.
    """
    code = (
        "import mmap, sys; m = mmap.mmap(-1, int(sys.argv[1]));"
        "m.madvise(mmap.MADV_HUGEPAGE);"
        "[m.__setitem__(at, 1) for at in range(0, len(m), 4096)]"
    )
    subprocess.run([sys.executable, "-c", code, str(nbytes)], check=True)


def output(command: list[str]) -> str:
    """What a command prints; it runs at the root of the checkout, and failing ends everything."""
    try:
        return subprocess.check_output(command, cwd=WORKSPACE, text=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(command)} failed ({error.returncode})") from None
