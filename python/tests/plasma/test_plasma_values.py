"""Python values, put and got, and Arrow data in buffers."""

import pickle

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

CONTEXTS = hasattr(pa.lib, "SerializationContext")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Point:
    """A class of the script's own."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x


VALUES = [None, 1, 2.5, "text", b"bytes", ["a", 1, None], {"k": (1, 2)}, {1, 2}, "x" * 200_000]


def test_values_come_back_equal(client, other):
    for value in VALUES:
        object_id = client.put(value)

        assert other.get(object_id) == value
        assert other.get([object_id]) == [value]


def test_put_takes_an_id(client, new_id):
    object_id = new_id()

    assert client.put("value", object_id) == object_id
    assert client.get(object_id) == "value"


def test_what_is_not_there_is_not_available(plasma, client, new_id):
    assert client.get(new_id(), timeout_ms=0) is plasma.ObjectNotAvailable
    there = client.put(1)
    assert client.get([new_id(), there], timeout_ms=10) == [plasma.ObjectNotAvailable, 1]


@pytest.mark.parametrize("shape", [(3,), (0,), (1000, 300)])
def test_arrays_come_back_read_only(client, other, shape):
    array = np.arange(np.prod(shape), dtype="f8").reshape(shape)

    got = other.get(client.put({"array": array, "n": 1}))

    np.testing.assert_array_equal(got["array"], array)
    assert not got["array"].flags.writeable
    assert got["n"] == 1


def test_large_arrays_are_not_copied(plasma, client, other):
    object_id = client.put([np.ones(100_000), np.zeros(100_000)])
    [data] = other.get_buffers([object_id])

    one, zero = other.get(object_id)

    starts = [array.__array_interface__["data"][0] for array in (one, zero)]
    if plasma.__name__ == "sheaf.plasma":  # Plasma maps an object for each client.
        assert all(data.address <= start < data.address + data.size for start in starts)
    assert all(start % 64 == 0 for start in starts)


def test_an_array_outlives_its_buffer_its_client_and_its_object(plasma, socket):
    client = plasma.connect(socket)
    object_id = client.put(np.arange(100_000))
    array = client.get(object_id)

    client.delete([object_id])
    del client

    assert array.sum() == sum(range(100_000))


def test_raw_buffers_come_back_as_they_were(client, other):
    for value in [b"raw", bytearray(b"raw"), memoryview(b"raw"), pa.py_buffer(b"raw")]:
        object_id = client.put_raw_buffer(value, metadata=b"RAW")

        [(metadata, data)] = other.get_buffers([object_id], with_meta=True)

        assert (metadata, data.to_pybytes()) == (b"RAW", b"raw")


@pytest.mark.differs
def test_a_raw_buffer_is_as_long_as_its_bytes(client):
    """Plasma took the length for bytes and failed."""
    array = np.arange(10)

    [data] = client.get_buffers([client.put_raw_buffer(array)])

    assert data.to_pybytes() == array.tobytes()


@pytest.mark.differs
def test_classes_need_no_serialization_context(client, other):
    point = Point(np.arange(5.0))

    got = other.get(client.put(point))

    np.testing.assert_array_equal(got.x, point.x)


@pytest.mark.differs
def test_pickled_values_are_told_apart_by_themselves(client, other, monkeypatch):
    plain = client.put([1, np.ones(10)])
    monkeypatch.setenv("SHEAF_PLASMA_FORMAT", "pickle")
    pickled = client.put([2, np.ones(10)])

    one, two = other.get([plain, pickled])

    assert (one[0], two[0]) == (1, 2)
    [data] = other.get_buffers([pickled])
    assert data.to_pybytes().startswith(b"\xc1sheafv1")


@pytest.mark.differs
def test_what_is_no_value_is_refused(client, new_id):
    """Plasma crashed."""
    for data in [b"", b"raw", b"\xff" * 100, bytes(100), b"\0" * 16 + b"\xff" * 4]:
        object_id = new_id()
        client.create_and_seal(object_id, data)
        with pytest.raises((ValueError, pickle.UnpicklingError)):
            client.get(object_id)


@pytest.mark.differs
def test_what_cannot_be_pickled_leaves_nothing_behind(client, new_id):
    object_id = new_id()

    with pytest.raises((TypeError, AttributeError, pickle.PicklingError, pa.ArrowException)):
        client.put(lambda: None, object_id)

    assert client.list() == {}


@pytest.mark.skipif(not CONTEXTS, reason="pyarrow has none any more")
def test_a_serialization_context_is_used(client):
    class Local:
        def __init__(self, value):
            self.value = value

    with pytest.raises(pa.lib.ArrowSerializationError):
        client.put(Local(1))
    context = pa.lib.SerializationContext()
    context.register_type(Local, "Local")

    object_id = client.put(Local(42), serialization_context=context)

    assert client.get(object_id, serialization_context=context).value == 42
    with pytest.raises(pa.lib.ArrowSerializationError):
        client.get(object_id)


@pytest.mark.differs
@pytest.mark.skipif(CONTEXTS, reason="pyarrow has them")
def test_a_serialization_context_is_refused_where_there_is_none(client):
    with pytest.raises(TypeError):
        client.put(1, serialization_context=object())


@pytest.mark.skipif(not hasattr(pa.lib, "_deserialize"), reason="pyarrow has none any more")
def test_pyarrow_reads_what_put_wrote(client):
    [data] = client.get_buffers([client.put([1, "two"])])

    assert pa.lib.deserialize(data) == [1, "two"]


def test_a_record_batch_goes_through_a_buffer(client, other, new_id):
    batch = pa.RecordBatch.from_arrays([pa.array(range(1000)), pa.array(["x"] * 1000)], ["n", "s"])
    sink = pa.MockOutputStream()
    with pa.RecordBatchStreamWriter(sink, batch.schema) as writer:
        writer.write_batch(batch)
    object_id = new_id()

    stream = pa.FixedSizeBufferWriter(client.create(object_id, sink.size()))
    with pa.RecordBatchStreamWriter(stream, batch.schema) as writer:
        writer.write_batch(batch)
    client.seal(object_id)

    [data] = other.get_buffers([object_id])
    start, end = data.address, data.address + data.size
    for read in [
        pa.ipc.open_stream(data).read_next_batch(),
        pa.RecordBatchStreamReader(pa.BufferReader(data)).read_next_batch(),
        pa.ipc.open_stream(pa.py_buffer(memoryview(data))).read_next_batch(),
    ]:
        assert read.equals(batch)
        assert start <= read.column(0).buffers()[1].address < end
    del data
    assert read.equals(batch)


def test_a_tensor_goes_through_a_buffer(client, other, new_id):
    tensor = pa.Tensor.from_numpy(np.random.randn(10, 4))
    object_id = new_id()
    buffer = client.create(object_id, pa.ipc.get_tensor_size(tensor))
    pa.ipc.write_tensor(tensor, pa.FixedSizeBufferWriter(buffer))
    client.seal(object_id)

    [data] = other.get_buffers([object_id])

    assert pa.ipc.read_tensor(pa.BufferReader(data)).equals(tensor)
