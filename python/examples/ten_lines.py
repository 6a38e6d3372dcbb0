"""The ten lines of README.md: `pip install ./python pyarrow numpy`, then run this."""

import numpy as np
import pyarrow as pa
import sheaf

with sheaf.serve(memory="256MiB") as store:  # or sheaf.connect(), to a running `sheaf serve`
    store.put("trades", pa.table({"price": [1.5, 2.5], "size": [10, 20]}))  # or polars, pandas, …
    with store.build("squares", {"n": "int64"}, rows=1_000_000) as table:
        table["n"][:] = np.arange(1_000_000) ** 2  # this array is the shared memory
    squares = store.get("squares").to_arrow()  # here or in any other process: mapped, not copied
    assert squares["n"][999].as_py() == 999**2
