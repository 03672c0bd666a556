"""A year in the life of a home: nothing lost, nothing doubled, nothing silently skipped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from varro_assets.simulator import Universe
from varro_assets.simulator.table import Table
from varro_assets_tests.year import calendar, reckoning
from varro_assets_tests.year.calendar import Year
from varro_assets_tests.year.machine import Machine
from varro_assets_tests.year.play import Play

# a property of the test also comes from a worker of another process; see the last hook of the tests' conftest
ACCOUNT = "account of requests"
SEED = 2025
PACE = 3.5
"""Every table half as often as it should, or less: each week is some eight runs, and the year some minutes."""

SMALL = ("KORN2", "METROX1", "BIL10", "KORD1", "FT", "HISB7", "SIM0003")
MORE = ("PRIS111", "NABB69", "IDRTIL01", "SIM0005", "SIM0006")


def of(*names: str) -> list[Table]:
    """Tables by their names."""
    return [table for table in Universe.catalogue(30).tables() if table.id in names]


def test_the_same_seed_is_the_same_year() -> None:
    tables = Universe.demo().tables()
    assert calendar.draw(3, 8, tables) == calendar.draw(3, 8, tables)
    assert calendar.draw(3, 8, tables) != calendar.draw(4, 8, tables)


def played(
    year: Year, machine: Machine, snapshots: int, say: Callable[[str], None], tell: Callable[[str, object], None]
) -> list[str]:
    """Play the year to its end; returns what is wrong then. The account stands at the end of the test's output."""
    every = max(1, len(year.weeks) // snapshots)
    chosen = frozenset(range(every - 1, len(year.weeks) - 1, every))
    play = Play(year, machine, chosen, on_week=say)
    play.all()
    wrong = reckoning.Reckoning(machine).all()
    tell(ACCOUNT, reckoning.as_text(reckoning.account(machine), machine))
    for line in wrong:
        say(line)
    return wrong


@pytest.mark.slow
def test_three_weeks(begin: Callable[[Year], Machine], record_property: Callable[[str, object], None]) -> None:
    year = calendar.draw(1, 3, of(*SMALL), pace=0.08, troubles=2)
    machine = begin(year)
    assert played(year, machine, 2, print, record_property) == []
    assert_that_it_would_have_been_noticed(machine)


@pytest.mark.slow  # the same by other chances, and a week in which the publisher is away
@pytest.mark.timeout(1200)
def test_six_weeks(begin: Callable[[Year], Machine], record_property: Callable[[str, object], None]) -> None:
    year = calendar.draw(1, 6, of(*SMALL, *MORE), pace=0.08, specials=4, troubles=2)
    assert played(year, begin(year), 3, print, record_property) == []


def assert_that_it_would_have_been_noticed(machine: Machine) -> None:
    """Whoever finds nothing wrong must be able to."""
    (page,) = (machine.settings.context_dir / "fact").rglob("korn2.md")
    page.unlink()
    machine.world.query("DELETE FROM fact.korn2 WHERE ctid = (SELECT ctid FROM fact.korn2 LIMIT 1)")
    machine.world.query("UPDATE meta.table_sync SET updated = '1999-01-01' WHERE table_id = 'KORN2'")
    machine.world.query("DELETE FROM meta.period_read WHERE table_id = 'FT'")
    machine.instance.delete_dynamic_partition("FT", "1769")
    for entry in machine.settings.revisions_dir.rglob("*.parquet"):
        entry.unlink()
    wrong = "\n".join(reckoning.Reckoning(machine).all())
    for told in (
        "still due: {'KORN2'",
        "KORN2: ",
        "FT: no reading",
        "FT: no partition keys",
        " as of ",
        "documents",
    ):
        assert told in wrong, wrong


@pytest.mark.slow  # 150 tables and some 500 runs: minutes
@pytest.mark.timeout(3000)
def test_a_year(
    begin: Callable[[Year], Machine],
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    year = calendar.draw(SEED, 52, Universe.catalogue(150).tables(), pace=PACE)

    def say(line: str) -> None:
        with capsys.disabled():
            print(line)

    assert played(year, begin(year), 6, say, record_property) == []
