"""Fetching classifications: which addresses are asked in which order, and what each answer means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from varro_assets.dimensions.classifications import publisher as publishing
from varro_assets.dimensions.classifications.publisher import Publisher
from varro_assets.dimensions.classifications.registry import BUILT_IN, Source
from varro_assets.dimensions.classifications.store import Classification
from varro_assets.engine.http import Pace, Session
from varro_assets.errors import BrokenStream, ConfigurationError, SourceUnavailable, UnexpectedResponse
from varro_assets.simulator import Simulator
from varro_assets_tests.scripted_server import HTML_TYPE, Reply, ScriptedServer

GUID = "11111111-1111-4111-8111-111111111111"
SEEN = "22222222-2222-4222-8222-222222222222"
SOURCE = Source("x", "/da/x", "/en/x", f"/klassifikationsbilag/{SEEN}csv_da", f"/klassifikationsbilag/{SEEN}csv_en")
ARCHIVE = "/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi=3&amp;fo=0"
DANISH = '\ufeffSEKVENS;KODE;NIVEAU;TITEL\r\n1;"01";1;Æbler\r\n2;"";1;Uden kode\r\n'.encode()
ENGLISH = '\ufeffSEQUENCE;CODE;LEVEL;TITLE\r\n1;"01";1;Apples\r\n'.encode()


def csv(data: bytes, **options: Any) -> Reply:
    return Reply(body=data, content_type="text/csv; charset=utf-8", **options)


def html(text: str, status: int = 200, **options: Any) -> Reply:
    return Reply(status, text.encode(), content_type=HTML_TYPE, **options)


def page(title: str, *files: str) -> Reply:
    links = "".join(f'<a href="{file}">CSV</a>' for file in files)
    return html(f'<main><div class="classificationheading"><h1>{title}</h1><p>Tekst</p></div>{links}</main>')


GONE = html("<h1>Siden findes ikke</h1>", 404)
MOVED = html(f'<h2>Object moved to <a href="{ARCHIVE}">here</a>.</h2>')
PAGE_DA = page("Frugt", f"/klassifikationsbilag/{GUID}csv_da")
PAGE_EN = page("Fruit", f"/klassifikationsbilag/{GUID}csv_en")


@contextmanager
def answering(*script: Reply, **options: Any) -> Iterator[tuple[Publisher, ScriptedServer]]:
    with ScriptedServer(list(script)).running() as server:
        root = server.url.removesuffix("/v1")
        session = Session(Pace(Path(), root, 0), **{"timeout": 120.0, "backoff": 0.0, "attempts": 2} | options)
        yield Publisher(session, f"{root}/"), server


def fetched(source: Source, *script: Reply) -> tuple[Classification, list[str], list[str]]:
    """What came, the paths asked for, and the publisher's remarks."""
    with answering(*script) as (publisher, server):
        classification = publisher.fetch(source)
        return classification, [path for path, _ in server.requests], publisher.remarks


def refused(source: Source, *script: Reply) -> UnexpectedResponse:
    with answering(*script) as (publisher, _), pytest.raises(UnexpectedResponse) as caught:
        publisher.fetch(source)
    assert " x" in caught.value.problem
    return caught.value


# -- a whole classification --------------------------------------------------------------------------------------------


def test_pages_come_first_and_their_links_count() -> None:
    found, asked, remarks = fetched(SOURCE, PAGE_DA, PAGE_EN, csv(DANISH), csv(ENGLISH))
    assert asked == [
        "/da/x", "/en/x", f"/klassifikationsbilag/{GUID}csv_da", f"/klassifikationsbilag/{GUID}csv_en",
    ]  # fmt: skip
    assert (found.name, found.title) == ("x", "Frugt")
    assert (found.info_da, found.info_en) == ("# Frugt\n\nTekst", "# Fruit\n\nTekst")
    assert [(row.kode, row.titel) for row in found.rows_da] == [("01", "Æbler"), ("", "Uden kode")]
    assert [row.titel for row in found.rows_en or []] == ["Apples"]
    assert urlsplit(found.source_url).path == asked[2]
    assert urlsplit(found.page_url).path == "/da/x"
    assert remarks == []


@pytest.mark.parametrize("name", ["nuts", "amt_kom", "lande_uhv", "byganv", "overtraedtype"])
def test_the_simulated_site(simulator: Simulator, tmp_path: Path, name: str) -> None:
    site = f"{simulator.root}/site"
    found = Publisher(Session(Pace(tmp_path, site, 0)), site).fetch(BUILT_IN[name])
    assert found.rows_en is not None
    assert [row.kode for row in found.rows_da] == [row.kode for row in found.rows_en]
    assert found.info_da.startswith(f"# {found.title}\n\n")
    assert found.info_en
    assert found.page_url.startswith(f"{site}/da/")


