"""Invented values: the same everywhere, and consistent where a table has totals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from math import prod

import numpy as np
import pytest

from varro_assets.simulator import Universe, tids
from varro_assets.simulator.demo import tables

DEMO = Universe.demo()


def test_another_process_invents_the_same_values() -> None:
    script = (
        "from varro_assets.simulator import Universe; u = Universe.demo(); "
        "print([u.table(t).rows(p) for t, p in (('STRAF42', '2020'), ('DNRENTM', '2025M08'), ('VAN5', '2018'))])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "17"}
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    ours = [DEMO.table(t).rows(p) for t, p in (("STRAF42", "2020"), ("DNRENTM", "2025M08"), ("VAN5", "2018"))]
    assert other.stdout.strip() == repr(ours)


@pytest.mark.parametrize("table_id", [table.id for table in tables()])
def test_rows_have_unique_keys_of_declared_codes(table_id: str) -> None:
    table = DEMO.table(table_id)
    declared = [{code.id for code in dimension.codes} for dimension in table.dimensions]
    for tid in table.periods[-3:]:
        rows = table.rows(tid)
        keys = [row[:-1] for row in rows]
        assert len(keys) == len(set(keys))
        assert keys == sorted(keys)  # type: ignore[type-var]
        assert all(code in codes for key in keys for code, codes in zip(key, declared, strict=True))


def test_population_adds_up() -> None:
    table = DEMO.table("FOLK1A")
    rows = {row[:-1]: row[-1] or 0 for row in table.rows("2025K3")}
    country = rows["000", "TOT", "IALT", "TOT"]
    municipalities = [code.id for code in table.dimensions[0].codes if not code.parts]
    assert len(municipalities) == 99
    assert 5_500_000 < float(country) < 6_500_000
    assert country == sum(rows[code, "TOT", "IALT", "TOT"] for code in municipalities)
    assert country == rows["000", "1", "IALT", "TOT"] + rows["000", "2", "IALT", "TOT"]
    assert country == sum(rows["000", "TOT", "IALT", status] for status in "UGEF")
    regions = ["081", "082", "083", "084", "085"]
    assert country == sum(rows[code, "TOT", "IALT", "TOT"] for code in regions)
    assert ("000", "TOT", "10", "G") not in rows  # children are not married: a combination without a row


def test_the_demo_shows_what_it_promises() -> None:
    held = {table.id: table for table in tables()}
    periods = {tid for table in held.values() for tid in table.periods}
    assert {"2020K1".replace("2020", "2024"), "2020U53", "2024M01", "2024H2", "1840:1849", "2017/2018"} <= periods
    assert {"2020U01", "2020U08"} <= set(held["METROX1"].periods)
    assert "2020U07" not in held["METROX1"].periods
    assert held["FT"].rows("1834") == []
    assert any(row[-1] is None for row in held["STRAF42"].rows("2024"))
    assert any("NA" in row for row in held["VAN5"].rows("2024"))
    assert any((row[-1] or 0) < 0 for row in held["DNRENTM"].rows("2025M08"))
    assert any(len(table.subjects) == 2 for table in held.values())
    assert {variable.id for variable in held["KORD1"].dimensions} == {"USER", "ORDER"}
    assert held["DNVALD"].info("da")["documentation"] is None
    assert held["DNVALD"].info("da")["footnote"] is None
    assert "\r\n" in held["STRAF42"].info("da")["footnote"]["text"]
    assert all("imule" in table.da for table in held.values())
    assert all("imulated" in table.en for table in held.values())
    labels = Counter(code.da for code in held["FV22TOTA"].dimensions[0].codes)
    assert max(labels.values()) > 1


def test_the_demo_stays_small() -> None:
    held = tables()
    assert sum(table.row_count() for table in held) < 700_000
    assert sum(len(table.periods) for table in held) < 700


def test_a_small_catalogue_is_the_same_for_the_same_seed() -> None:
    first, second = (Universe.catalogue(60, seed=4).tables() for _ in range(2))
    assert first == second
    assert first != Universe.catalogue(60, seed=5).tables()
    assert sum(table.active for table in first) == 60


def test_the_catalogue_has_columns_that_classifications_fit() -> None:
    listed = [table for table in Universe.catalogue().tables() if table.id.startswith("SIM")]
    held = {kept.name: {item.kode for item in kept.items} for kept in Universe.demo().classifications()}
    linkable: Counter[str] = Counter()
    for table in listed:
        for dimension in table.dimensions:
            codes = {code.id for code in dimension.codes if code.parts != ("*",)}
            for name in ("nuts", "kommunegrupper", "db", "nr-branche"):
                if codes <= held[name] or {code.removeprefix("V") for code in codes} <= held[name]:
                    linkable[name] += 1
    assert min(linkable[name] for name in ("nuts", "kommunegrupper", "db", "nr-branche")) > 50
    assert sum(linkable.values()) > len(listed) / 3
    assert any(table.unit_da == "-" for table in listed)
    sizes = [prod(len(dimension.codes) for dimension in table.dimensions) * len(table.periods) for table in listed]
    assert max(sizes) < 40_000
    assert sum(sizes) < 3_000_000


def test_the_full_catalogue_has_the_kinds_of_the_real_one() -> None:
    listed = [table for table in Universe.catalogue().tables() if table.active]
    yearly = sum(table.periods[0].isdigit() for table in listed)
    assert len(listed) == len({table.id for table in listed}) == 2240
    assert 0.7 < yearly / len(listed) < 0.83
    assert all(table.rows(table.periods[0]) is not None for table in listed[::97])


@pytest.mark.parametrize(
    ("tid", "following"),
    [
        ("2024", "2025"),
        ("2024K4", "2025K1"),
        ("2024M12", "2025M01"),
        ("2020U53", "2021U01"),
        ("2021U52", "2022U01"),
        ("2024H2", "2025H1"),
        ("2025M09D05", "2025M09D08"),
        ("2022:2023", "2023:2024"),
        ("1840:1849", "1850:1859"),
        ("2023/2024", "2024/2025"),
        ("AUG - DEC 2023", "AUG - DEC 2024"),
    ],
)
def test_the_next_period(tid: str, following: str) -> None:
    assert tids.shifted(tid, 1) == following
    assert tids.shifted(following, -1) == tid
    assert tids.order(tid) < tids.order(following)


def test_periods_are_in_order() -> None:
    for table in tables():
        assert all(tids.order(a) < tids.order(b) for a, b in pairwise(table.periods)), table.id


def test_undeclared_codes_are_no_part_of_the_truth() -> None:
    table = DEMO.table("DNRENTM")
    assert np.count_nonzero(table.grid("2025M08").stored) > len(table.rows("2025M08"))
