"""The grammar of a classification file: what is read, and what each defect is called."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.classifications import csv_file
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.errors import UnexpectedResponse

HEADER = "SEKVENS;KODE;NIVEAU;TITEL;GENERELLE_NOTER;INKLUDERER;INKLUDERER_OGSÅ;EKSKLUDERER;PARAGRAF;MÅLEENHED"
REST = ";;;;;;"


def file(*lines: str, header: str = HEADER, end: str = "\r\n", mark: bool = True) -> bytes:
    return (("\ufeff" if mark else "") + "".join(f"{line}{end}" for line in (header, *lines))).encode()


def refused(data: bytes) -> str:
    with pytest.raises(UnexpectedResponse) as caught:
        csv_file.parse(data, on="nuts")
    assert "nuts" in str(caught.value)
    assert "Nothing was stored" in caught.value.todo
    return caught.value.got


@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_file_as_published(mark: bool, end: str) -> None:
    data = file(f'1;"084";1;Region Hovedstaden{REST}', f'2;"01";2;Byen København{REST}', end=end, mark=mark)
    assert csv_file.parse(data, on="nuts") == [
        PublishedRow(2, 1, "084", 1, "Region Hovedstaden"),
        PublishedRow(3, 2, "01", 2, "Byen København"),
    ]


def test_the_last_line_may_lack_its_end_and_empty_lines_do_not_count() -> None:
    data = file("", f'1;"1";1;a{REST}', "", f'2;"2";1;b{REST}').removesuffix(b"\r\n")
    assert [(row.line, row.kode) for row in csv_file.parse(data, on="x")] == [(3, "1"), (5, "2")]


def test_codes_are_text_with_their_zeros_and_inner_blanks() -> None:
    data = file(f'1;"0101 21 00";1;a{REST}', f'2;"190000 ";1; b {REST}', f'3;"";2;Ris{REST}', f"4;007;1;d{REST}")
    rows = csv_file.parse(data, on="kn")
    assert [row.kode for row in rows] == ["0101 21 00", "190000", "", "007"]
    assert [row.titel for row in rows] == ["a", "b", "Ris", "d"]


def test_fields_in_quotes_hold_separators_quotes_and_line_breaks() -> None:
    noted = '1;"1";1;"Fisk; skaldyr og ""andet""";"Omfatter:\r\n- sild; torsk\r\n- laks";;;;;'
    rows = csv_file.parse(file(noted, f'2;"2";1;b{REST}'), on="x")
    assert [(row.line, row.titel) for row in rows] == [(2, 'Fisk; skaldyr og "andet"'), (5, "b")]


@pytest.mark.parametrize(
    "header",
    [
        "sequence;code;level;title",
        "SEQUENCE;CODE;LEVEL;TITLE",
        "Sekvens; Kode ;niveau;TITEL",
        '"SEKVENS";KODE;NIVEAU;TITEL',
    ],
)
def test_columns_are_known_by_either_name_in_any_case(header: str) -> None:
    assert csv_file.parse(file('7;"1";1;a', header=header), on="x") == [PublishedRow(2, 7, "1", 1, "a")]


def test_columns_may_stand_in_any_order() -> None:
    assert csv_file.parse(file('a;;1;"1";7', header="TITEL;NY;NIVEAU;KODE;SEKVENS"), on="x") == [
        PublishedRow(2, 7, "1", 1, "a")
    ]


def test_what_is_not_utf8_is_refused_with_its_line() -> None:
    data = file(f'1;"1";1;a{REST}') + '2;"2";1;Sjælland;;;;;;\r\n'.encode("latin-1")
    assert refused(data).startswith("line 3: byte ")


@pytest.mark.parametrize(
    "body", ["<!DOCTYPE html><html><body>Lukket</body></html>", "\ufeff\r\n <html>", "<?xml version='1.0'?><CodeList/>"]
)
def test_a_page_in_place_of_the_file_is_called_one(body: str) -> None:
    assert "page instead of a CSV file" in refused(body.encode())


def test_a_missing_column_is_named_with_what_there_is() -> None:
    got = refused(file("1;1;1", header="SEKVENS;KODE;TITEL"))
    assert "lacks the column NIVEAU" in got
    assert "SEKVENS; KODE; TITEL" in got
    assert "lacks the column KODE, NIVEAU, TITEL" in refused(file("1", header="SEKVENS,KODE,NIVEAU;SEKVENS"))


def test_a_column_that_stands_twice_is_refused() -> None:
    assert "KODE more than once" in refused(file("1;1;1;1;1", header="SEKVENS;KODE;CODE;NIVEAU;TITEL"))


@pytest.mark.parametrize("niveau", ["", "0", "-1", "1.0", "x", "²", "1" * 5000])
def test_a_level_is_a_whole_number_from_one(niveau: str) -> None:
    got = refused(file(f'1;"1";1;a{REST}', f'2;"2";{niveau};b{REST}'))
    assert got.startswith("line 3, column NIVEAU: ")
    assert len(got) < 150


@pytest.mark.parametrize("sekvens", ["", "-1", "første"])
def test_a_sequence_is_a_whole_number(sekvens: str) -> None:
    assert refused(file(f'{sekvens};"1";1;a{REST}')).startswith("line 2, column SEKVENS: ")


@pytest.mark.parametrize("line", ['1;"1";1;a', f'1;"1";1;a{REST};', f'1;"1";1;a; b{REST}'])
def test_every_line_has_the_fields_of_the_header(line: str) -> None:
    assert refused(file(line)).startswith("line 2 has ")


def test_broken_quotes_are_refused_and_swallow_nothing() -> None:
    assert "line 2" in refused(file(f'1;"1;1;a{REST}', f"2;2;1;b{REST}"))
    assert "line 2" in refused(file(f'1;"1"x;1;a{REST}'))


def test_a_file_without_lines_is_refused() -> None:
    assert refused(file()) == "no lines below the header"
    assert refused(b"") == "an empty file"
    assert refused("\ufeff\r\n".encode()) == "an empty file"


def test_a_list_beyond_reason_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'{number};"{number}";1;a{REST}' for number in range(1, 5)]
    monkeypatch.setattr(csv_file, "LONGEST", 4)
    assert len(csv_file.parse(file(*lines), on="x")) == 4
    monkeypatch.setattr(csv_file, "LONGEST", 3)
    assert refused(file(*lines)) == "more than 3 lines"
