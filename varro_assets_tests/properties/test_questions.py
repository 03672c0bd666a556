"""Questions: every cell once, none beyond the limit, and the same lot on the same day."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.proof import questions
from varro_assets.statbank.proof.questions import Question
from varro_assets_tests.table_bodies import body

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=4)
TIDS = st.integers(1, 8).map(lambda count: [str(2000 + year) for year in range(count)])


def info(sizes: list[int], tids: list[str], eliminable: int = 0) -> TableInfo:
    described = body("AB12", {f"V{place}": [f"{code}" for code in range(n)] for place, n in enumerate(sizes)}, tids)
    for place, variable in enumerate(described["variables"][:-1]):
        variable["elimination"] = place < eliminable
    return TableInfo.model_validate(described)


def cells(question: Question) -> list[tuple[str, ...]]:
    return list(product(*question.codes.values(), question.periods))


@given(SIZES, TIDS, st.integers(10, 400))
@settings(deadline=None)
def test_every_cell_is_asked_for_once_and_no_request_is_too_large(
    sizes: list[int], tids: list[str], limit: int
) -> None:
    table = info(sizes, tids)

    asked = questions.whole(table, tids, limit)

    every = [cell for question in asked for cell in cells(question)]
    assert len(every) == len(set(every)) == table.dense_rows * len(tids)
    assert all(question.cells <= limit for question in asked)


@given(SIZES, TIDS, st.integers(0, 4), st.integers(100, 400))
@settings(deadline=None)
def test_a_part_is_two_requests_over_all_periods(
    sizes: list[int], tids: list[str], eliminable: int, limit: int
) -> None:
    table = info(sizes, tids, eliminable)

    asked = questions.part(table, tids, lambda _variable: "0", seed="day", limit=limit)

    assert asked == questions.part(table, tids, lambda _variable: "0", seed="day", limit=limit)
    assert len(asked) == (2 if eliminable else 1)
    left = [variable.id for variable in table.dimensions if variable.elimination]
    assert list(asked[0].left_out) == left
    assert not asked[-1].left_out
    for question in asked:
        assert question.periods == tuple(tids)
        assert question.cells <= limit
        assert question.codes.keys() | question.left_out.keys() == {variable.id for variable in table.dimensions}
        for variable in table.dimensions:
            chosen = question.codes.get(variable.id, ("0",))
            assert "0" in chosen, "the total is among them"
            assert list(chosen) == [code for code in variable.codes if code in chosen], "in the table's order"


def test_another_day_asks_for_other_cells() -> None:
    table = info([40, 40], ["2024"])

    days = {questions.part(table, ["2024"], lambda _variable: None, seed=str(day), limit=400)[0].codes["V0"]
            for day in range(5)}  # fmt: skip

    assert len(days) > 1
