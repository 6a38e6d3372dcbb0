"""From samples to ratios: what a round means, what the rounds together mean, and the table.

Ratios are formed inside a round, between figures taken within minutes of one another, and the
median is taken over the rounds' ratios. Absolute figures are reported only as JSON.
"""

from dataclasses import dataclass
from statistics import median

SHEAF = "sheaf"


@dataclass(frozen=True)
class Row:
    workload: str
    label: str
    in_memcpys: bool = True
    """Or in microseconds, where no bytes are moved or too few for a copy to matter."""


ROWS = [
    Row("put-fresh", "put, fresh memory"),
    Row("put-recycled", "put, recycled or prepared memory"),
    Row("churn", "put + delete, sustained"),
    Row("sum", "sum a column, private memory"),
    Row("get-first-sum", "get + sum a column, new process"),
    Row("get-again-sum", "get + sum a column, again"),
    Row("get-first", "get, new process", in_memcpys=False),
    Row("get-again", "get, again", in_memcpys=False),
    Row("put-small", "put", in_memcpys=False),
    Row("get-small", "get, each once", in_memcpys=False),
    Row("get-small-sum", "get + sum, each once", in_memcpys=False),
]


@dataclass
class Figure:
    """One peer's median of one workload in one round."""

    seconds: float
    bytes: int


Round = dict[tuple[str, str, int], Figure]
"""By peer, workload, and bytes of the object."""


def figures(results: dict[str, list[dict]]) -> Round:
    """What the peers printed in one round, keyed by peer."""
    return {
        (peer, result["workload"], result["object_bytes"]): Figure(
            median(result["seconds"]) / result["operations"], result["bytes"]
        )
        for peer, lines in results.items()
        for result in lines
    }


def report(rounds: list[Round], versions: dict[str, str]) -> dict:
    """Everything that was found, as it goes out as JSON."""
    peers = list(versions)
    keys = list(dict.fromkeys(key[1:] for of_round in rounds for key in of_round))
    return {
        "rounds": len(rounds),
        "versions": versions,
        "memcpy_gb_per_second": {
            size: size / 1e9 / median(yardstick(of_round, size) for of_round in rounds)
            for workload, size in keys
            if workload == "memcpy"
        },
        "rows": [
            row_report(row, size, rounds, peers)
            for row in ROWS
            for workload, size in keys
            if workload == row.workload
        ],
    }


def row_report(row: Row, size: int, rounds: list[Round], peers: list[str]) -> dict:
    """One row of the table: every peer's time, rates, and ratios to a memcpy and to Sheaf."""
    cells = {}
    for peer in peers:
        key, sheaf = (peer, row.workload, size), (SHEAF, row.workload, size)
        present = [of_round for of_round in rounds if key in of_round]
        if not present:
            continue
        seconds = median(of_round[key].seconds for of_round in present)
        moved = present[0][key].bytes
        cells[peer] = {"seconds": seconds, "per_second": 1 / seconds}
        if moved:
            cells[peer]["gb_per_second"] = moved / 1e9 / seconds
        if row.in_memcpys:
            cells[peer]["memcpys"] = median(
                of_round[key].seconds / (yardstick(of_round, size) * moved / size)
                for of_round in present
            )
        if both := [of_round for of_round in present if sheaf in of_round]:
            cells[peer]["times_sheaf"] = median(
                of_round[key].seconds / of_round[sheaf].seconds for of_round in both
            )
    return {
        "workload": row.workload,
        "label": row.label,
        "object_bytes": size,
        "unit": "memcpy" if row.in_memcpys else "µs",
        "peers": cells,
    }


def yardstick(of_round: Round, size: int) -> float:
    """Seconds of one memcpy of `size` bytes in this round, whichever peer's process made it."""
    return median(
        figure.seconds
        for (_, workload, object_bytes), figure in of_round.items()
        if (workload, object_bytes) == ("memcpy", size)
    )


def table(found: dict) -> str:
    """The one table: times in memcpys or µs, then how many times as long as Sheaf a peer takes."""
    peers = list(found["versions"])
    others = [peer for peer in peers if peer != SHEAF]
    head = f"{'':44}" + "".join(f"{peer:>10}" for peer in peers)
    head += "   " + "".join(f"{peer + '/sheaf':>14}" for peer in others)
    units = {
        "memcpy": "time in memcpys of the same bytes (1.00: as fast as memory can be copied)",
        "µs": "time in µs",
    }

    lines = [head]
    for unit, title in units.items():
        lines += ["", title]
        for row in found["rows"]:
            if row["unit"] != unit:
                continue
            cells = [row["peers"].get(peer, {}) for peer in peers]
            line = f"  {size_name(row['object_bytes']):>8}  {row['label']:32}"
            line += "".join(f"{cell_time(cell, unit):>10}" for cell in cells) + "   "
            ratios = [row["peers"].get(peer, {}).get("times_sheaf") for peer in others]
            line += "".join(f"{'-' if ratio is None else f'{ratio:.2f}':>14}" for ratio in ratios)
            lines.append(line)

    speeds = [
        f"{size_name(size)} at {speed:.1f} GB/s"
        for size, speed in found["memcpy_gb_per_second"].items()
    ]
    versions = [f"{peer} {version or '(absent)'}" for peer, version in found["versions"].items()]
    rounds = found["rounds"]
    lines += ["", f"median of {rounds} rounds; memcpy: {', '.join(speeds)}; {', '.join(versions)}"]
    return "\n".join(lines)


def cell_time(cell: dict, unit: str) -> str:
    if not cell:
        return "-"
    return f"{cell['memcpys']:.2f}" if unit == "memcpy" else f"{cell['seconds'] * 1e6:.1f}"


def size_name(size: int) -> str:
    """1 KiB, 64 MiB, 1 GiB."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"
