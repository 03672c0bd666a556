"""The catalogue: how it is polled and kept, and what is described anew."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from varro_assets.engine import clock
from varro_assets.engine.http import Pace, Session
from varro_assets.errors import ConfigurationError, ForeignSource, SourceUnavailable, StorageFull
from varro_assets.simulator import Simulator
from varro_assets.statbank import catalog
from varro_assets.statbank.catalog import DOWN_AFTER, Catalogue, CatalogueFolder
from varro_assets.statbank.client import StatBank
from varro_assets.statbank.models import CatalogueEntry, Subject
from varro_assets_tests.scripted_server import Reply, ScriptedServer, json_reply
from varro_assets_tests.table_bodies import body, entry

TREE = [
    {
        "id": "A1",
        "description": "Borgere",
        "subjects": [
            {"id": "34", "description": "Befolkning/tal", "tables": [{"id": "FOLK1A"}, {"id": "BIL10"}]},
            {"id": "35", "description": "Andet", "tables": [{"id": "FOLK1A"}]},
        ],
    },
]


@pytest.fixture
def folder(tmp_path: Path) -> CatalogueFolder:
    return CatalogueFolder(tmp_path / "metadata")


def client_of(url: str, tmp_path: Path) -> StatBank:
    return StatBank(Session(Pace(tmp_path / "pace", url, 0), timeout=120.0, attempts=2, backoff=0.0), url)


def asked(simulator: Simulator) -> Counter[str]:
    counts = Counter(request.function for request in simulator.requests)
    simulator.forget_requests()
    return counts


# -- polling -----------------------------------------------------------------------------------------------------------


def test_the_first_poll(simulator: Simulator, folder: CatalogueFolder, tmp_path: Path) -> None:
    assert folder.read() is None
    poll = catalog.poll(client_of(simulator.url, tmp_path), folder)
    active = [table.id for table in simulator.universe.tables() if table.active]
    assert list(poll.catalogue.entries) == active == list(poll.moved)
    assert poll.gone == ()
    assert poll.catalogue.source == "simulator"
    assert asked(simulator) == {"tables": 1, "subjects": 1}
    kept = folder.read()
    assert kept == poll.catalogue
    assert kept is not None
    assert set(kept.places) >= set(active)
    names = [".lock", "catalog.json", "subjects.json", "subjects_graph_da.gml"]
    assert sorted(path.name for path in folder.folder.iterdir()) == names


def test_subjects_are_asked_for_only_when_a_table_appears(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path
) -> None:
    client = client_of(simulator.url, tmp_path)
    table = simulator.universe.tables()[0].id
    simulator.universe.withdraw(table, vanish=False)
    first = catalog.poll(client, folder)
    assert table not in first.catalogue.entries
    simulator.universe.touch(next(iter(first.catalogue.entries)))
    asked(simulator)
    again = catalog.poll(client, folder)
    assert asked(simulator) == {"tables": 1}
    assert again.moved == (next(iter(first.catalogue.entries)),)
    assert again.catalogue.subjects == first.catalogue.subjects


def test_a_table_that_appears_brings_its_place(folder: CatalogueFolder, tmp_path: Path) -> None:
    grown = [*TREE, {"id": "9", "description": "Nyt", "tables": [{"id": "NY1"}]}]
    script = [
        json_reply([entry("FOLK1A"), entry("BIL10")]),
        json_reply(TREE),
        json_reply([entry("FOLK1A", "2025-09-01T08:00:00"), entry("NY1")]),
        json_reply(grown),
        json_reply([entry("FOLK1A", "2024-01-01T08:00:00"), entry("NY1"), entry("BIL10")]),
    ]
    with ScriptedServer(script).running() as server:
        client = client_of(server.url, tmp_path)
        assert catalog.poll(client, folder).moved == ("FOLK1A", "BIL10")
        second = catalog.poll(client, folder)
        assert (second.moved, second.gone) == (("FOLK1A", "NY1"), ("BIL10",))
        assert [place.path for place in second.catalogue.places["NY1"]] == ["Nyt"]
        # back again: known to the tree all the while; and an older `updated` is a move like any other
        third = catalog.poll(client, folder)
        assert (third.moved, third.gone) == (("FOLK1A", "BIL10"), ())
        assert [path for path, _ in server.requests] == [
            "/v1/tables", "/v1/subjects", "/v1/tables", "/v1/subjects", "/v1/tables",
        ]  # fmt: skip
    kept = folder.read()
    assert kept is not None
    assert kept.source == server.url.removeprefix("http://").removesuffix("/v1")


def test_places_and_the_tables_below_a_subject() -> None:
    catalogue = Catalogue("x", "y", {}, tuple(Subject.model_validate(node) for node in TREE))
    assert [place.path for place in catalogue.places["FOLK1A"]] == ["Borgere/Befolkning/tal", "Borgere/Andet"]
    assert [place.ids for place in catalogue.places["BIL10"]] == [("A1", "34")]
    assert catalogue.tables_by_subject == {
        "a1": {"FOLK1A", "BIL10"},
        "borgere": {"FOLK1A", "BIL10"},
        "34": {"FOLK1A", "BIL10"},
        "borgere/befolkning/tal": {"FOLK1A", "BIL10"},
        "35": {"FOLK1A"},
        "borgere/andet": {"FOLK1A"},
    }


def test_another_source_is_not_let_in(simulator: Simulator, folder: CatalogueFolder, tmp_path: Path) -> None:
    catalog.poll(client_of(simulator.url, tmp_path), folder)
    before = (folder.folder / "catalog.json").read_bytes()
    with ScriptedServer([json_reply([entry("FOLK1A")]), json_reply(TREE)]).running() as server:
        with pytest.raises(ForeignSource) as caught:
            catalog.poll(client_of(server.url, tmp_path), folder)
        assert len(server.requests) == 1
    assert "it holds simulator" in str(caught.value)
    assert "DATA_DIR" in str(caught.value)
    assert (folder.folder / "catalog.json").read_bytes() == before
    # the simulator at another port is the same source
    with Simulator(simulator.universe) as elsewhere:
        catalog.poll(client_of(elsewhere.url, tmp_path), folder)


def test_the_name_of_a_source_holds_no_password(folder: CatalogueFolder, tmp_path: Path) -> None:
    with ScriptedServer([json_reply([entry("FOLK1A")]), json_reply(TREE)]).running() as server:
        url = server.url.replace("://", "://user:hemmelig@")
        assert "hemmelig" not in catalog.poll(client_of(url, tmp_path), folder).catalogue.source


@pytest.mark.parametrize("days", [-2, 365])
def test_a_subject_tree_that_is_old_or_of_the_future_is_asked_for_when_something_changed(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, days: int
) -> None:
    client = client_of(simulator.url, tmp_path)
    catalog.poll(client, folder)
    path = folder.folder / "catalog.json"
    stored = json.loads(path.read_text("utf-8"))
    # 365: the clock was a year ahead then, and has been put right
    stamp = datetime.fromisoformat(stored["subjects_fetched_at"]) + timedelta(days=days)
    path.write_text(json.dumps(stored | {"subjects_fetched_at": stamp.isoformat()}), "utf-8")
    asked(simulator)
    simulator.universe.touch("FOLK1A")
    catalog.poll(client, folder)
    assert asked(simulator) == {"tables": 1, "subjects": 1}


@pytest.mark.parametrize("failing", ["tables", "subjects"])
def test_a_poll_that_fails_leaves_what_was_there(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, failing: str
) -> None:
    client = client_of(simulator.url, tmp_path)
    folder.write(Catalogue("simulator", "then", {"AA1": CatalogueEntry.model_validate(entry("AA1"))}))
    before = (folder.folder / "catalog.json").read_bytes()
    simulator.fault("server_error", path=failing, count=None)
    with pytest.raises(SourceUnavailable):
        catalog.poll(client, folder)
    assert [path.name for path in folder.folder.iterdir()] == ["catalog.json"]
    assert (folder.folder / "catalog.json").read_bytes() == before


def test_the_catalogue_is_written_last_and_whole(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = catalog.write_json

    def full(path: Path, value: Any) -> None:
        if path.name == "catalog.json":
            raise StorageFull("write", on=str(path))
        write(path, value)

    monkeypatch.setattr(catalog, "write_json", full)
    with pytest.raises(StorageFull):
        catalog.poll(client_of(simulator.url, tmp_path), folder)
    assert folder.read() is None
    monkeypatch.undo()
    assert len(catalog.poll(client_of(simulator.url, tmp_path), folder).moved) > 0


# -- two polls at once -------------------------------------------------------------------------------------------------


def once(monkeypatch: pytest.MonkeyPatch, client: StatBank, asks: str, act: Callable[[], Any]) -> None:
    """Have ``act`` happen when the client was answered for the first time."""
    real, done = getattr(client, asks), []

    def patched() -> Any:
        answer = real()
        if not done:
            done.append(asks)
            act()
        return answer

    monkeypatch.setattr(client, asks, patched)


@pytest.mark.parametrize("polled_before", [False, True])
@pytest.mark.parametrize("asks", ["tables", "subjects"])
def test_what_was_asked_earlier_overwrites_nothing_that_was_asked_later(
    simulator: Simulator,
    folder: CatalogueFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ticking: None,
    asks: str,
    polled_before: bool,
) -> None:
    client, later = client_of(simulator.url, tmp_path), client_of(simulator.url, tmp_path)
    if polled_before:
        catalog.poll(client, folder)
        (folder.folder / "subjects.json").unlink()  # so that the tree is asked for
    found: list[catalog.Poll] = []

    def meanwhile() -> None:
        simulator.universe.touch("FOLK1A")
        found.append(catalog.poll(later, folder))

    once(monkeypatch, client, asks, meanwhile)
    earlier = catalog.poll(client, folder)

    (newer,) = found
    assert folder.read() == newer.catalogue == earlier.catalogue
    assert (earlier.moved, earlier.gone) == ((), ())


def test_what_was_asked_later_overwrites_what_was_asked_earlier_and_came_late(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: None
) -> None:
    early, late = client_of(simulator.url, tmp_path), client_of(simulator.url, tmp_path)
    found: list[catalog.Poll] = []
    answered, go_on = threading.Event(), threading.Event()

    def stand() -> None:
        answered.set()
        assert go_on.wait(240.0)

    def end_the_other() -> None:
        go_on.set()
        other.join(240.0)

    once(monkeypatch, early, "tables", stand)
    once(monkeypatch, late, "tables", end_the_other)
    other = threading.Thread(target=lambda: found.append(catalog.poll(early, folder)))
    other.start()
    try:
        assert answered.wait(240.0)
        simulator.universe.touch("FOLK1A")
        newer = catalog.poll(late, folder)
    finally:
        end_the_other()

    assert folder.read() == newer.catalogue
    assert newer.catalogue.entries["FOLK1A"] != found[0].catalogue.entries["FOLK1A"]


def test_nothing_comes_between_looking_and_writing(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: None
) -> None:
    client, later = client_of(simulator.url, tmp_path), client_of(simulator.url, tmp_path)
    found: list[catalog.Poll] = []
    asked_all = threading.Event()
    other = threading.Thread(target=lambda: found.append(catalog.poll(later, folder)))
    write = CatalogueFolder.write

    def writing(self: CatalogueFolder, catalogue: Catalogue) -> None:
        if threading.current_thread() is not other:
            simulator.universe.touch("FOLK1A")
            other.start()
            # all that the other has left to do is to look and to write, for which it must wait
            assert asked_all.wait(240.0)
            assert folder.read() is None
        write(self, catalogue)

    once(monkeypatch, later, "subjects", asked_all.set)
    monkeypatch.setattr(CatalogueFolder, "write", writing)
    catalog.poll(client, folder)
    other.join(240.0)

    assert folder.read() == found[0].catalogue


def test_a_poll_of_the_future_is_overwritten(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was a year ahead when the other poll began, and was put right before this one ended."""
    client, other = client_of(simulator.url, tmp_path), client_of(simulator.url, tmp_path)

    def meanwhile() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(days=365))
            catalog.poll(other, folder)

    once(monkeypatch, client, "tables", meanwhile)
    mine = catalog.poll(client, folder)

    assert folder.read() == mine.catalogue
    assert catalog.poll(client, folder).catalogue == folder.read()


