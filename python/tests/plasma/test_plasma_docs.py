"""Every call of `sheaf.plasma` has a docstring with an example, and the examples run."""

import doctest
import inspect

import pytest

import sheaf.plasma


def public():
    """The classes and functions, and the methods and properties of the classes."""
    for name in sheaf.plasma.__all__:
        value = getattr(sheaf.plasma, name)
        if not callable(value):
            continue
        yield name, value
        if isinstance(value, type):
            for own, member in vars(value).items():
                if not own.startswith("_"):
                    yield f"{name}.{own}", member


PUBLIC = dict(public())


def test_every_call_has_an_example():
    silent = [name for name, thing in PUBLIC.items() if ">>>" not in (inspect.getdoc(thing) or "")]

    assert len(PUBLIC) > 30 and silent == []


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_in_docstrings_run(name):
    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    runner = doctest.DocTestRunner(optionflags=options)
    plasma = sheaf.plasma

    with plasma.start_plasma_store(100_000_000) as (socket, _):
        given = {"plasma": plasma, "client": plasma.connect(socket), "socket": socket}
        test = doctest.DocTestParser().get_doctest(inspect.getdoc(PUBLIC[name]), given, name, None, 0)
        told = runner.run(test)

    assert told.attempted > 0 and told.failed == 0
