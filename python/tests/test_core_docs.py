"""The examples in docstrings run, and everything public has a docstring."""

from __future__ import annotations

import doctest
import inspect

import pytest

import sheaf

ALONE = [sheaf, sheaf.connect, sheaf.serve, sheaf.Draft, sheaf.Ref, sheaf.Served]
NATIVE = [
    sheaf.Store,
    sheaf.Table,
    sheaf.Schema,
    sheaf.Builder,
    sheaf.Writer,
    sheaf.Info,
    sheaf.Holder,
    sheaf.Event,
    sheaf.Watch,
]


def check(text: str, given: dict[str, object], name: str) -> None:
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    test = parser.get_doctest(text, given, name, None, 0)
    assert runner.run(test).failed == 0, name


@pytest.mark.parametrize("thing", ALONE, ids=lambda thing: thing.__name__)
def test_examples_that_bring_their_own_store_run(thing):
    text = inspect.getdoc(thing)

    assert text
    check(text, {}, thing.__name__)


@pytest.mark.parametrize("kind", NATIVE, ids=lambda kind: kind.__name__)
def test_native_classes_are_documented_and_their_examples_run(kind):
    members = {name: member for name, member in vars(kind).items() if not name.startswith("_")}
    for name, member in {kind.__name__: kind, **members}.items():
        text = inspect.getdoc(member)
        assert text, f"{kind.__name__}.{name} has no docstring"
        if ">>>" in text:
            with sheaf.serve(memory="64MiB") as store:
                check(text, {"sheaf": sheaf, "store": store}, name)
