"""Plasma's create and seal, on Sheaf: of the old script, one import line has changed.

One client creates an object, writes a record batch into its memory and seals it; another gets it
and reads the batch where it lies.
"""

import pyarrow as pa

import sheaf.plasma as plasma  # was: import pyarrow.plasma as plasma


def main() -> None:
    with plasma.start_plasma_store(plasma_store_memory=100_000_000) as (socket, _process):
        writer = plasma.connect(socket)
        reader = plasma.connect(socket)

        # A record batch, and how large it is as a stream.
        batch = pa.RecordBatch.from_pydict({"n": list(range(1000)), "name": ["sheaf"] * 1000})
        measure = pa.MockOutputStream()
        with pa.RecordBatchStreamWriter(measure, batch.schema) as stream:
            stream.write_batch(batch)

        # Create: memory in the store, which is ours to write.
        object_id = plasma.ObjectID(20 * b"a")
        buffer = writer.create(object_id, measure.size())
        with pa.RecordBatchStreamWriter(pa.FixedSizeBufferWriter(buffer), batch.schema) as stream:
            stream.write_batch(batch)

        # Seal: everybody may read it, nobody may write.
        writer.seal(object_id)

        # Get, in the other client: no copy.
        [data] = reader.get_buffers([object_id])
        read = pa.ipc.open_stream(pa.BufferReader(data)).read_next_batch()

        column = read.column(0).buffers()[1]
        assert read.equals(batch)
        assert data.address <= column.address < data.address + data.size
        print(f"{read.num_rows} rows read in place from {object_id}")


if __name__ == "__main__":
    main()