# -- what may be missing -----------------------------------------------------------------------------------------------


def test_pages_that_are_gone_are_no_obstacle_where_the_file_is_known() -> None:
    found, asked, remarks = fetched(SOURCE, GONE, GONE, csv(DANISH), csv(ENGLISH))
    assert asked[2:] == [urlsplit(found.source_url).path, f"/klassifikationsbilag/{SEEN}csv_en"]
    assert found.source_url.endswith(SOURCE.csv_da)
    assert (found.title, found.info_da, found.info_en, found.page_url) == ("x", "", "", "")
    assert [remark.rpartition("/")[2] for remark in remarks] == ["x (HTTP 404)"] * 2


def test_a_page_that_is_none_is_no_obstacle_either() -> None:
    found, _, remarks = fetched(SOURCE, csv(DANISH), PAGE_EN, csv(DANISH), csv(ENGLISH))
    assert (found.info_da, found.info_en) == ("", "# Fruit\n\nTekst")
    assert len(remarks) == 1


def test_the_address_seen_before_is_asked_where_the_link_leads_nowhere() -> None:
    found, asked, _ = fetched(SOURCE, PAGE_DA, PAGE_EN, GONE, csv(DANISH), GONE)
    assert asked[2:4] == [f"/klassifikationsbilag/{GUID}csv_da", f"/klassifikationsbilag/{SEEN}csv_da"]
    assert found.source_url.endswith(SOURCE.csv_da)


def test_a_link_to_another_site_is_not_followed() -> None:
    _, asked, _ = fetched(
        SOURCE, page("Frugt", f"https://example.org/klassifikationsbilag/{GUID}csv_da"), GONE, csv(DANISH), GONE
    )
    assert asked[2] == SOURCE.csv_da


@pytest.mark.parametrize(
    ("answer", "remark"),
    [
        (GONE, ""),
        (html("<h1>Kun på dansk</h1>"), "page instead of a CSV file"),
        (csv(ENGLISH.splitlines()[0]), "no lines below the header"),
        (html("nej", 400), "HTTP 400"),
    ],
)
def test_english_may_be_missing(answer: Reply, remark: str) -> None:
    found, _, remarks = fetched(SOURCE, PAGE_DA, GONE, csv(DANISH), answer)
    assert found.rows_en is None
    assert len(found.rows_da) == 2
    assert not remark or remark in remarks[-1]


def test_english_is_asked_for_beside_the_danish_file_of_the_same_revision() -> None:
    found, asked, _ = fetched(replace(SOURCE, page_en="", csv_en=""), PAGE_DA, csv(DANISH), csv(ENGLISH))
    assert asked[2] == f"/klassifikationsbilag/{GUID}csv_en"
    assert found.rows_en is not None
    found, asked, _ = fetched(SOURCE, PAGE_DA, GONE, csv(DANISH), GONE, csv(ENGLISH))
    assert asked[3:] == [f"/klassifikationsbilag/{GUID}csv_en"]
    assert found.rows_en is None


def test_a_fault_that_may_pass_takes_no_english_away() -> None:
    with answering(PAGE_DA, PAGE_EN, csv(DANISH), Reply(503)) as (publisher, _), pytest.raises(SourceUnavailable):
        publisher.fetch(SOURCE)
    with answering(PAGE_DA, Reply(503)) as (publisher, _), pytest.raises(SourceUnavailable):
        publisher.fetch(SOURCE)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_file_that_is_gone_says_what_to_do() -> None:
    error = refused(SOURCE, GONE, GONE, GONE)
    assert "there is no file at http" in error.got
    assert "varro dims add x --page URL" in error.todo


def test_a_classification_without_any_address_says_so() -> None:
    unknown = replace(SOURCE, csv_da="", csv_en="")
    assert "links to none" in refused(unknown, page("Frugt"), PAGE_EN).got
    assert "/da/x (HTTP 404)" in refused(unknown, GONE, GONE).got
    assert "it has no page" in refused(Source("x"), GONE).got


def test_a_page_in_place_of_the_file_is_refused() -> None:
    assert "page instead of a CSV file" in refused(SOURCE, PAGE_DA, PAGE_EN, html("<h1>Lukket</h1>")).got


def test_another_status_is_refused() -> None:
    assert "HTTP 403" in refused(SOURCE, PAGE_DA, PAGE_EN, html("nej", 403)).got


