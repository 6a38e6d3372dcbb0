"""Python beside Python: Sheaf's package, Plasma and Ray, in one run, as one table of ratios.

Every round starts every peer anew, in an order that changes; a ratio is formed inside a round, and
the table has the median over the rounds. README.md says what each row is.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "peers"
# Before this folder: `run` is theirs.
sys.path.insert(0, str(PEERS))

import programs  # noqa: E402
import report  # noqa: E402
import run as peers  # noqa: E402
from report import Row  # noqa: E402

ORDER = ["sheaf", "plasma", "ray"]
WORKLOADS = "memcpy sum compute put-fresh put-recycled sustained computed get".split()
FIRST = ["memcpy", "put-fresh"]
FULL = {"sizes": "128000000,1073741824", "repeats": 5, "readers": 3, "churn": 1, "small": 1}
QUICK = {"sizes": "8000000,33554432", "repeats": 2, "readers": 1, "churn": 1, "small": 1}
#: What is touched before each peer starts: more than its server may take.
WARM_BYTES = 8 << 30
WORKERS = {"count": 100, "bytes": 1 << 30}

ROWS = [
    Row("put-fresh", "put, first: fresh memory"),
    Row("put-recycled", "put, after a pause"),
    Row("sustained", "put + delete, sustained"),
    Row("compute", "compute, private memory"),
    Row("computed", "compute and put, sustained"),
    Row("sum", "sum, private memory"),
    Row("get-first-sum", "get + sum, new process"),
    Row("get-again-sum", "get + sum, again"),
    Row("get-first", "get, new process", in_memcpys=False),
    Row("get-again", "get, again", in_memcpys=False),
]

#: How many times as fast as Plasma and as Ray a row is to be.
REACH = {
    "put-fresh": (None, 1.2),
    "sustained": (1.5, 0.8),
    "computed": (1.0, 1.0),
}
PLASMA_REACH = {"create + seal": 2.0, "create_and_seal": 2.0, "get_buffers": 2.0}
MAPPED_REACH_US = 10.0
GROWN_REACH_PERCENT = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="default 5, quick 1")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work?")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    parser.add_argument("--python", metavar="PROGRAM", help="a Python that has the package")
    parser.add_argument("--only", choices=["large", "first", "small", "workers"], help="a part")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)

    # A termination unwinds like an exception, so that what was started also ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    os.environ["PYTHONPATH"] = str(PEERS)
    peers.WORKLOADS = FIRST if arguments.only == "first" else WORKLOADS
    report.ROWS = ROWS
    pythons = {
        "sheaf": arguments.python or environment(),
        "plasma": str(programs.environment("plasma")),
        "ray": str(programs.environment("ray")),
    }
    ratios = rust_ratios()

    loads = [os.getloadavg()[0]]
    options = QUICK if arguments.quick else FULL
    found = {"large": [], "mapped": [], "sheaf.plasma": [], "pyarrow.plasma": []}
    versions = dict.fromkeys(ORDER)
    for number in range(rounds):
        results = {}
        for peer in peers.rotated(ORDER, number):
            if arguments.only in ("small", "workers"):
                continue
            print(f"round {number + 1} of {rounds}: {peer}", file=sys.stderr)
            programs.warm_host(WARM_BYTES)
            command = [pythons[peer], str(HERE / "peer.py"), peer]
            header, *results[peer] = peers.run(command, options)
            versions[peer] = header["version"]
        found["large"].append(report.figures(results))
        if arguments.only in (None, "small"):
            print(f"round {number + 1} of {rounds}: small", file=sys.stderr)
            mapped = small(pythons["sheaf"], "mapped") | rust_least(ratios)
            found["mapped"].append(mapped)
            found["sheaf.plasma"].append(small(pythons["sheaf"], "sheaf.plasma"))
            found["pyarrow.plasma"].append(small(pythons["plasma"], "pyarrow.plasma"))
        loads.append(os.getloadavg()[0])
    workers = None
    if arguments.only in (None, "workers"):
        print(f"{WORKERS['count']} workers", file=sys.stderr)
        sizes = [str(value) for value in WORKERS.values()]
        workers = told([pythons["sheaf"], str(HERE / "workers.py"), *sizes])
        loads.append(os.getloadavg()[0])

    large = report.report(found.pop("large"), versions)
    whole = {"large": large, **found, "workers": workers, "loads": loads}
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(whole, indent=2, ensure_ascii=False))
    print(table(whole))


def environment() -> str:
    """A Python that has the package, built for release from this checkout."""
    folder = programs.WORKSPACE / "target" / "python" / "bench"
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if not python.exists():
        programs.output([programs.python_3_11(), "-m", "venv", str(folder)])
        # What Ray's environment has too.
        asked = (PEERS / "requirements-ray.txt").read_text().split()
        programs.output([*pip, *(line for line in asked if not line.startswith("ray"))])
    programs.output([*pip, "--force-reinstall", "--no-deps", "./python"])
    return str(python)


def rust_ratios() -> str:
    """The program that measures the Rust client."""
    if not shutil.which("cargo"):
        raise SystemExit("cargo is not on PATH, and the Rust client is measured too")
    build = ["cargo", "build", "--quiet", "--release", "--package=sheaf-bench", "--bin=ratios"]
    programs.output(build)
    metadata = programs.output(["cargo", "metadata", "--no-deps", "--format-version=1"])
    return str(Path(json.loads(metadata)["target_directory"], "release", "ratios"))


def rust_least(ratios: str) -> dict[str, float]:
    """What the Rust client takes, in µs: the least request, a get of a table mapped already."""
    lines = programs.output([ratios, "get"])
    rows = {"rust-least": "the store's least request", "rust-get": "get + batch, table mapped"}
    return {
        name: float(re.search(rf"{re.escape(row)}.*?([\d.]+) us", lines)[1])
        for name, row in rows.items()
    }


def small(python: str, what: str) -> dict[str, float]:
    return told([python, str(HERE / "small.py"), what])


def told(command: list[str]) -> dict:
    """The JSON object that a program prints."""
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode != 0:
        raise SystemExit(f"{made.stderr}\n{' '.join(command)} failed ({made.returncode})")
    return json.loads(made.stdout)


def table(whole: dict) -> str:
    large = whole["large"]
    head = f"{'':38}" + "".join(f"{peer:>8}" for peer in ORDER)
    head += f"{'x plasma':>11}{'reach':>7}{'x ray':>9}{'reach':>7}"
    lines = [head]
    for unit, title in (("memcpy", "time in memcpys of the same bytes"), ("µs", "time in µs")):
        rows = [large_line(row, unit) for row in large["rows"] if row["unit"] == unit]
        lines += ["", title, *rows] if rows else []
    if whole["mapped"]:
        lines += ["", "1 KiB, µs a call", *plasma_lines(whole)]
        lines += ["", "a table of 1 MiB that is mapped already, µs a call", *mapped_lines(whole)]
    if whole["workers"]:
        lines += ["", *worker_lines(whole["workers"])]
    speeds = [
        f"{size_name(size)} at {speed:.1f} GB/s"
        for size, speed in large["memcpy_gb_per_second"].items()
    ]
    versions = [f"{peer} {version}" for peer, version in large["versions"].items() if version]
    load = ", ".join(f"{load:.1f}" for load in whole["loads"])
    rounds = large["rounds"]
    lines += ["", f"median of {rounds} rounds; memcpy: {', '.join(speeds)}; {', '.join(versions)}"]
    lines += [f"load before, after each round, and at the end: {load}"]
    return "\n".join(lines)


def large_line(row: dict, unit: str) -> str:
    cells = [row["peers"][peer] for peer in ORDER]
    line = f"  {size_name(row['object_bytes']):>9}  {row['label']:25}"
    line += "".join(f"{report.cell_time(cell, unit):>8}" for cell in cells)
    reaches = REACH.get(row["workload"], (None, None))
    if row["workload"] in ("sum", "compute"):
        return line  # No store has a part in it.
    for cell, reach, width in zip(cells[1:], reaches, (11, 9), strict=True):
        line += f"{floored(cell['times_sheaf']):>{width}}" + reach_cell(reach)
    return line


def plasma_lines(whole: dict) -> list[str]:
    lines = [f"{'':38}{'sheaf':>8}{'plasma':>8}{'':8}{'x plasma':>11}{'reach':>7}"]
    for call in whole["sheaf.plasma"][0]:
        ours = [found[call] for found in whole["sheaf.plasma"]]
        theirs = [found[call] for found in whole["pyarrow.plasma"]]
        times = median(t / o for o, t in zip(ours, theirs, strict=True))
        line = f"  {call:36}{median(ours):8.1f}{median(theirs):8.1f}{'':8}"
        lines.append(line + f"{floored(times):>11}" + reach_cell(PLASMA_REACH.get(call)))
    return lines


def mapped_lines(whole: dict) -> list[str]:
    def over(name: str) -> float:
        return median(found[name] - found["rust-least"] for found in whole["mapped"])

    rows = {
        "rust-least": "Rust: the store's least request",
        "rust-get": "Rust: get and its batch",
        "least": "Python: info",
        "get": "Python: get",
        "get-arrow": "Python: get(…).to_arrow()",
    }
    lines = [f"{'':38}{'µs':>8}{'over the least':>16}{'reach':>7}"]
    for name, label in rows.items():
        line = f"  {label:36}{median(found[name] for found in whole['mapped']):8.1f}"
        line += f"{over(name):16.1f}"
        lines.append(line + (f"{MAPPED_REACH_US:7.0f}" if name == "get" else ""))
    return lines


def worker_lines(workers: dict) -> list[str]:
    most = workers["grown"][-1]
    share = 100 * most / workers["bytes"]
    return [
        f"{workers['workers']} workers that read one table of "
        f"{size_name(workers['bytes'])}: private memory grew by at most {most} bytes each, "
        f"{share:.3f} % of it (reach: {GROWN_REACH_PERCENT:.0f} %)"
    ]


def size_name(size: int) -> str:
    """128 MB, 1 GiB."""
    return f"{size // 10**6} MB" if size % 10**6 == 0 else report.size_name(size)


def floored(value: float) -> str:
    """Two digits, never rounded up: 1.499 is no 1.5."""
    return f"{int(value * 100) / 100:.2f}"


def reach_cell(reach: float | None) -> str:
    return f"{'' if reach is None else reach:>7}"


if __name__ == "__main__":
    main()