def test_another_source_is_not_let_in_meanwhile(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer([json_reply([entry("FOLK1A")]), json_reply(TREE)]).running() as server:
        client, other = client_of(server.url, tmp_path), client_of(simulator.url, tmp_path)
        once(monkeypatch, client, "tables", lambda: catalog.poll(other, folder))
        with pytest.raises(ForeignSource):
            catalog.poll(client, folder)
    kept = folder.read()
    assert kept is not None
    assert kept.source == "simulator"


def test_a_subject_tree_that_came_meanwhile_stays(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticking: None
) -> None:
    """The tables were asked for later than the other poll's, and the tree not at all."""
    client = client_of(simulator.url, tmp_path)
    first = catalog.poll(client, folder).catalogue
    grown = (*first.subjects, Subject.model_validate(TREE[0]))

    def meanwhile() -> None:
        folder.write(Catalogue(first.source, "then", first.entries, grown, "then", first.asked_at))

    once(monkeypatch, client, "tables", meanwhile)
    catalog.poll(client, folder)

    kept = folder.read()
    assert kept is not None
    assert (kept.subjects, kept.subjects_fetched_at) == (grown, "then")


def test_a_catalogue_of_an_earlier_version_is_polled_as_ever(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path
) -> None:
    client = client_of(simulator.url, tmp_path)
    catalog.poll(client, folder)
    path = folder.folder / "catalog.json"
    stored = json.loads(path.read_text("utf-8"))
    del stored["asked_at"]
    path.write_text(json.dumps(stored), "utf-8")
    simulator.universe.touch("FOLK1A")

    assert catalog.poll(client, folder).moved == ("FOLK1A",)
    kept = folder.read()
    assert kept is not None
    assert kept.asked_at


# -- what lies on disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["catalog.json", "subjects.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"7", b"\xff\xfe", b'"text"', b'[{"id": 1}]', b'{"tables": [{"id": "../x"}]}']
)
def test_a_damaged_file_is_named(
    simulator: Simulator, folder: CatalogueFolder, tmp_path: Path, name: str, content: bytes
) -> None:
    catalog.poll(client_of(simulator.url, tmp_path), folder)
    damaged = folder.folder / name
    damaged.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        folder.read()
    assert str(damaged) in str(caught.value)
    assert "Delete the file and poll again" in str(caught.value)
    # and that helps
    damaged.unlink()
    catalog.poll(client_of(simulator.url, tmp_path), folder)
    assert folder.read() is not None


