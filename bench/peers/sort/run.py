"""Sheaf's sort beside its peers, on the same tables, as a table of seconds and ratios.

The tables are those of `cargo run -p sheaf-bench --bin sort`, which writes each to a file; every
peer loads it in a process of its own, sorts it several times, and says how long each took. Sheaf
sorts it from the store into the store, and checks what came of it. README.md says how to read it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import programs  # noqa: E402

FAST = ["polars", "duckdb", "duckdb-arrow", "datafusion"]
SLOW = ["pandas", "pyarrow", "chdb"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000_000, help="of the plainest case")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--peers", default=",".join(FAST + SLOW), help="which, with commas")
    parser.add_argument("--json", type=Path, help="write all figures there, too")
    parser.add_argument("--python", help="an interpreter that has the peers")
    parser.add_argument("--sheaf", metavar="PROGRAM", help="default: built for release")
    arguments = parser.parse_args()
    python = arguments.python or str(programs.environment("sort"))
    sheaf = arguments.sheaf or program()
    peers = arguments.peers.split(",")
    names = programs.output([sheaf, "--list"]).splitlines()
    print(f"load {os.getloadavg()[0]:.1f}; {versions(python)}", file=sys.stderr)
    print("Seconds, and in brackets the most memory that the process had, in GB.")
    print(f"| case | rows | sheaf | core-ns | {' | '.join(peers)} | best |")
    print("|---" * (5 + len(peers)) + "|")
    figures = {}
    for name in names:
        if arguments.only in name:
            figures[name] = measure(name, sheaf, python, peers, arguments)
            print(line(name, figures[name], peers), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def program() -> str:
    programs.output(
        ["cargo", "build", "--quiet", "--release", "-p", "sheaf-bench", "--bin", "sort"]
    )
    found = programs.output(["cargo", "metadata", "--no-deps", "--format-version=1"])
    return str(Path(json.loads(found)["target_directory"], "release", "sort"))


def versions(python: str) -> str:
    code = (
        "from importlib.metadata import version; import sys;"
        "print(*(f'{name} {version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    packages = [peer for peer in FAST + SLOW if peer != "duckdb-arrow"]
    return programs.output([python, "-c", code, *packages]).strip()


def measure(name: str, sheaf: str, python: str, peers: list[str], arguments) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "table.arrow"))
        told = json.loads(
            programs.output([sheaf, "--write", file, "--case", name, "--rows", str(arguments.rows)])
        )
        rounds = str(arguments.rounds)
        found = {"rows": told["rows"]}
        own = [sheaf, "--file", file, "--by", ",".join(told["by"]), "--rounds", rounds]
        found["sheaf"] = json.loads(programs.output(own))
        for peer in peers:
            often = rounds if peer in FAST else "1"
            command = [python, str(HERE / "peer.py"), peer, file, ",".join(told["by"]), often]
            done = subprocess.run(command, capture_output=True, text=True)
            found[peer] = json.loads(done.stdout) if done.returncode == 0 else None
            if done.returncode != 0:
                print(f"{peer}, {name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return found


def line(name: str, found: dict, peers: list[str]) -> str:
    own = median(found["sheaf"]["seconds"])
    cost = own * len(os.sched_getaffinity(0)) / found["rows"] * 1e9
    seconds = {peer: median(found[peer]["seconds"]) for peer in peers if found[peer]}
    cells = " | ".join(cell(found[peer], 2) for peer in peers)
    best = f"{min(seconds.values()) / own:.1f}x" if seconds else "-"
    return (
        f"| {name} | {found['rows']} | {cell(found['sheaf'], 4)} | {cost:.1f} | {cells} | {best} |"
    )


def cell(found: dict | None, digits: int) -> str:
    if found is None:
        return "-"
    return f"{median(found['seconds']):.{digits}f} ({found['peak_bytes'] / 1e9:.1f})"


if __name__ == "__main__":
    main()
