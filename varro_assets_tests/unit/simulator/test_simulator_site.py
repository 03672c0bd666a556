"""The web site beside the API: pages, CSV files and boundaries, byte for byte, and what can go wrong with them."""

from __future__ import annotations

import json
import re
from html import unescape
from urllib.parse import urljoin

import pytest
import requests

from varro_assets.simulator import Simulator, Universe
from varro_assets.simulator.classifications import Classification, Item, items

NUTS = "5d18d1e0-400b-4505-92ad-6782915980a3"
PAGES = "Statistik/dokumentation/nomenklaturer"
KNOWN = {
    "nuts": NUTS,
    "kommunegrupper": "edaa83b4-6045-4708-9493-bff4d71282d8",
    "amt-kom": "e6e3c1d3-df3b-4e69-bc2b-c5d3f343833c",
    "socio": "007fb11c-4b35-4c7a-ad2d-f0a2cb0155c0",
    "koen": "e267e7c0-d998-4922-b2c4-6b44b15dd149",
    "herkomst": "948ef1c3-072c-4d76-ba2b-ce7d34691593",
}


@pytest.fixture
def get(steady: Simulator):
    return lambda path, **more: requests.get(f"{steady.root}{path}", timeout=120, **more)


@pytest.fixture
def get_anew(simulator: Simulator):
    return lambda path, **more: requests.get(f"{simulator.root}{path}", timeout=120, **more)


def links(page: requests.Response) -> list[str]:
    return [urljoin(page.url, unescape(found)) for found in re.findall(r'href="([^"]*)"', page.text)]


def test_a_csv_file_is_as_published(get) -> None:
    answer = get(f"/site/klassifikationsbilag/{NUTS}csv_da")
    head = (
        "\ufeffSEKVENS;KODE;NIVEAU;TITEL;GENERELLE_NOTER;INKLUDERER;INKLUDERER_OGSÅ;EKSKLUDERER;PARAGRAF;MÅLEENHED\r\n"
        '1;"084";1;Region Hovedstaden;;;;;;\r\n'
        '2;"01";2;Landsdel Byen København;;;;;;\r\n'
        '3;"101";3;København;;;;;;\r\n'
    )
    assert answer.content.startswith(head.encode())
    assert answer.content.endswith(b'115;"851";3;Aalborg;;;;;;\r\n')
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "StatbankAPI-Request-Id" not in answer.headers


def test_the_recorded_file_is_served_byte_for_byte(get, recordings) -> None:
    recorded = (recordings / "classification" / "komgrp_kommunegrupper_da.csv").read_bytes()
    assert get(f"/site/klassifikationsbilag/{KNOWN['kommunegrupper']}csv_da").content == recorded


def test_the_english_file_has_english_titles(get) -> None:
    lines = get(f"/site/klassifikationsbilag/{NUTS}csv_en").content.decode("utf-8-sig").split("\r\n")
    assert lines[0].startswith("SEQUENCE;CODE;LEVEL;TITLE;")
    assert lines[2] == '2;"01";2;Province Byen København;;;;;;'


def test_fields_that_need_quotes_have_them() -> None:
    held = Classification("x", "X", "X", (), (), (Item("1", 1, 'a;b "c"', "d"), Item('2"', 1, "e", "f;")), "guid")
    assert held.csv("da").decode().split("\r\n")[1:] == ['1;"1";1;"a;b ""c""";;;;;;', '2;"2""";1;e;;;;;;', ""]
    assert held.csv("en").decode().split("\r\n")[2] == '2;"2""";1;"f;";;;;;;'


def test_nuts_has_every_level_complete() -> None:
    held = Universe.demo().classification("nuts")
    assert [sum(item.niveau == niveau for item in held.items) for niveau in (1, 2, 3)] == [5, 11, 99]
    parents: dict[str, str] = {}
    for item in held.items:
        if item.niveau == 2:
            province = item.kode
        if item.niveau == 3:
            parents[item.kode] = province
    assert (parents["400"], parents["461"], parents["751"], parents["851"]) == ("04", "07", "09", "11")


