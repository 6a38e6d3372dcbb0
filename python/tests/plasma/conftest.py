"""The same tests for `sheaf.plasma` and, where pyarrow still has it, for Plasma itself.

A test that takes `plasma` runs against both: what it claims is true of both. One marked
`differs` claims what is Sheaf's alone, and why; docs/from-plasma.md has the list.
"""

import importlib
import warnings

import pytest

MIB = 1 << 20


def pytest_configure(config):
    config.addinivalue_line("markers", "differs: Sheaf only, a deliberate difference")


def _module(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def pytest_generate_tests(metafunc):
    if "plasma" in metafunc.fixturenames:
        alone = metafunc.definition.get_closest_marker("differs")
        names = ["sheaf.plasma"] if alone else ["sheaf.plasma", "pyarrow.plasma"]
        metafunc.parametrize("plasma", names, indirect=True)


@pytest.fixture
def plasma(request):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Plasma", DeprecationWarning)
        try:
            yield _module(request.param)
        except ImportError:
            pytest.skip(f"{request.param} is not installed")


@pytest.fixture
def capacity():
    return 64 * MIB


@pytest.fixture
def socket(plasma, capacity):
    with plasma.start_plasma_store(capacity) as (name, _):
        yield name


@pytest.fixture
def client(plasma, socket):
    return plasma.connect(socket)


@pytest.fixture
def other(plasma, socket):
    return plasma.connect(socket)


@pytest.fixture
def new_id(plasma):
    return plasma.ObjectID.from_random
