"""Plasma's put and get, on Sheaf: a numpy array that another process reads without a copy."""

import multiprocessing

import numpy as np

import sheaf.plasma as plasma  # was: import pyarrow.plasma as plasma


def total(socket: str, object_id: plasma.ObjectID) -> float:
    """Runs in a process of its own."""
    value = plasma.connect(socket).get(object_id)
    assert not value["weights"].flags.writeable  # The kernel would refuse, too.
    return float(value["weights"].sum())


def main() -> None:
    with plasma.start_plasma_store(plasma_store_memory=100_000_000) as (socket, _process):
        client = plasma.connect(socket)
        weights = np.arange(1_000_000, dtype="float64")

        object_id = client.put({"name": "weights", "weights": weights})
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            totals = pool.starmap(total, [(socket, object_id)] * 4)

        assert totals == [float(weights.sum())] * 4
        print(f"4 readers, each a total of {totals[0]:.0f}")


if __name__ == "__main__":
    main()