def test_a_description_is_kept_as_it_was_sent(folder: CatalogueFolder) -> None:
    assert folder.tableinfo("FOLK1A") is None
    assert folder.tableinfo_age("FOLK1A") == float("inf")
    sent = body(somethingNew=[1, None, "æ"])
    folder.write_tableinfo("FOLK1A", sent)
    assert folder.raw_tableinfo("folk1a") == sent
    kept = folder.tableinfo("FOLK1A")
    assert kept is not None
    assert kept.tids == ("2024K1", "2024K2")
    assert 0.0 <= folder.tableinfo_age("FOLK1A") < 3600
    assert folder.tableinfo_path("FOLK1A").name == "FOLK1A.json"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", json.dumps(body(variables=[])).encode()])
def test_a_damaged_description_counts_as_none(folder: CatalogueFolder, content: bytes) -> None:
    path = folder.tableinfo_path("FOLK1A")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert folder.tableinfo("FOLK1A") is None


# -- describing --------------------------------------------------------------------------------------------------------


def a_catalogue(*tables: str, updated: str = "2025-08-11T08:00:00") -> Catalogue:
    entries = {table: CatalogueEntry.model_validate(entry(table, updated)) for table in tables}
    return Catalogue("here", "now", entries)


def test_only_what_moved_is_described(folder: CatalogueFolder, tmp_path: Path) -> None:
    told: list[str] = []
    script = [json_reply(body("AA1")), json_reply(body("BB2"))]
    with ScriptedServer(script).running() as server:
        client = client_of(server.url, tmp_path)
        wanted = ["AA1", "GONE1", "BB2"]
        assert catalog.describe(client, folder, wanted, a_catalogue("AA1", "BB2", "CC3"), told.append) == (
            ["AA1", "BB2"], {},
        )  # fmt: skip
        assert told == ["AA1", "BB2"]
        assert catalog.describe(client, folder, wanted, a_catalogue("AA1", "BB2")) == ([], {})
        assert len(server.requests) == 2


