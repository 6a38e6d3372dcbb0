"""Draws what run.py found: `python3 plot.py CASES.json SIZES.json FOLDER`.

`CASES.json` is of `run.py --json`, a bar for each case and system. `SIZES.json` is a list of such
files' contents for one case at several numbers of rows, a line for each system. SVG, by hand: two
plots are no reason for a library.
"""

import json
import math
import sys
from pathlib import Path
from statistics import median

COLOURS = {
    "sheaf": "#d97706",
    "polars": "#2563eb",
    "duckdb": "#059669",
    "duckdb-arrow": "#65a30d",
    "datafusion": "#7c3aed",
    "pandas": "#db2777",
    "pyarrow": "#64748b",
    "chdb": "#0891b2",
}
STYLE = "font-family='ui-sans-serif, system-ui, DejaVu Sans, sans-serif' font-size='13'"


def rate(found: dict, system: str) -> float | None:
    """Millions of rows a second."""
    told = found.get(system)
    return found["rows"] / median(told["seconds"]) / 1e6 if told else None


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' fill='#334155' {more}>{words}</text>"


def page(width: int, height: int, title: str, parts: list[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' {STYLE}>"
    back = f"<rect width='{width}' height='{height}' fill='#ffffff'/>"
    heading = text(20, 28, title, "font-size='16' font-weight='600'")
    return "\n".join([head, back, heading, *parts, "</svg>", ""])


def legend(systems: list[str], x: float, y: float) -> list[str]:
    parts = []
    for system in systems:
        parts.append(
            f"<rect x='{x}' y='{y - 10}' width='12' height='12' fill='{COLOURS[system]}'/>"
        )
        parts.append(text(x + 17, y, system))
        x += 34 + 8 * len(system)
    return parts


def bars(cases: dict) -> str:
    systems = [s for s in COLOURS if any(s in found for found in cases.values())]
    left, width, bar, top = 190, 900, 9, 64
    most = max(rate(found, s) or 0 for found in cases.values() for s in systems)
    scale = (width - left - 90) / math.log10(most / 0.5)
    parts, y = legend(systems, left, 50), top
    for name, found in cases.items():
        parts.append(text(20, y + bar * len(systems) / 2 + 4, name))
        for system in systems:
            if value := rate(found, system):
                length = max(1.0, math.log10(value / 0.5) * scale)
                shape = f"x='{left}' y='{y}' width='{length:.1f}' height='{bar - 1}'"
                parts.append(f"<rect {shape} fill='{COLOURS[system]}'/>")
                parts.append(text(left + length + 5, y + 8, f"{value:.1f}", "font-size='9'"))
            y += bar
        y += 12
    title = "Sorting: millions of rows a second, logarithmic"
    return page(width, y + 10, title, parts)


def lines(sizes: list[dict]) -> str:
    runs = [next(iter(run.values())) for run in sizes]
    systems = [s for s in COLOURS if any(s in found for found in runs)]
    left, right, top, bottom = 70, 820, 70, 430
    xs = [math.log10(found["rows"]) for found in runs]
    rates = [rate(found, s) for found in runs for s in systems]
    low, high = (math.log10(edge(r for r in rates if r)) for edge in (min, max))
    at_x = lambda x: left + (x - min(xs)) / (max(xs) - min(xs)) * (right - left)  # noqa: E731
    at_y = lambda r: bottom - (math.log10(r) - low) / (high - low) * (bottom - top)  # noqa: E731
    parts = legend(systems, left, 52)
    for value in (0.1, 0.3, 1, 3, 10, 30, 100):
        if not low <= math.log10(value) <= high:
            continue
        y = at_y(value)
        parts.append(f"<path d='M{left} {y:.1f}H{right}' stroke='#e2e8f0'/>")
        parts.append(text(left - 8, y + 4, str(value), "text-anchor='end'"))
    for x in xs:
        parts.append(text(at_x(x), bottom + 22, f"{10**x:,.0f}", "text-anchor='middle'"))
    for system in systems:
        points = [
            f"{at_x(x):.1f},{at_y(value):.1f}"
            for x, found in zip(xs, runs, strict=True)
            if (value := rate(found, system))
        ]
        stroke = f"stroke='{COLOURS[system]}' stroke-width='2.5' fill='none'"
        parts.append(f"<polyline points='{' '.join(points)}' {stroke}/>")
    title = "int64 + float64: millions of rows a second, by number of rows"
    return page(900, 470, title, parts)


def main() -> None:
    cases, sizes, folder = (Path(argument) for argument in sys.argv[1:])
    (folder / "sort-cases.svg").write_text(bars(json.loads(cases.read_text())))
    (folder / "sort-sizes.svg").write_text(lines(json.loads(sizes.read_text())))


if __name__ == "__main__":
    main()
