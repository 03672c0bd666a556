"""The real catalogue and subject tree: polled, stored, followed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from varro_assets.engine import periods
from varro_assets.engine.http import Pace, Session
from varro_assets.engine.periods import Kind
from varro_assets.errors import SourceRefused
from varro_assets.follow import FollowFile
from varro_assets.simulator import Simulator
from varro_assets.statbank import catalog
from varro_assets.statbank.catalog import Catalogue, CatalogueFolder
from varro_assets.statbank.client import REQUEST_ID_HEADER, StatBank
from varro_assets.statbank.models import CatalogueEntry, Subject, table_id
from varro_assets_tests.recorded.conftest import only
from varro_assets_tests.scripted_server import Reply, ScriptedServer, json_reply


def client_of(url: str, tmp_path: Path) -> StatBank:
    session = Session(Pace(tmp_path / "pace", url, 0), backoff=0.0, request_id_header=REQUEST_ID_HEADER)
    return StatBank(session, url)


@pytest.fixture
def sent(material: Path) -> list[dict[str, object]]:
    """The catalogue as it was recorded."""
    lines: list[dict[str, object]] = json.loads(only(material, "tables/tables_active_da*.json").read_text("utf-8"))
    return lines


@pytest.fixture
def polled(material: Path, tmp_path: Path) -> Catalogue:
    with Simulator.recorded(material) as simulator:
        return catalog.poll(client_of(simulator.url, tmp_path), CatalogueFolder(tmp_path / "metadata")).catalogue


def test_every_table_is_polled_and_kept(sent: list[dict[str, object]], polled: Catalogue, tmp_path: Path) -> None:
    assert [entry.model_dump(mode="json") for entry in polled.entries.values()] == sent
    kept = CatalogueFolder(tmp_path / "metadata").read()
    assert kept == polled
    assert all(table_id(table) == table for table in polled.entries)


def test_every_period_in_it_is_understood(sent: list[dict[str, object]]) -> None:
    """Danish labels of periods are their codes (statbank-api 7)."""
    entries = [CatalogueEntry.model_validate(line) for line in sent]
    for entry in entries:
        first, latest = periods.parse(entry.firstPeriod), periods.parse(entry.latestPeriod)
        assert first.kind is latest.kind
        assert first.sort_key <= latest.sort_key
        assert periods.period_of(periods.file_stem(first.code)) == first.code
        expected = {Kind.SPAN: "int4range", Kind.SEASON: "text", Kind.TEXT: "text"}.get(first.kind, "date")
        assert periods.tid_type([first.code, latest.code]) == expected


def test_the_kinds_are_as_often_as_they_were_counted(recorded: Path) -> None:
    lines = json.loads(only(recorded, "tables/tables_active_da*.json").read_text("utf-8"))
    counts = Counter(periods.parse(line["latestPeriod"]).kind for line in lines)
    assert counts == {
        Kind.YEAR: 1712,
        Kind.QUARTER: 232,
        Kind.MONTH: 209,
        Kind.SPAN: 49,
        Kind.SEASON: 12,
        Kind.HALF_YEAR: 9,
        Kind.DAY: 6,
        Kind.WEEK: 2,
        Kind.TEXT: 3,
    }
    assert len(lines) == 2234


def test_follow_patterns_on_it(polled: Catalogue) -> None:
    def resolved(*entries: str, exclude: tuple[str, ...] = ()) -> list[str]:
        spec = FollowFile.model_validate({"tables": {"follow": entries, "exclude": exclude}})
        return spec.resolve(polled.entries.keys(), polled.tables_by_subject)

    ids = list(polled.entries)
    assert resolved("*") == ids
    assert resolved("folk*") == [table for table in ids if table.startswith("FOLK")] != []
    assert resolved("*1") == [table for table in ids if table.endswith("1")] != []
    assert resolved("DN*", "FOLK1A") == [table for table in ids if table.startswith("DN") or table == "FOLK1A"]
    assert resolved("*", exclude=("[A-M]*",)) == [table for table in ids if not "A" <= table[0] <= "M"]
    assert resolved("FOLK1A", "FRKM125X") == ["FOLK1A", "FRKM125X"]


def test_the_tree_and_the_tables_below_a_subject(material: Path) -> None:
    """The recorded tree has no tables, so one is hung on every node."""
    raw = json.loads(only(material, "subjects/subjects_recursive_en*.json").read_text("utf-8"))
    assert [Subject.model_validate(node).id for node in raw] == [node["id"] for node in raw]

    def hang(node: dict[str, object]) -> None:
        node["tables"] = [{"id": f"T{node['id']}"}]
        for child in node["subjects"]:  # type: ignore[attr-defined]
            hang(child)

    for node in raw:
        hang(node)
    tree = tuple(Subject.model_validate(node) for node in raw)
    catalogue = Catalogue("x", "y", {}, tree)
    nodes = [path for root in tree for path in root.walk()]
    assert len(catalogue.places) == len(nodes)
    below = catalogue.tables_by_subject
    for path in nodes:
        here = f"T{path[-1].id}"
        for depth in range(1, len(path) + 1):
            assert here in below[path[depth - 1].id]
            # some titles end in a blank; nobody would type it
            titles = [node.description for node in path[:depth]]
            for spelled in ("/".join(map(str.strip, titles)).upper(), " / ".join(titles)):
                spec = FollowFile.model_validate({"tables": {"follow": [f"subject:{spelled}"]}})
                assert here in spec.resolve(list(catalogue.places), below)
        assert catalogue.places[here][0].titles == tuple(node.description.strip() for node in path)


def test_the_real_tree_has_342_nodes_on_three_levels(recorded: Path) -> None:
    raw = json.loads(only(recorded, "subjects/subjects_recursive_en*.json").read_text("utf-8"))
    nodes = [path for node in raw for path in Subject.model_validate(node).walk()]
    assert Counter(map(len, nodes)) == {1: 10, 2: 66, 3: 266}
    assert sum(not path[-1].active for path in nodes) == 29
    assert len({path[-1].id for path in nodes}) == 342


def test_the_real_headers(recorded: Path, tmp_path: Path) -> None:
    """As the real service sends it: text/json, no-cache, the request's id in its own spelling."""
    exchanges = json.loads((recorded / "http" / "exchanges_thoran.json").read_text("utf-8"))
    exchange = next(it for it in exchanges if it["file"] == "tables/tables_active_da_2025-09-06.json")
    headers = {name: values[0] for name, values in exchange["headers"].items() if name not in {"Date", "Server"}}
    content = (recorded / exchange["file"]).read_bytes()
    assert len(content) == exchange["bytes"]
    told = headers["Statbankapi-Request-Id"]
    refusal = json_reply({"errorTypeCode": "REQUEST-LANGUAGE", "message": None}, 400, headers={REQUEST_ID_HEADER: told})
    with ScriptedServer([Reply(exchange["status"], content, headers), refusal]).running() as server:
        client = client_of(server.url, tmp_path)
        assert len(client.tables()) == 2234
        with pytest.raises(SourceRefused, match=told):
            client.subjects()
