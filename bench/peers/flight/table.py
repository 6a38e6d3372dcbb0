"""The table of every measurement: 16M rows of int64 and float64, 256 MB."""

import numpy as np
import pyarrow as pa

ROWS = 16 << 20
BATCH_ROWS = (65_536, 1_048_576)


def make(batch_rows: int, rows: int = ROWS) -> pa.Table:
    ids = np.arange(rows, dtype=np.int64)
    whole = pa.record_batch({"id": ids, "value": ids * 0.5})
    batches = [whole.slice(at, batch_rows) for at in range(0, rows, batch_rows)]
    return pa.Table.from_batches(batches)
