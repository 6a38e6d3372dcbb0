"""Asks a Sheaf store in SQL by ADBC: what works here works for pandas, polars and every tool with ADBC.

    pip install adbc-driver-flightsql adbc-driver-manager pyarrow pandas
    sheaf serve &
    python examples/sql_client.py
"""

from __future__ import annotations

import sys

import adbc_driver_flightsql.dbapi as flightsql
import pandas as pd
import pyarrow as pa

URL = sys.argv[1] if len(sys.argv) > 1 else "grpc://127.0.0.1:8815"

delays = pa.table({"carrier": ["AA", "LH", "AA"], "delay": [5, 20, 15]})

with flightsql.connect(URL, autocommit=True) as connection, connection.cursor() as cursor:
    cursor.adbc_ingest("delays", delays, mode="replace")
    cursor.execute("select carrier from delays where delay > ? order by 1", (10,))
    assert cursor.fetchall() == [("AA",), ("LH",)]
    mean = pd.read_sql("select carrier, avg(delay) as mean from delays group by 1", connection)
    assert mean.set_index("carrier")["mean"].to_dict() == {"AA": 10.0, "LH": 20.0}
    cursor.execute("drop table delays")

print("SQL by ADBC: what was asked was answered")
