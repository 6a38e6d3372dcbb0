"""Everything public has a docstring with an example, and the examples run."""

from __future__ import annotations

import doctest
import inspect
import types
from collections.abc import Iterator
from typing import Any

import pytest

import sheaf

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)


def public() -> Iterator[tuple[str, Any]]:
    """The module, its classes and functions, and the methods and properties of the classes."""
    yield "sheaf", sheaf
    for name in sheaf.__all__:
        value = getattr(sheaf, name)
        if not callable(value):
            continue
        yield name, value
        if isinstance(value, type):
            for own, member in vars(value).items():
                if not own.startswith("_"):
                    yield f"{name}.{own}", member


PUBLIC = dict(public())
CALLED = [name for name, thing in PUBLIC.items() if isinstance(thing, (type, *FUNCTIONS))]
EXAMPLES = [name for name, thing in PUBLIC.items() if ">>>" in (inspect.getdoc(thing) or "")]


def test_everything_public_has_a_docstring():
    assert [name for name, thing in PUBLIC.items() if not inspect.getdoc(thing)] == []


def test_every_public_class_function_and_method_has_an_example():
    assert len(CALLED) > 50
    assert sorted(set(CALLED) - set(EXAMPLES)) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_run(name, monkeypatch):
    monkeypatch.setenv("SHEAF_STORE", "unix:/nowhere")  # An example may set it: it is put back.
    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    text = inspect.getdoc(PUBLIC[name])

    with sheaf.serve(memory="64MiB") as store:
        given = {"sheaf": sheaf, "store": store}
        test = doctest.DocTestParser().get_doctest(text, given, name, None, 0)
        told = runner.run(test)

    assert told.attempted > 0 and told.failed == 0
