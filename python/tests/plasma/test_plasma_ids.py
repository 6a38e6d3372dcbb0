"""Object ids: twenty bytes, compared, hashed and pickled by them."""

import pickle

import pytest


def test_an_id_has_twenty_bytes(plasma):
    for wrong in [b"short", b"x" * 21, "x" * 20, bytearray(20), None]:
        with pytest.raises(ValueError):
            plasma.ObjectID(wrong)

    assert plasma.ObjectID(b"x" * 20).binary() == b"x" * 20


def test_ids_are_equal_by_their_bytes(plasma):
    one, same, other = (plasma.ObjectID(byte * 20) for byte in [b"a", b"a", b"b"])

    assert one == same and hash(one) == hash(same)
    assert one != other
    assert one != one.binary()
    assert {one: 1}[same] == 1


def test_an_id_prints_as_hexadecimal_digits(plasma):
    assert repr(plasma.ObjectID(b"\x01" * 20)) == "ObjectID(" + "01" * 20 + ")"


def test_an_id_survives_pickling(plasma):
    object_id = plasma.ObjectID.from_random()

    assert pickle.loads(pickle.dumps(object_id)) == object_id


def test_random_ids_differ(plasma):
    assert len({plasma.ObjectID.from_random() for _ in range(100)}) == 100


@pytest.mark.differs
def test_random_ids_do_not_follow_the_seed(plasma):
    import random

    random.seed(1)
    one = plasma.ObjectID.from_random()
    random.seed(1)

    assert plasma.ObjectID.from_random() != one
