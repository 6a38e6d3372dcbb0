"""An object's life: created, sealed, got, deleted."""

import threading
import time

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")


def test_what_one_client_seals_another_gets(client, other, new_id):
    object_id = new_id()
    buffer = client.create(object_id, 1000, b"meta")
    np.frombuffer(buffer, "u1")[:] = 7
    client.seal(object_id)

    [(metadata, data)] = other.get_buffers([object_id], with_meta=True)

    assert isinstance(data, pa.Buffer) and not data.is_mutable
    assert metadata == b"meta"
    assert data.to_pybytes() == b"\x07" * 1000
    assert other.get_metadata([object_id])[0].to_pybytes() == b"meta"


def test_a_created_buffer_is_a_plasma_buffer(plasma, client, new_id):
    object_id = new_id()
    buffer = client.create(object_id, 10)

    assert isinstance(buffer, plasma.PlasmaBuffer)
    assert isinstance(buffer, pa.Buffer)
    assert buffer.is_mutable and buffer.size == len(buffer) == 10
    with pytest.raises(IndexError):
        buffer[10]
    client.seal(object_id)
    [got] = client.get_buffers([object_id])
    assert not isinstance(got, plasma.PlasmaBuffer)


@pytest.mark.differs
def test_a_plasma_buffer_comes_from_create_alone(plasma):
    """In Plasma, too, but its own attempt to say so failed."""
    with pytest.raises(TypeError):
        plasma.PlasmaBuffer()


@pytest.mark.parametrize("size", [1000, 3 << 20])
def test_a_writer_may_keep_its_view_after_seal(client, other, new_id, size):
    object_id = new_id()
    view = memoryview(client.create(object_id, size)).cast("B")
    view[:] = b"w" * size

    client.seal(object_id)

    assert view[0] == view[-1] == ord("w")
    assert other.get_buffers([object_id])[0].to_pybytes() == b"w" * size


@pytest.mark.differs
@pytest.mark.parametrize("size", [1000, 3 << 20])
def test_what_is_written_after_seal_reaches_nobody(client, other, new_id, size):
    """In Plasma it changed the object for everybody."""
    object_id = new_id()
    view = memoryview(client.create(object_id, size)).cast("B")
    client.seal(object_id)

    view[:] = b"x" * size

    assert bytes(memoryview(other.get_buffers([object_id])[0])) == bytes(size)


@pytest.mark.parametrize("data", [0, 1, 5000, 2 << 20])
@pytest.mark.parametrize("metadata", [0, 1, 1024, 1025, 100_000])
def test_data_and_metadata_of_any_size(client, other, new_id, data, metadata):
    data, metadata = b"d" * data, b"m" * metadata
    written, sealed = new_id(), new_id()
    memoryview(client.create(written, len(data), metadata)).cast("B")[:] = data
    client.seal(written)
    client.create_and_seal(sealed, data, metadata)

    for object_id in [written, sealed]:
        [(got_metadata, got_data)] = other.get_buffers([object_id], with_meta=True)
        assert (got_metadata, got_data.to_pybytes()) == (metadata, data)
        [got_metadata] = other.get_metadata([object_id])
        assert got_metadata.to_pybytes() == metadata
        entry = other.list()[object_id]
        assert (entry["data_size"], entry["metadata_size"]) == (len(data), len(metadata))


def test_metadata_is_bytes(client, new_id):
    client.create_and_seal(new_id(), bytearray(b"data"), bytearray(b"meta"))
    with pytest.raises(TypeError):
        client.create(new_id(), 1, "text")
    with pytest.raises(TypeError):
        client.create_and_seal(new_id(), b"", "text")


def test_arguments_have_plasmas_names(client, new_id):
    object_id = new_id()
    client.create(object_id=object_id, data_size=1, metadata=b"")
    client.seal(object_id)
    client.get_buffers(object_ids=[object_id], timeout_ms=0, with_meta=True)
    client.get_metadata(object_ids=[object_id], timeout_ms=0)
    client.get(object_ids=[], timeout_ms=0, serialization_context=None)
    client.put(value=1, object_id=None, memcopy_threads=2, serialization_context=None)
    client.put_raw_buffer(value=b"", object_id=None, metadata=b"", memcopy_threads=2)
    client.create_and_seal(object_id=new_id(), data=b"", metadata=b"")
    client.contains(object_id)
    client.hash(object_id)
    client.evict(0)
    client.delete([object_id])