def test_a_damaged_description_is_fetched_anew(folder: CatalogueFolder, tmp_path: Path) -> None:
    for table in ("AA1", "BB2"):
        folder.write_tableinfo(table, body(table))
    folder.tableinfo_path("AA1").write_text("{")
    with ScriptedServer([json_reply(body("AA1"))]).running() as server:
        client = client_of(server.url, tmp_path)
        assert catalog.describe(client, folder, ["AA1", "BB2"], a_catalogue("AA1", "BB2")) == (["AA1"], {})
    assert folder.tableinfo("AA1") is not None


def test_one_tables_failure_stops_no_other(folder: CatalogueFolder, tmp_path: Path) -> None:
    unknown = json_reply({"errorTypeCode": "EXTRACT-NOTFOUND", "message": "Tabel findes ikke: BB2"}, 400)
    script = [
        json_reply(body("AA1")),
        unknown,
        json_reply([]),
        Reply(503),
        Reply(503),
        json_reply(body("EE5")),
        json_reply(body("FF6"), length=10_000),
        json_reply(body("GG7")),
    ]
    tables = ["AA1", "BB2", "CC3", "DD4", "EE5", "FF6", "GG7"]
    with ScriptedServer(script).running() as server:
        described, failed = catalog.describe(client_of(server.url, tmp_path), folder, tables, a_catalogue(*tables))
        assert len(server.requests) == len(script)
    assert described == ["AA1", "EE5", "GG7"]
    assert list(failed) == ["BB2", "CC3", "DD4", "FF6"]
    assert "Tabel findes ikke" in failed["BB2"]
    assert "HTTP 503" in failed["DD4"]
    assert folder.tableinfo("FF6") is None


