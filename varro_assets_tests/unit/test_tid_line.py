"""A document tells how the held periods follow each other."""

from __future__ import annotations

import pytest

from varro_assets.context.text import tid_line
from varro_assets_tests.context_material import carded, info


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (("2022", "2023", "2024"), []),
        (("1769", "1787", "1788"), ["1769"]),
        (("2024K4", "2025K1", "2025K3"), ["2025K1"]),
        (("2020U52", "2020U53", "2021U01"), []),
        (("2020U01", "2020U08"), ["2020U01"]),
        (("2025M06D20", "2025M06D23"), ["2025M06D20"]),
        # not of one length: what comes next cannot be told
        (("1840:1849", "1860:1869"), []),
        (("2017/2018", "2019/2020"), []),
        ((), []),
    ],
)
def test_gaps(held: tuple[str, ...], expected: list[str]) -> None:
    assert tid_line.gaps(held) == expected


def test_gaps_are_told() -> None:
    text = tid_line.text(carded(info(tids=("1769", "1787", "1801"))))
    assert "yearly; 3 periods, codes 1769 to 1801; gaps after 1769, 1787: a step of one row is not always one" in text
    text = tid_line.text(carded(info(tids=("2025M06D20", "2025M06D23"))))
    assert "days without figures (weekends, holidays) in 1 places" in text
    assert "gaps" not in tid_line.text(carded())