def test_sizes_may_be_whole_numbers_of_any_kind(client, new_id):
    sizes = [client.create(new_id(), size).size for size in (1e3, np.int32(1000), True)]

    assert sizes == [1000, 1000, 1]
    assert client.evict(1e3) == 0
    with pytest.raises(TypeError):
        client.create(new_id(), "1000")


def test_an_id_must_be_an_id(client):
    for call in [client.contains, client.seal, client.hash, lambda wrong: client.create(wrong, 1)]:
        with pytest.raises(TypeError):
            call("text")
    with pytest.raises(TypeError):
        client.get_buffers([b"x" * 20], timeout_ms=0)
    with pytest.raises(TypeError):
        client.delete([b"x" * 20])


def test_an_id_is_taken_once(plasma, client, other, new_id):
    being_written, sealed = new_id(), new_id()
    client.create(being_written, 10)
    client.create_and_seal(sealed, b"first")

    for object_id in [being_written, sealed]:
        for attempt in [
            lambda id_: other.create(id_, 10),
            lambda id_: other.create_and_seal(id_, b"second"),
            lambda id_: client.put(1, id_),
            lambda id_: client.put_raw_buffer(b"second", id_),
        ]:
            with pytest.raises(plasma.PlasmaObjectExists) as raised:
                attempt(object_id)
            assert isinstance(raised.value, pa.lib.ArrowException)
    assert other.get_buffers([sealed])[0].to_pybytes() == b"first"


def test_only_its_writer_seals_an_object_and_once(plasma, client, other, new_id):
    object_id = new_id()
    buffer = client.create(object_id, 10)

    with pytest.raises(plasma.PlasmaObjectNotFound):
        other.seal(object_id)
    with pytest.raises(plasma.PlasmaObjectNotFound):
        client.seal(new_id())
    client.seal(object_id)
    with pytest.raises(pa.lib.ArrowTypeError):
        client.seal(object_id)
    del buffer


def test_contains_is_true_for_what_is_sealed(client, other, new_id):
    object_id = new_id()
    assert client.contains(object_id) is False
    client.create(object_id, 10)
    assert other.contains(object_id) is False
    client.seal(object_id)
    assert other.contains(object_id) is True


@pytest.mark.differs
def test_contains_is_false_for_ones_own_unsealed_object(client, new_id):
    """Plasma's documentation says so, too; its client said True."""
    object_id = new_id()
    client.create(object_id, 10)

    assert client.contains(object_id) is False


def test_a_get_of_what_is_not_there_ends_in_time(client, new_id):
    missing = [new_id() for _ in range(3)]

    assert client.get_buffers(missing, timeout_ms=0) == [None] * 3
    start = time.monotonic()
    assert client.get_buffers(missing, timeout_ms=50) == [None] * 3
    assert time.monotonic() - start >= 0.05
    assert client.get_buffers(missing, timeout_ms=0, with_meta=True) == [(None, None)] * 3
    assert client.get_metadata(missing, timeout_ms=0) == [None] * 3
    assert client.get_buffers([]) == []


def test_a_get_waits_for_the_unsealed_and_the_missing(client, other, new_id):
    unsealed, missing, there = new_id(), new_id(), new_id()
    client.create_and_seal(there, b"there")
    client.create(unsealed, 8)
    assert other.get_buffers([unsealed], timeout_ms=0) == [None]

    def finish():
        time.sleep(0.05)
        client.seal(unsealed)
        client.create_and_seal(missing, b"came")

    thread = threading.Thread(target=finish)
    thread.start()
    got = other.get_buffers([unsealed, missing, there], timeout_ms=30_000)
    thread.join()

    assert [buffer.to_pybytes() for buffer in got] == [bytes(8), b"came", b"there"]