def test_every_page_describes_and_links_its_files(get, steady: Simulator) -> None:
    for held in steady.universe.classifications():
        for lang, paragraphs in (("da", held.text_da), ("en", held.text_en)):
            page = get(f"/site/{lang}/{PAGES}/{held.name}")
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            content = page.text[page.text.index('<div class="classificationheading">') :]
            assert f"<h1>{held.title(lang)}</h1>" in content
            assert all(f"<p>{text}</p>" in content for text in paragraphs)
            [file] = [link for link in links(page) if "klassifikationsbilag" in link]
            assert file == f"{steady.site_url}/klassifikationsbilag/{held.guid}csv_{lang}"
            assert requests.get(file, timeout=120).ok


def test_the_guids_of_the_real_ones_are_kept(steady: Simulator) -> None:
    guids = {held.name: held.guid for held in steady.universe.classifications()}
    assert KNOWN.items() <= guids.items()
    assert len(set(guids.values())) == len(guids)


def test_the_listing_leads_to_every_page(get, steady: Simulator) -> None:
    page = get(f"/site/da/{PAGES}")
    found = [link for link in links(page) if "/da/" in link and not link.endswith("nomenklaturer")]
    assert [link.rpartition("/")[2] for link in found] == [held.name for held in steady.universe.classifications()]
    assert all(requests.get(link, timeout=120).ok for link in found)


def test_other_names_of_a_page_lead_to_it(get) -> None:
    pages = {get(f"/site/da/{PAGES}/{name}").text for name in ("db", "db07", "dansk-branchekode-db07")}
    assert len(pages) == 1
    assert "Dansk Branchekode 2007" in pages.pop()


def test_case_does_not_matter(get) -> None:
    assert get("/SITE/da/statistik/Dokumentation/Nomenklaturer/NUTS").ok
    assert get(f"/site/Klassifikationsbilag/{NUTS.upper()}CSV_DA").ok