def test_an_answer_beyond_reason_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "LARGEST", 1 << 20)
    assert "more than 1 MiB" in refused(SOURCE, PAGE_DA, PAGE_EN, csv(DANISH + b"x" * (1 << 20))).got
    assert "more than 1 MiB" in refused(SOURCE, html("<p>" + "x" * (1 << 20)), PAGE_EN).got


def test_an_answer_cut_short_is_transient() -> None:
    cut = csv(DANISH, length=len(DANISH) + 10)
    with answering(PAGE_DA, PAGE_EN, cut) as (publisher, _), pytest.raises(BrokenStream):
        publisher.fetch(SOURCE)


# -- moved -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302])
def test_the_page_that_says_moved_is_followed(status: int) -> None:
    moved = replace(MOVED, status=status)
    found, asked, _ = fetched(SOURCE, PAGE_DA, PAGE_EN, moved, csv(DANISH), moved, csv(ENGLISH))
    assert asked[3] == "/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi=3&fo=0"
    # the address that lasts is the one that was asked
    assert found.source_url.endswith(f"/klassifikationsbilag/{GUID}csv_da")
    assert len(found.rows_en or []) == 1


def test_a_redirection_is_followed() -> None:
    away = Reply(302, b"", {"Location": "/Site/x"}, HTML_TYPE)
    found, asked, _ = fetched(SOURCE, PAGE_DA, PAGE_EN, away, csv(DANISH), GONE)
    assert asked[3] == "/Site/x"
    assert len(found.rows_da) == 2


def test_moved_is_followed_twice_and_no_more() -> None:
    found, _, _ = fetched(SOURCE, PAGE_DA, PAGE_EN, MOVED, MOVED, csv(DANISH), GONE)
    assert len(found.rows_da) == 2
    assert "moved more than 2 times" in refused(SOURCE, PAGE_DA, PAGE_EN, MOVED, MOVED, MOVED).got


@pytest.mark.parametrize("target", ["https://example.org/x", "http://127.0.0.1:9/x", "//example.org/x"])
def test_moved_to_another_site_is_refused(target: str) -> None:
    moved = html(f'<h2>Object moved to <a href="{target}">here</a>.</h2>')
    assert "another site" in refused(SOURCE, PAGE_DA, PAGE_EN, moved).got


def test_a_redirection_to_another_site_is_refused() -> None:
    with ScriptedServer([csv(DANISH)]).running() as other:
        away = Reply(302, b"", {"Location": f"{other.url}/x"}, HTML_TYPE)
        assert "leads to another site" in refused(SOURCE, PAGE_DA, PAGE_EN, away).got


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a.dk/x", "http://A.dk/y", True),
        ("http://a.dk/x", "https://a.dk/y", True),
        ("https://a.dk/x", "http://a.dk/y", False),
        ("https://a.dk/x", "https://a.dk:443/y", True),
        ("https://a.dk/x", "https://a.dk:8443/y", False),
        ("https://a.dk/x", "https://a.dk.example.org/y", False),
        ("https://a.dk/x", "https://a.dk:b/y", False),
        ("https://a.dk/x", "ftp://a.dk/y", False),
    ],
)
def test_what_the_same_site_is(one: str, other: str, same: bool) -> None:
    assert publishing._same_site(one, other) == same


# -- an address somebody chose -----------------------------------------------------------------------------------------


def test_an_address_that_was_chosen_is_taken_and_not_the_pages_link() -> None:
    with answering(PAGE_DA, PAGE_EN, csv(DANISH), csv(ENGLISH)) as (publisher, server):
        root = server.url.removesuffix("/v1")
        found = publisher.fetch(replace(SOURCE, csv_da=f"{root}/mine.csv", csv_en=f"{root}/mine_en.csv"))
        assert [path for path, _ in server.requests][2:] == ["/mine.csv", "/mine_en.csv"]
    assert found.source_url == f"{root}/mine.csv"


def test_a_local_file_is_read_without_a_request(tmp_path: Path) -> None:
    file = tmp_path / "frugt æ.csv"
    file.write_bytes(DANISH)
    found, asked, _ = fetched(Source("x", csv_da=file.as_uri()), GONE)
    assert asked == []
    assert (found.title, len(found.rows_da), found.rows_en) == ("x", 2, None)
    assert found.source_url == file.as_uri()


def test_a_local_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    source = Source("x", csv_da=(tmp_path / "absent.csv").as_uri())
    with answering(GONE) as (publisher, _), pytest.raises(ConfigurationError, match=r"absent\.csv"):
        publisher.fetch(source)


def test_a_local_file_is_read_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "LARGEST", 1 << 20)
    file = tmp_path / "large.csv"
    file.write_bytes(DANISH + b"x" * (1 << 20))
    assert "more than 1 MiB" in refused(Source("x", csv_da=file.as_uri()), GONE).got
