"""The labelled set is sound, and linking is right on it often enough: the figures that `make bench` prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.linking_contenders import DATA, Answer, counts, dimensions, measure, naive, pairs, split_of
from benchmarks.linking_quality import PRECISION, RECALL
from varro_assets.dimensions.models import Code, Dimension, FactColumn, Member


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure("ours")


@pytest.mark.parametrize("part", ["all", "develop", "held-out"])
def test_linking_is_right_often_enough(measured: dict[str, Any], part: str) -> None:
    found = measured["parts"][part]
    wrong = [one for one in measured["wrong"] if part in ("all", one["split"])]
    assert found["precision"] >= PRECISION, wrong
    assert found["recall"] >= RECALL, wrong


def test_the_publishers_own_labels_are_no_harder(measured: dict[str, Any]) -> None:
    # of the other pairs the labels are the classification's, so that they could carry the figures alone
    found = measured["parts"]["published labels"]
    assert found["precision"] >= PRECISION
    assert found["recall"] >= RECALL


def test_codes_alone_would_not_do() -> None:
    # else the set would be too easy to tell anything
    found = measure("naive")["parts"]["all"]
    assert found["precision"] < 0.75
    assert found["recall"] < 0.85


def test_the_set_is_large_and_mixed() -> None:
    labelled = pairs()
    linked = [pair for pair in labelled if pair.dimension]
    assert len(labelled) >= 120
    assert 0.5 <= len(linked) / len(labelled) <= 0.65
    assert len({pair.dimension for pair in linked}) >= 20
    assert 0.2 <= sum(pair.split == "held-out" for pair in labelled) / len(labelled) <= 0.4


def test_every_pair_is_sound() -> None:
    known = {dimension.name for dimension in dimensions()}
    labelled = pairs()
    assert Counter((pair.column.table, pair.column.variable) for pair in labelled).most_common(1)[0][1] == 1
    for pair in labelled:
        column = pair.column
        assert pair.accepted <= known, column
        assert pair.split == split_of(column.table, column.variable), column
        assert pair.source, column
        assert pair.labels in ("published", "classification"), column
        assert len(column.codes) >= 3 or pair.dimension is None, column
        assert len({code.id for code in column.codes}) == len(column.codes), column
        assert all(code.id and code.text for code in column.codes), column


def test_every_dimension_is_sound() -> None:
    assert {path.stem for path in (DATA / "dimensions").iterdir()} == {dimension.name for dimension in dimensions()}
    for dimension in dimensions():
        keys = [member.key for member in dimension.members]
        assert len(set(keys)) == len(keys), dimension.name
        assert set(dimension.levels) <= set(dimension.level_names), dimension.name
        for member in dimension.members:
            assert (member.parent_niveau or 0) < member.niveau, member
            assert (member.parent_kode is None) == (member.niveau == dimension.levels[0]), member


def test_nuts_is_complete() -> None:
    (nuts,) = [dimension for dimension in dimensions() if dimension.name == "nuts"]
    assert [len(nuts.at(niveau)) for niveau in nuts.levels] == [5, 11, 99]


def test_a_wrong_dimension_counts_against_both() -> None:
    right, wrong, missed, none = pairs_like("nuts", "nuts", "nuts", None)
    found = counts(
        [
            (right, Answer("nuts")),
            (wrong, Answer("kommunegrupper")),
            (missed, Answer(None)),
            (none, Answer(None)),
        ]
    )
    assert (found["proposed"], found["right"], found["linked"]) == (2, 1, 3)
    assert found["precision"] == pytest.approx(1 / 2)
    assert found["recall"] == pytest.approx(1 / 3)


def test_nothing_proposed_is_no_wrong_link() -> None:
    (none,) = pairs_like(None)
    assert counts([(none, Answer(None))])["precision"] == 1.0


@pytest.mark.parametrize(("ids", "expected"), [("1234x", "dim"), ("123xy", None)])
def test_the_naive_way_wants_four_fifths_of_the_codes(ids: str, expected: str | None) -> None:
    dimension = Dimension("dim", "Dim", tuple(Member(kode, 1, kode) for kode in "123456789"), "test")
    column = FactColumn("T", "V", "v", "v", tuple(Code(one, one) for one in ids))
    assert naive([dimension])(column).dimension == expected


def pairs_like(*wanted: str | None) -> list[Any]:
    """One pair of the set for each label, other than those before it."""
    left = pairs()
    found = []
    for label in wanted:
        pair = next(pair for pair in left if pair.dimension == label)
        left.remove(pair)
        found.append(pair)
    return found