def test_a_service_that_is_down_is_not_asked_for_every_table(folder: CatalogueFolder, tmp_path: Path) -> None:
    tables = [f"T{number}" for number in range(50)]
    with ScriptedServer([json_reply(body("T0")), Reply(503)]).running() as server:
        with pytest.raises(SourceUnavailable):
            catalog.describe(client_of(server.url, tmp_path), folder, tables, a_catalogue(*tables))
        assert len(server.requests) == 1 + 2 * DOWN_AFTER
    assert folder.tableinfo("T0") is not None


def test_when_everything_failed_it_is_said_so(folder: CatalogueFolder, tmp_path: Path) -> None:
    with ScriptedServer([Reply(503)]).running() as server, pytest.raises(SourceUnavailable):
        catalog.describe(client_of(server.url, tmp_path), folder, ["AA1"], a_catalogue("AA1"))


def test_a_full_disk_stops_everything(folder: CatalogueFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: Any) -> None:
        raise StorageFull("write", on=str(path))

    monkeypatch.setattr(catalog, "write_json", full)
    with ScriptedServer([json_reply(body("AA1"))]).running() as server:
        with pytest.raises(StorageFull):
            catalog.describe(client_of(server.url, tmp_path), folder, ["AA1", "BB2"], a_catalogue("AA1", "BB2"))
        assert len(server.requests) == 1
