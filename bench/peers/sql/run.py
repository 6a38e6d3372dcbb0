"""SQL over stored tables beside DuckDB, on its own table and on the same Arrow data, in turns.

    cargo build --release -p sheaf -p sheaf-bench
    python3.11 -m venv /tmp/peers && /tmp/peers/bin/pip install ./python -r bench/peers/requirements-sql.txt
    /tmp/peers/bin/python bench/peers/sql/run.py [--set tpch|hits] [--scale 1] [--rounds 5]
    /tmp/peers/bin/python bench/peers/sql/run.py --results
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

import sheaf

ROOT = Path(__file__).resolve().parents[3]
RELEASE = ROOT / "target" / "release"
FLIGHT = "127.0.0.1:8893"


@contextmanager
def served(memory: str) -> Iterator[sheaf.Store]:
    """A store in a process of its own, of this build."""
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/store.sock"
        command = [str(RELEASE / "sheaf"), "serve", "--socket", socket, "--memory", memory]
        process = subprocess.Popen([*command, "--flight", FLIGHT], stderr=subprocess.DEVNULL)
        try:
            yield sheaf.connect(f"unix:{socket}", timeout=10)
        finally:
            process.terminate()
            process.wait()


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def in_turns(acts: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each; each begins as often as the others."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    names = list(acts)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            took = timed(acts[name])
            if turn > 0:
                times[name].append(took)
    return {name: statistics.median(taken) for name, taken in times.items()}


def queries(name: str) -> list[tuple[str, str]]:
    told = subprocess.run([RELEASE / "sql", "queries", name], capture_output=True, check=True)
    return [tuple(query) for query in json.loads(told.stdout)]


def compare(name: str, scale: float, rounds: int) -> None:
    with served("12GiB") as store:
        load = [RELEASE / "sql", "load", name, "--store", store.url, "--scale", str(scale)]
        subprocess.run(load, check=True)
        native, arrow = duckdb.connect(), duckdb.connect()
        for info in store.list():
            table = store.get(info.name).to_arrow()
            native.register("source", table)
            native.execute(f"create table {info.name} as select * from source")
            native.unregister("source")
            arrow.register(info.name, table)
        time.sleep(5)  # Statistics of large tables come a moment after their seal.
        print("| query | sheaf ms | DuckDB, own table | DuckDB, same Arrow data |\n|---|---|---|---|")
        total = {"sheaf": 0.0, "native": 0.0, "arrow": 0.0}
        for query, text in queries(name):
            took = in_turns(
                {
                    "sheaf": lambda text=text: store.sql(text).to_arrow(),
                    "native": lambda text=text: native.sql(text).to_arrow_table(),
                    "arrow": lambda text=text: arrow.sql(text).to_arrow_table(),
                },
                rounds,
            )
            total = {key: total[key] + took[key] for key in total}
            print_row(query, took)
        print_row("all", total)


def print_row(name: str, took: dict[str, float]) -> None:
    def beside(other: str) -> str:
        return f"{took[other] * 1e3:.1f} ({took[other] / took['sheaf']:.2f})"

    print(f"| {name} | {took['sheaf'] * 1e3:.1f} | {beside('native')} | {beside('arrow')} |", flush=True)


def results(rounds: int) -> None:
    """A result of 1 GB: by the near door, by Flight, and by DuckDB's export to Arrow."""
    rows = 62_500_000
    with served("8GiB") as store:
        store.sql(f"create table t as select value as n, value * 0.5 as f from generate_series(1, {rows})")
        text = "select n + 1 as n, f from t"
        far = sheaf.connect(f"grpc://{FLIGHT}", near=False)
        judge = duckdb.connect()
        judge.execute(f"create table t as select range as n, range * 0.5::double as f from range({rows})")
        took = in_turns(
            {
                "store.sql, near": lambda: store.sql(text).to_arrow(),
                "store.sql, by Flight": lambda: far.sql(text).to_arrow(),
                "DuckDB to Arrow": lambda: judge.sql(text).to_arrow_table(),
                "select *, near": lambda: store.sql("select * from t").to_arrow(),
            },
            rounds,
        )
        near = took["store.sql, near"]
        print("| result of 1 GB | s | beside the near door |\n|---|---|---|")
        for name, seconds in took.items():
            print(f"| {name} | {seconds:.4f} | {seconds / near:.2f} |")
        first = [RELEASE / "sql", "first-row", "--store", store.url, "t"]
        print("first ten rows of it:", subprocess.run(first, capture_output=True, text=True).stdout)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--set", choices=["tpch", "hits"], default="tpch")
    arguments.add_argument("--scale", type=float, default=1)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--results", action="store_true", help="what a result of 1 GB takes")
    asked = arguments.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, duckdb {duckdb.__version__}\n")
    if asked.results:
        results(asked.rounds)
    else:
        compare(asked.set, asked.scale, asked.rounds)


if __name__ == "__main__":
    main()