def test_a_moved_file_is_behind_a_page_with_status_200(get, steady: Simulator) -> None:
    [held] = [held for held in steady.universe.classifications() if held.moved]
    for lang in ("da", "en"):
        page = get(f"/site/klassifikationsbilag/{held.guid}csv_{lang}")
        assert (page.status_code, page.history) == (200, [])
        assert "<title>Object moved</title>" in page.text
        [target] = links(page)
        assert target.startswith(f"{steady.site_url}/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi=")
        assert requests.get(target, timeout=120).content == held.csv(lang)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/da",
        f"/da/{PAGES}/nosuch",
        f"/da/{PAGES}/nuts/more",
        f"/fr/{PAGES}/nuts",
        "/klassifikationsbilag",
        f"/klassifikationsbilag/{NUTS}csv_fr",
        f"/klassifikationsbilag/{NUTS.replace('5', '6')}csv_da",
        "/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi=1",
        "/Site/Dst/SingleFiles/GetArchiveFile.aspx",
    ],
)
def test_anything_else_is_a_page_that_says_404(get, path: str) -> None:
    answer = get(f"/site{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_boundaries(get) -> None:
    answer = get("/geo/regioner?format=geojson")
    assert answer.headers["Content-Type"].startswith("application/geo+json")
    layer = answer.json()
    assert (layer["type"], len(layer["features"])) == ("FeatureCollection", 5)
    assert get("/geo/Kommuner?format=GeoJSON").ok
    assert (get("/geo/nosuch?format=geojson").status_code, get("/geo").status_code) == (404, 404)
    assert get("/geo/kommuner").status_code == 400
    assert json.loads(get("/geo/nosuch").content)["title"]


def test_requests_are_logged_with_their_service(simulator: Simulator, get_anew) -> None:
    for path in (f"/site/da/{PAGES}/nuts", "/geo/regioner?format=geojson", "/v1/tables", "/elsewhere"):
        get_anew(path)
    assert [(line.service, line.function, line.status) for line in simulator.requests] == [
        ("site", "site", 200),
        ("geo", "geo", 200),
        ("api", "tables", 200),
        ("", "", 404),
    ]
    logged = requests.get(f"{simulator.control_url}/requests", timeout=120).json()
    assert [line["service"] for line in logged] == ["site", "geo", "api", ""]


def test_recorded_material_has_the_site_beside_it(tmp_path) -> None:
    with Simulator.recorded(tmp_path) as simulator:
        assert requests.get(f"{simulator.site_url}/klassifikationsbilag/{NUTS}csv_da", timeout=120).ok
        assert requests.get(f"{simulator.geo_url}/regioner?format=geojson", timeout=120).ok


class TestFaults:
    FILE = f"/site/klassifikationsbilag/{NUTS}csv_da"

    @pytest.mark.parametrize("path", ["site", "/site/klassifikationsbilag", FILE])
    def test_by_path(self, simulator: Simulator, get_anew, path: str) -> None:
        simulator.fault("server_error", path=path, status=502, count=2)
        assert requests.get(f"{simulator.url}/tables", timeout=120).ok
        assert get_anew("/geo/regioner?format=geojson").ok
        assert [get_anew(self.FILE).status_code for _ in range(3)] == [502, 502, 200]

    def test_a_path_is_of_no_page_beside_it(self, simulator: Simulator, get_anew) -> None:
        simulator.fault("server_error", path="/site/klassifikationsbilag", count=None)
        simulator.fault("server_error", path="geo", status=404, count=None)
        assert get_anew(f"/site/da/{PAGES}/nuts").ok
        assert get_anew("/geo/regioner?format=geojson").status_code == 404

    def test_a_fault_of_any_function_is_of_the_api_only(self, simulator: Simulator, get_anew) -> None:
        simulator.fault("server_error")
        assert get_anew(self.FILE).ok
        assert requests.get(f"{simulator.url}/tables", timeout=120).status_code == 500

    def test_html_with_status_200(self, simulator: Simulator, get_anew) -> None:
        simulator.fault("html", path="site")
        answer = get_anew(self.FILE)
        assert (answer.status_code, answer.text[:15]) == (200, "<!DOCTYPE html>")

    def test_cut(self, simulator: Simulator, get_anew) -> None:
        simulator.fault("cut", path=self.FILE, bytes=100)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            get_anew(self.FILE)
        assert get_anew(self.FILE).ok

    def test_timeout(self, simulator: Simulator) -> None:
        simulator.fault("timeout", path="geo", seconds=120)
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{simulator.geo_url}/regioner?format=geojson", timeout=0.2)

    def test_redirect_to_the_same_address_and_elsewhere(self, simulator: Simulator, get_anew) -> None:
        simulator.fault("redirect", path="site")
        answer = get_anew(self.FILE)
        assert [step.status_code for step in answer.history] == [302]
        assert answer.content == simulator.universe.classification("nuts").csv("da")
        simulator.fault("redirect", path="site", status=301, to="https://elsewhere.example.org/x", count=None)
        answer = get_anew(self.FILE, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (301, "https://elsewhere.example.org/x")

    def test_over_http(self, simulator: Simulator, get_anew) -> None:
        fault = {"kind": "redirect", "path": "geo", "to": "/site/da"}
        assert requests.post(f"{simulator.control_url}/faults", json=fault, timeout=120).ok
        assert get_anew("/geo/regioner?format=geojson", allow_redirects=False).headers["Location"] == "/site/da"


def test_writing_down_a_list() -> None:
    text = """
        1 Top / Summit
          2 Below
          3 Beside / Next to it
            2 Deep
        4 Other
    """
    assert items(text) == (
        Item("1", 1, "Top", "Summit"),
        Item("2", 2, "Below", "Below"),
        Item("3", 2, "Beside", "Next to it"),
        Item("2", 3, "Deep", "Deep"),
        Item("4", 1, "Other", "Other"),
    )


def test_every_list_is_a_hierarchy_with_unique_keys() -> None:
    repeated = set()
    for held in Universe.demo().classifications():
        level, keys = 0, set()
        for item in held.items:
            assert 1 <= item.niveau <= level + 1, (held.name, item)
            assert item.da, (held.name, item)
            assert item.en, (held.name, item)
            assert (item.kode, item.niveau) not in keys, (held.name, item)
            keys.add((item.kode, item.niveau))
            level = item.niveau
        if len({kode for kode, _ in keys}) < len(keys):
            repeated.add(held.name)
    assert repeated == {"byganv", "nr-branche"}
