"""Notifications: what is sealed, and what goes."""

import struct

import pytest

pytest.importorskip("pyarrow")


def test_what_is_there_is_told_first(client, other, new_id):
    there = [new_id() for _ in range(3)]
    for object_id in there:
        client.create_and_seal(object_id, b"data", b"me")

    other.subscribe()
    # Before there is more: Plasma subscribes in its own time, and tells what is there by then.
    told = [other.get_next_notification() for _ in there]
    later = new_id()
    client.create_and_seal(later, b"later")

    assert sorted(told, key=repr) == sorted([(i, 4, 2) for i in there], key=repr)
    assert other.get_next_notification() == (later, 5, 0)


def test_what_is_sealed_is_told_in_order(client, other, new_id):
    other.subscribe()
    ids = [new_id() for _ in range(300)]
    for number, object_id in enumerate(ids):
        client.create(object_id, number, bytes(number % 7))
        client.seal(object_id)

    told = [other.get_next_notification() for _ in ids]

    assert told == [(id_, number, number % 7) for number, id_ in enumerate(ids)]


def test_what_goes_is_told_with_minus_one(client, other, new_id):
    other.subscribe()
    deleted, evicted = new_id(), new_id()
    client.create_and_seal(deleted, b"x")
    client.delete([deleted])
    client.create_and_seal(evicted, b"y")
    client.evict(1)

    told = [other.get_next_notification() for _ in range(4)]

    assert told == [(deleted, 1, 0), (deleted, -1, -1), (evicted, 1, 0), (evicted, -1, -1)]


def test_drafts_are_not_told(plasma, socket, other, new_id):
    other.subscribe()
    writer = plasma.connect(socket)
    buffer = writer.create(new_id(), 10)
    writer.disconnect()
    del buffer
    object_id = new_id()
    other.create_and_seal(object_id, b"z")

    assert other.get_next_notification() == (object_id, 1, 0)


def test_metadata_behind_the_data_counts_as_metadata(client, other, new_id):
    other.subscribe()
    object_id = new_id()
    client.create_and_seal(object_id, b"abc", bytes(100_000))

    assert other.get_next_notification() == (object_id, 3, 100_000)


def test_the_socket_has_the_same(client, other, new_id):
    other.subscribe()
    socket = other.get_notification_socket()
    socket.settimeout(10)
    ids = [new_id() for _ in range(50)]
    for number, object_id in enumerate(ids):
        client.create_and_seal(object_id, bytes(number), b"m")

    for number, object_id in enumerate(ids):
        [length] = struct.unpack("L", socket.recv(8))
        content = socket.recv(length)
        assert other.decode_notifications(content) == ([object_id], [number], [1])


def test_there_is_no_socket_before_one_subscribes(client):
    with pytest.raises(ValueError):
        client.get_notification_socket()


@pytest.mark.differs
def test_notifications_end_with_the_store(plasma):
    with plasma.start_plasma_store(10 << 20) as (name, process):
        client = plasma.connect(name)
        client.subscribe()
        process.kill()

        with pytest.raises(OSError):
            client.get_next_notification()
        with pytest.raises(OSError):
            client.get_next_notification()
