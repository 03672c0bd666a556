"""Churn in words: what the log of a poll says of it."""

from __future__ import annotations

from varro_assets.statbank.sweeps import churn
from varro_assets.statbank.sweeps.churn import Change


def test_what_changed_is_said_in_a_sentence() -> None:
    found = {
        "A1": (Change.REVISED,),
        "B1": (Change.EXTENDED,),
        "C1": (Change.EXTENDED, Change.HISTORY),
        "D1": (Change.UNCHANGED,),
    }
    assert churn.say(found) == (
        "Since the poll before: 1 table was revised without a new period, 2 have a new period, 1 begins with another"
        " period."
    )
    assert churn.say({"A1": (Change.NEW,), "B1": (Change.NEW,)}) == "Since the poll before: 2 tables are new."


def test_no_change_is_said_too() -> None:
    assert churn.say({"D1": (Change.UNCHANGED,)}) == churn.say({}) == "Since the poll before: no change."


def test_every_change_has_its_words() -> None:
    for change in Change:
        assert churn.say({"A1": (change,)}).endswith(".")
