"""The registry of classifications: what is built in, and how the user's file is read and changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from varro_assets.dimensions.classifications import registry
from varro_assets.dimensions.classifications.registry import BUILT_IN, Source
from varro_assets.dimensions.models import dimension_name
from varro_assets.errors import ConfigurationError

PAGE = "https://www.dst.dk/da/Statistik/dokumentation/nomenklaturer/valuta-iso"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / registry.FILE_NAME


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_built_in() -> None:
    assert len(BUILT_IN) >= 20
    for name, source in BUILT_IN.items():
        assert source.name == name == dimension_name(name)
        assert source.page_da.startswith("/da/")
        assert source.page_en == source.page_da.replace("/da/", "/en/", 1)
        assert source.csv_en == source.csv_da.replace("csv_da", "csv_en")
    nuts = BUILT_IN["nuts"]
    assert nuts.page_da == "/da/Statistik/dokumentation/nomenklaturer/nuts"
    assert nuts.csv_da == "/klassifikationsbilag/5d18d1e0-400b-4505-92ad-6782915980a3csv_da"
    assert nuts.level_names == {1: "Region", 2: "Landsdel", 3: "Kommune"}
    assert BUILT_IN["amt_kom"].page_da.endswith("/amt-kom")


def test_a_missing_file_adds_nothing(path: Path) -> None:
    assert registry.read(path) == BUILT_IN
    assert not path.exists()


def test_the_users_own_stand_beside_the_built_in(path: Path) -> None:
    written(path, f'[valuta-iso]\npage = "{PAGE}"\n[mine]\nfile = "lists/mine.csv"\nskip_blank = true\n')
    sources = registry.read(path)
    assert sources["valuta_iso"] == Source("valuta_iso", PAGE, PAGE.replace("/da/", "/en/"))
    mine = sources["mine"]
    assert (registry.local_file(mine.csv_da), mine.skip_blank) == (path.parent / "lists" / "mine.csv", True)
    assert set(sources) == {*BUILT_IN, "valuta_iso", "mine"}


def test_an_entry_changes_what_it_says_of_a_built_in_one(path: Path) -> None:
    sources = registry.read(written(path, '[nuts]\ncsv = "https://example.org/n.csv"\n[ecoicop]\nskip_blank = false\n'))
    nuts = sources["nuts"]
    assert (nuts.csv_da, nuts.csv_en) == ("https://example.org/n.csv", "")
    assert (nuts.page_da, nuts.level_names) == (BUILT_IN["nuts"].page_da, BUILT_IN["nuts"].level_names)
    assert (BUILT_IN["ecoicop"].skip_blank, sources["ecoicop"].skip_blank) == (True, False)


def test_another_page_drops_the_guid_seen_on_the_old_one(path: Path) -> None:
    nuts = registry.read(written(path, '[nuts]\npage = "/en/Statistik/nuts?id=1"\n'))["nuts"]
    assert (nuts.page_da, nuts.page_en) == ("/da/Statistik/nuts?id=1", "/en/Statistik/nuts?id=1")
    assert (nuts.csv_da, nuts.csv_en) == ("", "")


def test_an_english_file_of_ones_own(path: Path) -> None:
    text = '[x]\ncsv = "~/da.csv"\ncsv_en = "https://example.org/en.csv"\n'
    source = registry.read(written(path, text))["x"]
    assert registry.local_file(source.csv_da) == Path("~/da.csv").expanduser()
    assert source.csv_en == "https://example.org/en.csv"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[x", "Unexpected end of file"),
        ("x = 1", "x: "),
        ("[x]", "x: needs a page, csv or file"),
        ("[x]\npage = 1", "x.page"),
        ('[x]\npgae = "https://a.dk"', "x.pgae"),
        ('[x]\npage = "ftp://a.dk/x"', "x.page"),
        ('[x]\npage = "//a.dk/x"', "x.page"),
        ('[x]\npage = "https://a.dk:99999/x"', "x.page"),
        ('[x]\ncsv = "a.csv"\nfile = "a.csv"', "x.file"),
        ('[x]\ncsv = "a.csv"\nskip_blank = "yes"', "x.skip_blank"),
        ('[x_tree]\ncsv = "a.csv"', "x_tree"),
        ('["x y"]\ncsv = "a.csv"', "x y: a name has letters"),
        ('[a-b]\ncsv = "a.csv"\n[a_b]\ncsv = "a.csv"', "a_b: stands twice"),
    ],
)
def test_what_means_nothing_is_named_with_file_and_key(path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.read(written(path, text))
    assert caught.value.on == str(path)
    assert told in caught.value.got
    with pytest.raises(ConfigurationError):
        registry.add(path, "fine", page=PAGE)
    with pytest.raises(ConfigurationError):
        registry.remove(path, "x")
    assert path.read_text(encoding="utf-8") == text


def test_what_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"# \xe6")
    with pytest.raises(ConfigurationError, match="utf-8"):
        registry.read(path)


def test_adding_makes_the_file_and_says_what_is_now_known(path: Path) -> None:
    source = registry.add(path, "Valuta-ISO", page=f" {PAGE} ", skip_blank=True)
    assert source == Source("valuta_iso", PAGE, PAGE.replace("/da/", "/en/"), skip_blank=True)
    assert registry.read(path)["valuta_iso"] == source


def test_adding_and_removing_keep_comments_and_order(path: Path) -> None:
    written(path, f'# mine\n[valuta-iso]  # money\npage = "{PAGE}" # seen\n\n[nuts]\nskip_blank = true\n')
    registry.add(path, "valuta_iso", csv="https://example.org/v.csv")
    text = path.read_text(encoding="utf-8")
    for kept in ("# mine\n", "[valuta-iso]  # money\n", "# seen\n", "[nuts]\nskip_blank = true\n"):
        assert kept in text
    assert registry.read(path)["valuta_iso"].csv_da == "https://example.org/v.csv"
    assert registry.remove(path, "nuts")
    assert registry.read(path)["nuts"] == BUILT_IN["nuts"]
    assert not registry.remove(path, "nuts")
    assert "# mine\n" in path.read_text(encoding="utf-8")


def test_one_file_takes_the_place_of_the_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path.parent / "a.csv").write_text("x", encoding="utf-8")
    monkeypatch.chdir(path.parent)
    registry.add(path, "x", csv="https://example.org/x.csv")
    assert registry.local_file(registry.add(path, "x", file="a.csv").csv_da) == path.parent / "a.csv"
    assert "example.org" not in path.read_text(encoding="utf-8")
    assert registry.add(path, "x", csv="https://example.org/x.csv").csv_da == "https://example.org/x.csv"


def test_a_local_file_is_found_from_wherever_it_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "lists").mkdir(parents=True)
    (tmp_path / "else where").mkdir()
    inside, outside = tmp_path / "home" / "lists" / "a.csv", tmp_path / "else where" / "æ.csv"
    for file in (inside, outside):
        file.write_text("x", encoding="utf-8")
    path = tmp_path / "home" / registry.FILE_NAME
    monkeypatch.chdir(tmp_path / "home" / "lists")
    registry.add(path, "inside", csv="a.csv")
    monkeypatch.chdir(tmp_path / "else where")
    registry.add(path, "outside", file="æ.csv")
    monkeypatch.chdir("/")
    sources = registry.read(path)
    assert registry.local_file(sources["inside"].csv_da) == inside
    assert registry.local_file(sources["outside"].csv_da) == outside
    assert 'csv = "lists/a.csv"' in path.read_text(encoding="utf-8")


def test_what_cannot_be_added_changes_nothing(path: Path) -> None:
    for name, given in (
        ("x", {}),
        ("x", {"file": "absent.csv"}),
        ("x", {"csv": "https://a.dk/x", "file": "a.csv"}),
        ("x", {"page": "nowhere"}),
        ("9x", {"page": PAGE}),
        ("x_tree", {"page": PAGE}),
    ):
        with pytest.raises(ConfigurationError):
            registry.add(path, name, **given)
    assert not path.exists()


def test_a_built_in_one_may_be_added_to_without_an_address(path: Path) -> None:
    assert registry.add(path, "nuts", skip_blank=True).skip_blank
    assert registry.read(path)["nuts"].csv_da == BUILT_IN["nuts"].csv_da
