"""Reconciling: what is the same agrees, and whatever is changed is found, once, under its own name."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.engine import reconcile
from varro_assets.engine.reconcile import Kind

PERIODS = st.sampled_from(["2023", "2024", "2025"])
CELL = st.tuples(st.sampled_from("abcd"), st.sampled_from("xy"), PERIODS)
VALUE = st.none() | st.floats(-1e9, 1e9, allow_nan=False).map(lambda number: number + 0.0)
PUBLISHED = st.dictionaries(CELL, VALUE, min_size=1, max_size=24)


def stored(published: dict[tuple[str, ...], float | None]) -> dict[tuple[str, ...], float | None]:
    """What a warehouse holds of it: absent cells have no row."""
    return {cell: value for cell, value in published.items() if value != 0.0}


@given(PUBLISHED)
@settings(deadline=None)
def test_a_copy_agrees_with_or_without_rows_for_the_absent(published: dict[tuple[str, ...], float | None]) -> None:
    for held in (published, stored(published)):
        found = reconcile.cells(published, held)
        assert found.discrepancies == ()
        assert found.agreeing == found.telling == len(stored(published))
        assert all(total.published == total.held for total in found.totals.values())
        assert sum(total.cells for total in found.totals.values()) == len(published)


@given(PUBLISHED, PUBLISHED)
@settings(deadline=None)
def test_every_cell_that_differs_is_counted_once(
    published: dict[tuple[str, ...], float | None], held: dict[tuple[str, ...], float | None]
) -> None:
    found = reconcile.cells(published, held)

    every = published.keys() | held.keys()
    wrong = [cell for cell in every if published.get(cell, 0.0) != held.get(cell, 0.0)]
    assert sum(one.cells for one in found.discrepancies) == len(wrong)
    assert found.telling - found.agreeing == len(wrong)
    assert len({(one.period, one.kind) for one in found.discrepancies}) == len(found.discrepancies)
    # asked the other way round, what was lacking is too much
    other = {Kind.MISSING_ROWS: Kind.EXTRA_ROWS, Kind.EXTRA_ROWS: Kind.MISSING_ROWS}
    turned = reconcile.cells(held, published)
    assert {(one.period, other.get(one.kind, one.kind), one.cells, one.largest) for one in turned.discrepancies} == {
        (one.period, one.kind, one.cells, one.largest) for one in found.discrepancies
    }


@given(PUBLISHED, st.data())
@settings(deadline=None)
def test_one_change_is_found_in_its_period_under_its_name(
    published: dict[tuple[str, ...], float | None], data: st.DataObject
) -> None:
    held = dict(published)
    cell = data.draw(st.sampled_from(sorted(published)))
    old = held[cell]
    new = data.draw(VALUE.filter(lambda value: value != old))
    held[cell] = new

    (one,) = reconcile.cells(published, held).discrepancies

    assert (one.period, one.cells) == (cell[-1], 1)
    assert one.kind is (Kind.NULL if old is None or new is None else Kind.VALUE)
    assert " ".join(cell[:-1]) in one.example


@given(st.lists(PERIODS, unique=True), st.sets(PERIODS))
@settings(deadline=None)
def test_periods_of_one_side_only(published: list[str], held: set[str]) -> None:
    found = reconcile.periods(published, held)

    assert {one.period for one in found if one.kind is Kind.MISSING_PERIOD} == set(published) - held
    assert {one.period for one in found if one.kind is Kind.EXTRA_PERIOD} == held - set(published)


@given(st.floats(1, 1e12), st.integers(1, 9))
@settings(deadline=None)
def test_a_tolerance_is_relative(number: float, tenths: int) -> None:
    assert reconcile.same(number, number * (1 + tenths * 1e-11), 1e-9)
    assert not reconcile.same(number, number * (1 + tenths * 1e-7), 1e-9)
    assert not reconcile.same(number, None, 1e9)