def test_a_get_has_some_and_not_others(client, new_id):
    there, missing = new_id(), new_id()
    client.create_and_seal(there, b"there")

    got = client.get_buffers([missing, there], timeout_ms=20)

    assert got[0] is None and got[1].to_pybytes() == b"there"


@pytest.mark.differs
def test_a_get_may_name_an_object_twice(client, new_id):
    """Plasma waited for ever, or to the end of the timeout."""
    object_id = new_id()
    client.create_and_seal(object_id, b"twice")

    got = client.get_buffers([object_id, object_id])

    assert [buffer.to_pybytes() for buffer in got] == [b"twice"] * 2


@pytest.mark.parametrize("size", [100, 2 << 20])
def test_a_buffer_outlives_its_object_and_its_client(plasma, socket, new_id, size):
    object_id = new_id()
    client = plasma.connect(socket)
    client.create_and_seal(object_id, b"k" * size)
    [buffer] = client.get_buffers([object_id])

    client.delete([object_id])
    del client

    assert buffer.to_pybytes() == b"k" * size


def test_deleting_is_for_what_is_there_and_what_is_not(client, new_id):
    there = new_id()
    client.create_and_seal(there, b"x")

    client.delete([there, new_id()])

    assert not client.contains(there)
    client.create_and_seal(there, b"again")
    assert client.get_buffers([there])[0].to_pybytes() == b"again"


def test_deleting_what_is_unsealed_waits_for_its_seal(client, other, new_id):
    object_id = new_id()
    buffer = client.create(object_id, 10)
    other.delete([object_id])
    client.delete([object_id])
    assert object_id in client.list()

    client.seal(object_id)
    del buffer

    assert not client.contains(object_id)


@pytest.mark.differs
def test_the_id_of_a_deleted_object_is_free_while_it_is_used(client, other, new_id):
    """Plasma kept an object that is used until it is used no more."""
    object_id = new_id()
    client.create_and_seal(object_id, b"old" * 10_000)
    [old] = client.get_buffers([object_id])

    other.delete([object_id])
    assert not client.contains(object_id)
    other.create_and_seal(object_id, b"new")

    assert old.to_pybytes() == b"old" * 10_000
    assert client.get_buffers([object_id])[0].to_pybytes() == b"new"


def test_equal_content_has_an_equal_hash(plasma, client, new_id):
    contents = [(b"a", b""), (b"b", b""), (b"a", b"m"), (b"", b"a"), (bytes(5000), b"")]
    hashes = []
    for data, metadata in contents:
        twins = [new_id(), new_id()]
        for object_id in twins:
            client.create_and_seal(object_id, data, metadata)
        one, two = (client.hash(object_id) for object_id in twins)
        assert one == two and isinstance(one, bytes) and len(one) == 8
        hashes.append(one)
    # Plasma joined data and metadata, so that two of these were one.
    assert len(set(hashes)) >= len(contents) - 1

    unsealed = new_id()
    client.create(unsealed, 1)
    for object_id in [new_id(), unsealed]:
        with pytest.raises(plasma.PlasmaObjectNotFound):
            client.hash(object_id)


def test_list_tells_all_of_an_object(client, other, new_id):
    start = int(time.time())
    unsealed, sealed = new_id(), new_id()
    kept = client.create(unsealed, 11, b"meta")
    client.create_and_seal(sealed, b"d" * 8000)

    listed = other.list()
    assert listed[unsealed]["ref_count"] == 1
    [held] = other.get_buffers([sealed])
    assert other.list()[sealed]["ref_count"] == 1
    del held, kept

    assert set(listed) == {unsealed, sealed}
    entry = listed[unsealed]
    assert set(entry) == {
        "data_size",
        "metadata_size",
        "ref_count",
        "create_time",
        "construct_duration",
        "state",
    }
    assert (entry["data_size"], entry["metadata_size"]) == (11, 4)
    assert (entry["state"], entry["construct_duration"]) == ("created", -1)
    assert start <= entry["create_time"] <= time.time()
    assert isinstance(entry["create_time"], int)
    entry = listed[sealed]
    assert (entry["state"], entry["construct_duration"]) == ("sealed", 0)
