"""``varro demo`` as a newcomer runs it, twice, and what can be done with what it leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from varro_assets_tests.e2e.conftest import Home, make_home, wait_for
from varro_assets_tests.postgres_fixture import reachable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with reachable() as folder:
        made = make_home(folder / "home")
        yield made
        made.end()


@pytest.fixture(scope="module")
def first(home: Home) -> str:
    return home.good("demo")


def test_it_syncs_every_table_and_shows_a_result(first: str) -> None:
    assert "20 of 20 tables in" in first
    assert "270,763 rows in" in first
    for region in ("Hovedstaden", "Sjælland", "Syddanmark", "Midtjylland", "Nordjylland"):
        assert f"Region {region}" in first
    for command in ("varro --demo up", "varro --demo psql", "varro --demo docs FOLK1A", "varro search befolkning"):
        assert command in first


def test_what_is_to_be_copied_is_not_broken_over_lines(first: str, home: Home) -> None:
    assert f" {home.folder}/data/demo/data/dst/statbank_tables\n" in first
    assert f"Documents: {home.folder}/data/demo/context\n" in first
    assert " WHERE f.tid = (SELECT max(tid) FROM fact.folk1a)\n" in first


def test_a_second_time_nothing_is_fetched_and_it_says_so(first: str, home: Home) -> None:
    second = home.good("demo")
    assert "Everything is up to date: 20 tables as published (1 request, nothing fetched)." in second
    assert second.split("Population of")[1] == first.split("Population of")[1]


def test_nothing_of_it_touches_the_users_own_project(first: str, home: Home) -> None:
    assert "20 of 20" in first
    assert {path.name for path in home.folder.iterdir()} == {"dagster_home", "data", "varro.toml", "workspace.yaml"}
    assert [path.name for path in (home.folder / "dagster_home").iterdir()] == ["dagster.yaml"]
    assert [path.name for path in (home.folder / "data").iterdir()] == ["demo"]


def test_nothing_is_left_running(first: str, home: Home) -> None:
    assert "20 of 20" in first
    wait_for(lambda: not home.processes(), 120, but=lambda: str(home.processes()))


def test_the_results_can_be_asked_read_only(first: str, home: Home) -> None:
    assert "20 of 20" in first
    assert "253582" in home.good("--demo", "psql", "-c", "SELECT count(*) FROM fact.folk1a")
    assert home("--demo", "psql", "-c", "DROP TABLE fact.folk1a").returncode != 0


def test_what_it_means_can_be_read_and_looked_up(first: str, home: Home) -> None:
    assert "20 of 20" in first
    assert "omrade: join dim.nuts on omrade=kode" in home.good("--demo", "docs", "FOLK1A")
    assert "joins      dim.nuts on f.omrade = d.kode (exact)" in home.good("--demo", "show", "FOLK1A")
    assert "101\tKøbenhavn\t3" in home.good("--demo", "values", "FOLK1A", "omrade", "--match", "kobenhavn")
    assert "none with a link that does not hold" in home.good("--demo", "links", "check")
    query = "SELECT d.titel FROM dim.nuts d WHERE d.niveau = 1 ORDER BY d.kode LIMIT 1"
    assert home.good("--demo", "sql", query) == "titel\nRegion Nordjylland\n"
    assert "Documents of 20 tables: as they were." in home.good("--demo", "document", "--all")


def test_all_is_well(first: str, home: Home) -> None:
    assert "20 of 20" in first
    assert "All is well: 20 tables" in home.good("--demo", "doctor", "--deep")
