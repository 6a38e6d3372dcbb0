"""Sorting what is larger than memory, file to file: Sheaf, polars and DuckDB, each under a limit.

    python3.11 bench/peers/sort/disk.py --rows 800000000 --limit 4 --folder /scratch

The input is an Arrow file of an int64 key and a float64 beside it; the result is one, too. Every
system runs in a control group that may use no more memory than the limit, page cache included, and
begins with an empty page cache: this takes root, and cgroup version 1 or 2. `duckdb-native` sorts a
table of its own file into another there. Needs four times the input on disk.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import programs  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=800_000_000)
    parser.add_argument("--limit", type=float, default=4, help="memory, in GiB")
    parser.add_argument("--folder", type=Path, required=True, help="on a disk, with room")
    parser.add_argument("--only", default="sheaf,polars,duckdb,duckdb-native")
    parser.add_argument("--python", help="an interpreter that has the peers")
    parser.add_argument("--sheaf", metavar="PROGRAM", help="default: built for release")
    arguments = parser.parse_args()
    python = arguments.python or str(programs.environment("sort"))
    folder = arguments.folder / "sheaf-sort-disk"
    folder.mkdir()
    try:
        source, result = str(folder / "in.arrow"), str(folder / "out.arrow")
        me = [python, str(Path(__file__).resolve().with_name("disk_peer.py"))]
        subprocess.run([*me, "make", source, str(arguments.rows)], check=True)
        print("| system | seconds | rows |\n|---|---|---|")
        for system in arguments.only.split(","):
            if system == "sheaf":
                program = arguments.sheaf or sheaf()
                command = [program, "sort", "--from", source, "--by", "k", "-o", result]
            else:
                # What a system is told leaves room for what it does not count.
                command = [*me, system, source, result, str(arguments.limit / 2)]
            if system == "duckdb-native":
                subprocess.run([*me, "load", source, result], check=True)
            seconds = limited(command, int(arguments.limit * (1 << 30)), folder)
            rows = subprocess.run([*me, "check", system, result], capture_output=True, text=True)
            shown = f"{seconds:.1f}" if seconds else "killed"
            print(f"| {system} | {shown} | {rows.stdout.strip() or '-'} |", flush=True)
            for path in set(folder.iterdir()) - {Path(source)}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        shutil.rmtree(folder)


def sheaf() -> str:
    programs.output(["cargo", "build", "--quiet", "--release", "-p", "sheaf"])
    return str(HERE.parents[2] / "target" / "release" / "sheaf")


def limited(command: list[str], limit: int, folder: Path) -> float | None:
    """Seconds that the command takes under a limit of memory; None if it ended badly."""
    first = Path("/sys/fs/cgroup/memory")
    version_1 = first.is_dir()
    group = (first if version_1 else first.parent) / f"sheaf-{os.getpid()}"
    group.mkdir()
    try:
        name = "memory.limit_in_bytes" if version_1 else "memory.max"
        (group / name).write_text(str(limit))
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        start = time.perf_counter()
        enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        done = subprocess.run(
            ["sh", "-c", enter, "sh", *command], stderr=subprocess.DEVNULL, cwd=folder
        )
        return time.perf_counter() - start if done.returncode == 0 else None
    finally:
        group.rmdir()


if __name__ == "__main__":
    main()
