"""The errors: each is one of two kinds, and each says what was tried, on what, what came back and what to do."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from varro_assets import errors
from varro_assets.errors import PermanentError, SourceRefused, SourceUnavailable, TransientError, VarroError

BASES = (VarroError, TransientError, PermanentError)
NAMED = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, BaseException) and member not in BASES
]


def test_the_walk_finds_them() -> None:
    assert len(NAMED) >= 20
    assert all(member.__module__ == "varro_assets.errors" for member in NAMED)


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__name__)
def test_every_error_is_transient_or_permanent_and_says_four_things(kind: type[VarroError]) -> None:
    assert issubclass(kind, TransientError) != issubclass(kind, PermanentError)
    assert kind.transient is issubclass(kind, TransientError)
    assert inspect.getdoc(kind)
    assert kind.__doc__ != VarroError.__doc__
    error = kind("fetch the moon for", on="FOLK1A", got="a cheese.", todo="Ask again on Monday.")
    assert str(error) == "Could not fetch the moon for FOLK1A: a cheese. Ask again on Monday."
    assert error.problem == "Could not fetch the moon for FOLK1A: a cheese."
    assert (error.tried, error.on, error.got, error.todo) == error.args


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__name__)
def test_parts_may_be_missing(kind: type[VarroError]) -> None:
    assert str(kind("think")) == "Could not think."
    assert str(kind("think", on="it", todo="Rest.")) == "Could not think it. Rest."
    assert str(kind("think", got="nothing")) == "Could not think: nothing."


def test_the_facts_of_an_answer() -> None:
    error = SourceUnavailable("ask", status=503, retry_after=7.0)
    assert (error.status, error.retry_after, error.transient) == (503, 7.0, True)
    assert (SourceUnavailable("ask").status, SourceUnavailable("ask").retry_after) == (0, None)
    refused = SourceRefused("ask", code="EXTRACT-NOTFOUND", status=400)
    assert (refused.code, refused.status, refused.transient) == ("EXTRACT-NOTFOUND", 400, False)


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_between_processes(kind: type[VarroError]) -> None:
    error = kind("fetch", on="FOLK1A", got="nothing", todo="Wait.")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is kind
        assert str(twin) == str(error)
