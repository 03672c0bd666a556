"""Link files: written once, read back, and never in the way of what people decided."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from varro_assets.dimensions.links import link_file
from varro_assets.dimensions.links.linking import propose
from varro_assets.dimensions.models import Link, MadeBy, MatchType
from varro_assets.errors import InvalidLink
from varro_assets_tests.linking_examples import column, published

DIMENSIONS = published()
AREA = column("OMRÅDE", "område", {"000": "Hele landet"} | {m.kode: m.titel for m in DIMENSIONS["nuts"].at(1)})
GROUP = column("KOMGRP", "kommunegruppe", {m.kode: m.titel for m in DIMENSIONS["kommunegrupper"].at(1)})
COLUMNS = [AREA, GROUP]


def proposals() -> list[Link]:
    return [link for one in COLUMNS if (link := propose(one, list(DIMENSIONS.values())))]


def handmade(variable: str = "OMRÅDE", **changes: Any) -> Link:
    return replace(
        Link(variable, "nuts", MatchType.APPROX, "f.omrade = d.kode", note="mit valg", made_by=MadeBy.HAND), **changes
    )


def put(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = link_file.path_of(tmp_path, "TEST1")
    links = proposals()
    assert len(links) == 2
    assert link_file.read(path) == []
    assert link_file.write(path, links)
    before = path.stat()
    assert link_file.read(path) == links
    assert not link_file.write(path, links), "the same content is not written again"
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert link_file.write(path, links[:1])


def test_what_the_analyst_reads(tmp_path: Path) -> None:
    path = tmp_path / "TEST1.json"
    prefixed = replace(GROUP, codes=tuple(replace(code, id=f"V{code.id}") for code in GROUP.codes))
    link = propose(prefixed, list(DIMENSIONS.values()))
    assert link is not None
    link_file.write(path, [*proposals()[:1], link])
    first, second = json.loads(path.read_text("utf-8"))
    assert (first["column"], first["dimension"], first["match_type"]) == ("OMRÅDE", "nuts", "exact")
    assert "join_override" not in first
    assert "komgrp" in second["join_override"]
    assert "f." not in second["join_override"]
    assert first["not_in_dimension"] == [{"code": "000", "label": "Hele landet", "total": True}]
    assert first["level_coverage"] == {"1": [5, 5]}
    assert first["made_by"] == "varro"
    assert "OMRÅDE" in path.read_text("utf-8"), "Danish letters stay readable"


def test_no_links_is_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "TEST1.json"
    assert link_file.write(path, [])
    assert json.loads(path.read_text("utf-8")) == []
    assert not link_file.write(path, [])


def test_an_entry_of_the_predecessor_is_by_hand(tmp_path: Path) -> None:
    path = put(
        tmp_path / "TEST1.json", [{"column": "OMRÅDE", "dimension": "nuts", "match_type": "approx", "note": "n"}]
    )
    (link,) = link_file.read(path)
    assert (link.made_by, link.note, link.join) == (MadeBy.HAND, "n", "")
    (complete,) = link_file.checked([link], COLUMNS, DIMENSIONS, on=path.name)
    assert (complete.join, complete.levels, complete.coverage) == ("f.omrade = d.kode", (1,), 1.0)
    assert complete.match_type is MatchType.APPROX, "what a person says of it stays"


def test_keys_we_do_not_know_stay_on_links_by_hand(tmp_path: Path) -> None:
    path = put(tmp_path / "TEST1.json", [{"column": "OMRÅDE", "dimension": "nuts", "author": "mig"}])
    links = link_file.checked(link_file.read(path), COLUMNS, DIMENSIONS, on=path.name)
    assert link_file.write(path, links)
    assert json.loads(path.read_text("utf-8"))[0]["author"] == "mig"
    assert not link_file.write(path, link_file.read(path))


def test_merge() -> None:
    hers = handmade("KOMGRP", dimension="socio")
    gone = handmade("VÆK")
    merged = link_file.merge(proposals(), [gone, hers], (), COLUMNS)
    assert [(link.column, link.dimension) for link in merged] == [
        ("OMRÅDE", "nuts"),
        ("KOMGRP", "socio"),
        ("VÆK", "nuts"),
    ]
    assert [link.column for link in link_file.merge(proposals(), [], {"OMRÅDE"}, COLUMNS)] == ["KOMGRP"]
    assert link_file.merge([], [handmade()], {"OMRÅDE"}, COLUMNS) == [handmade()], "removed is about proposals"
    assert link_file.merge([], proposals(), (), COLUMNS) == [], "a proposal of before is no link any more"
    assert link_file.merge(proposals()[::-1], [], (), COLUMNS) == proposals(), "in the order of the columns"


def test_a_link_by_hand_survives_regeneration(tmp_path: Path) -> None:
    links, changed = link_file.regenerate(tmp_path, "TEST1", proposals(), COLUMNS)
    assert changed
    assert links == proposals()
    mine = link_file.by_hand("KOMGRP", "kommunegrupper", COLUMNS, DIMENSIONS, on="test", note="fordi")
    assert mine.match_type is MatchType.EXACT
    link_file.set_by_hand(tmp_path, "TEST1", mine, COLUMNS)
    path = link_file.path_of(tmp_path, "TEST1")
    before = path.read_bytes()
    links, changed = link_file.regenerate(tmp_path, "TEST1", proposals(), COLUMNS)
    assert not changed
    assert path.read_bytes() == before
    assert [(link.column, link.made_by) for link in links] == [("OMRÅDE", MadeBy.VARRO), ("KOMGRP", MadeBy.HAND)]


def test_removed_stays_removed_until_it_is_set(tmp_path: Path) -> None:
    link_file.regenerate(tmp_path, "TEST1", proposals(), COLUMNS)
    assert link_file.remove(tmp_path, "TEST1", "OMRÅDE")
    assert not link_file.remove(tmp_path, "TEST1", "OMRÅDE")
    assert link_file.removed(tmp_path) == {"TEST1": {"OMRÅDE"}}
    links, changed = link_file.regenerate(tmp_path, "TEST1", proposals(), COLUMNS)
    assert ([link.column for link in links], changed) == (["KOMGRP"], False)
    mine = link_file.by_hand("OMRÅDE", "nuts", COLUMNS, DIMENSIONS, on="test")
    link_file.set_by_hand(tmp_path, "TEST1", mine, COLUMNS)
    assert link_file.removed(tmp_path) == {}
    links, _ = link_file.regenerate(tmp_path, "TEST1", proposals(), COLUMNS)
    assert [link.column for link in links] == ["OMRÅDE", "KOMGRP"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[" * 100_000,
        {"column": "OMRÅDE"},
        ["OMRÅDE"],
        [{"column": "OMRÅDE"}],
        [{"column": 1, "dimension": "nuts"}],
        [{"column": "OMRÅDE", "dimension": "nuts", "match_type": "nearly"}],
        [{"column": "OMRÅDE", "dimension": "nuts", "levels": ["one"]}],
        [{"column": "OMRÅDE", "dimension": "nuts", "level_coverage": {"1": [5]}}],
        [{"column": "OMRÅDE", "dimension": "nuts", "not_in_dimension": [{"code": "000"}]}],
        [{"column": "OMRÅDE", "dimension": "nuts", "reasons": 7}],
    ],
)
def test_a_broken_file_is_named_and_left_alone(tmp_path: Path, content: object) -> None:
    path = put(tmp_path / "TEST1.json", content)
    before = path.read_bytes()
    for act in (
        lambda: link_file.read(path),
        lambda: link_file.regenerate(tmp_path, "TEST1", proposals(), COLUMNS),
        lambda: link_file.remove(tmp_path, "TEST1", "OMRÅDE"),
        lambda: link_file.set_by_hand(tmp_path, "TEST1", handmade(), COLUMNS),
    ):
        with pytest.raises(InvalidLink, match=r"TEST1\.json"):
            act()
    assert path.read_bytes() == before
    assert link_file.removed(tmp_path) == {}


@pytest.mark.parametrize("content", ["[", ["OMRÅDE"], {"TEST1": "OMRÅDE"}, {"TEST1": [1]}])
def test_a_broken_list_of_removed_columns(tmp_path: Path, content: object) -> None:
    put(tmp_path / link_file.REMOVED, content)
    with pytest.raises(InvalidLink, match=r"_removed\.json"):
        link_file.removed(tmp_path)
    with pytest.raises(InvalidLink):
        link_file.regenerate(tmp_path, "TEST1", proposals(), COLUMNS)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (handmade("BY"), ["column BY", "OMRÅDE, KOMGRP"]),
        (handmade(dimension="nutz"), ["column OMRÅDE", "'nutz'", "nuts"]),
        (handmade(join="f.omrade = d.titel"), ["f.omrade = d.titel", "f.omrade = d.kode"]),
        (handmade(normalisation="magic"), ["magic", "identity"]),
        (handmade(join_override="omrade = titel"), ["titel"]),
        (handmade(join_override="omrade = kode; DROP TABLE x"), ["DROP TABLE"]),
    ],
)
def test_unknown_things_are_named(link: Link, words: list[str]) -> None:
    with pytest.raises(InvalidLink) as caught:
        link_file.checked([link], COLUMNS, DIMENSIONS, on="TEST1.json")
    assert all(word in str(caught.value) for word in words)


def test_two_links_of_one_column() -> None:
    with pytest.raises(InvalidLink, match="two links"):
        link_file.checked([handmade(), handmade("omrade")], COLUMNS, DIMENSIONS, on="TEST1.json")


def test_a_condition_of_ones_own() -> None:
    own = handmade(join="", join_override="RIGHT(omrade, 2) = kode")
    (link,) = link_file.checked([own], COLUMNS, DIMENSIONS, on="TEST1.json")
    assert (link.join, link.join_override) == ("RIGHT(f.omrade, 2) = d.kode", "RIGHT(omrade, 2) = kode")
    assert link.normalisation == link_file.BY_HAND
    assert link_file.checked([link], COLUMNS, DIMENSIONS, on="TEST1.json") == [link]
    changed = replace(link, join_override="LEFT(omrade, 2) = kode")
    assert link_file.checked([changed], COLUMNS, DIMENSIONS, on="t")[0].join == "LEFT(f.omrade, 2) = d.kode"


def test_a_known_condition_gets_its_evidence() -> None:
    own = handmade("komgrp", dimension="kommunegrupper", join="", join_override="komgrp = 'V' || kode")
    codes = {f"V{code.id}": code.text for code in GROUP.codes}
    columns = [AREA, column("KOMGRP", "kommunegruppe", codes)]
    stated = replace(own, normalisation="prefix V")
    (link,) = link_file.checked([stated], columns, DIMENSIONS, on="t")
    assert (link.column, link.normalisation, link.levels) == ("KOMGRP", "prefix V", (1,))


def test_what_varro_writes_passes_the_check() -> None:
    assert link_file.checked(proposals(), COLUMNS, DIMENSIONS, on="t") == proposals()
