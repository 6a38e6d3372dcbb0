"""Room: what is full, what is dropped for room, and what is not."""

import signal

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("pyarrow")

MIB = 1 << 20


@pytest.fixture
def capacity():
    return 100 * MIB


def put(client, new_id, size):
    object_id = new_id()
    client.create_and_seal(object_id, bytes(size))
    return object_id


def test_capacity_is_what_was_asked_for(plasma):
    for capacity in [10_000, 10**7, 10**8]:
        with plasma.start_plasma_store(plasma_store_memory=capacity) as (name, _):
            assert plasma.connect(name).store_capacity() == capacity


def test_an_object_as_large_as_the_store_fits_and_no_larger(plasma):
    capacity = 10**7
    with plasma.start_plasma_store(capacity) as (name, _):
        client = plasma.connect(name)
        for _ in range(3):
            object_id = plasma.ObjectID.from_random()
            client.create(object_id, capacity)
            client.seal(object_id)
        with pytest.raises(plasma.PlasmaStoreFull):
            client.create(plasma.ObjectID.from_random(), capacity + 9000)


def test_errors_are_pyarrows(plasma, client, new_id):
    import pyarrow

    with pytest.raises(plasma.PlasmaStoreFull) as raised:
        client.create(new_id(), 200 * MIB)

    assert isinstance(raised.value, pyarrow.ArrowException)


def test_errors_are_also_what_an_older_pyarrow_raises(plasma, client, new_id):
    old = pytest.importorskip("pyarrow.plasma")

    with pytest.raises(old.PlasmaStoreFull):
        client.create(new_id(), 200 * MIB)
    client.create(object_id := new_id(), 1)
    with pytest.raises(old.PlasmaObjectExists):
        client.create(object_id, 1)
    with pytest.raises(old.PlasmaObjectNotFound):
        client.hash(new_id())


@pytest.mark.differs
def test_errors_are_also_the_stores(client, new_id):
    import sheaf

    with pytest.raises(sheaf.Full):
        client.create(new_id(), 200 * MIB)
    with pytest.raises(KeyError, match="there is no sealed object"):
        client.hash(new_id())
    with pytest.raises(sheaf.NotFound):
        client.seal(new_id())


def test_a_full_store_drops_the_least_recently_used(client, new_id):
    ids = [put(client, new_id, 10 * MIB) for _ in range(9)]
    client.get_buffers([ids[0]])

    put(client, new_id, 15 * MIB)

    assert not client.contains(ids[1])
    assert client.contains(ids[0]) and client.contains(ids[-1])


def test_a_fifth_of_the_store_goes_at_a_time(client, new_id):
    ids = [put(client, new_id, 9 * MIB) for _ in range(10)]

    put(client, new_id, 11 * MIB)

    gone = [not client.contains(object_id) for object_id in ids]
    assert gone == [True] * 3 + [False] * 7


def test_all_of_the_store_can_be_had_as_soon_as_nobody_uses_it(plasma, new_id, capacity):
    for first in range(1, 6):
        with plasma.start_plasma_store(capacity) as (name, _):
            client = plasma.connect(name)

            for size in range(first, capacity // 20, 50_000):
                object_id = new_id()
                np.frombuffer(client.create(object_id, size), np.uint8)[:] = 1
                client.seal(object_id)

            for object_id in (new_id(), new_id()):
                client.create(object_id, capacity)
                client.seal(object_id)


def test_what_is_used_stays(plasma, client, other, new_id):
    written = new_id()
    buffer = client.create(written, 40 * MIB)
    client.seal(written)
    got = put(client, new_id, 40 * MIB)
    [held] = other.get_buffers([got])

    with pytest.raises(plasma.PlasmaStoreFull):
        client.create(new_id(), 30 * MIB)
    assert client.contains(written) and client.contains(got)
    assert client.evict(100 * MIB) == 0

    del buffer, held
    put(client, new_id, 30 * MIB)
    assert not client.contains(written)


def test_what_is_unsealed_stays(plasma, client, new_id):
    object_id = new_id()
    client.create(object_id, 60 * MIB)

    with pytest.raises(plasma.PlasmaStoreFull):
        client.create(new_id(), 60 * MIB)

    client.seal(object_id)
    put(client, new_id, 60 * MIB)
    assert not client.contains(object_id)


def test_evict_tells_how_many_bytes_went(client, new_id):
    for size in [1000, 999, 998]:
        put(client, new_id, size)
    client.create_and_seal(new_id(), bytes(300), bytes(77))

    assert client.evict(0) == 0
    assert client.evict(1) == 1000
    assert client.evict(1000) == 999 + 998
    assert client.evict(10**9) == 377
    assert client.evict(10**9) == 0


def test_evict_passes_over_empty_objects(client, new_id):
    ids = [put(client, new_id, 0) for _ in range(5)] + [put(client, new_id, 10)]

    assert client.evict(1) == 10
    assert not any(client.contains(object_id) for object_id in ids)


def test_a_client_with_a_limit_drops_its_own(plasma, client, other, new_id):
    others = put(other, new_id, 5 * MIB)
    client.set_client_options("limited", 10 * MIB)

    ids = [put(client, new_id, 3 * MIB) for _ in range(5)]

    assert other.contains(others) and client.contains(ids[-1])
    assert not client.contains(ids[0])
    assert sum(client.contains(object_id) for object_id in ids) <= 3
    with pytest.raises(plasma.PlasmaStoreFull):
        client.create(new_id(), 20 * MIB)
    put(other, new_id, 20 * MIB)


def test_a_limit_is_at_most_what_the_store_has(plasma, client):
    with pytest.raises(plasma.PlasmaStoreFull):
        client.set_client_options("greedy", 10**10)


def test_a_dead_client_leaves_its_sealed_objects_alone(plasma, socket, client, new_id):
    writer = plasma.connect(socket)
    sealed, unsealed = put(writer, new_id, 1000), new_id()
    buffer = writer.create(unsealed, 1000)

    writer.disconnect()
    del buffer

    assert client.contains(sealed)
    for _ in range(1000):
        if unsealed not in client.list():
            break
    assert unsealed not in client.list()
    client.create_and_seal(unsealed, b"again")


def test_a_store_ends_well_by_sigterm(plasma):
    with plasma.start_plasma_store(10 * MIB) as (name, process):
        plasma.connect(name)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_a_store_refuses_two_tools_at_once(plasma):
    with pytest.raises(Exception, match="same time"):
        with plasma.start_plasma_store(10 * MIB, use_valgrind=True, use_profiler=True):
            pass


@pytest.mark.differs
def test_a_store_has_no_external_store(plasma):
    with pytest.raises(NotImplementedError):
        with plasma.start_plasma_store(10 * MIB, external_store="hashtable://test"):
            pass
