"""What /data prints, byte by byte, over real HTTP."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
import requests

from varro_assets.simulator import Simulator, tids
from varro_assets.simulator.demo import tables

METRO = {"SÆSON": ["10"], "Tid": ["2020U01"]}


def parsed(text: str) -> list[list[str]]:
    return [line.split(";") for line in text.split("\r\n")[1:-1]]


@pytest.mark.parametrize("table_id", [table.id for table in tables() if table.id != "FOLK1A"])
def test_bulk_is_the_truth(steady: Simulator, ask, table_id: str) -> None:
    table = steady.universe.table(table_id)
    values = {held.id: [code.id for code in held.codes] for held in table.dimensions}
    answer = ask(table_id, lang="en", values=values | {"Tid": ["*"]})
    expected = [(*row[:-1], tid, row[-1]) for tid in table.periods for row in table.rows(tid)]
    got = [(*row[:-1], None if row[-1] == ".." else float(row[-1])) for row in parsed(answer.text)]
    assert got == expected
    assert answer.text.split("\r\n")[0] == ";".join([*values, "TID", "INDHOLD"])


def test_bulk_has_no_mark_crlf_and_ends_with_one(ask) -> None:
    body = ask("METROX1", values=METRO).content
    assert body.startswith("SÆSON;TID;INDHOLD\r\n10;2020U01;".encode())
    assert body.endswith(b"\r\n")
    assert body.count(b"\n") == body.count(b"\r\n") == 2


def test_csv_has_a_mark(ask) -> None:
    body = ask("METROX1", "csv", values=METRO).content
    assert body.startswith(b"\xef\xbb\xbf" + "SÆSON;TID;INDHOLD\r\n".encode())
    assert body[3:] == ask("METROX1", values=METRO).content


def test_decimal_comma_in_danish_and_point_in_english(ask) -> None:
    danish, english = (ask("METROX1", lang=lang, values=METRO).text for lang in ("da", "en"))
    assert danish != english
    assert danish.replace(",", ".") == english
    assert parsed(danish)[0][-1].partition(",")[2].isdigit()


def test_missing_is_two_points(ask) -> None:
    values = [row[-1] for row in parsed(ask("STRAF42").text)]
    assert 0 < values.count("..") < len(values) / 4
    assert all(value == ".." or value.isdigit() for value in values)


def test_order_is_time_then_code_strings(ask) -> None:
    rows = parsed(
        ask("FOLK1A", values={k: ["*"] for k in ("OMRÅDE", "KØN", "ALDER", "CIVILSTAND")} | {"Tid": ["(-n+2)"]}).text
    )
    keys = [(row[4], *row[:4]) for row in rows]
    assert keys == sorted(keys)
    assert list(dict.fromkeys(row[1] for row in rows)) == ["1", "2", "TOT"]
    assert list(dict.fromkeys(row[3] for row in rows if row[2] == "IALT"))[:5] == ["E", "F", "G", "TOT", "U"]


def test_labels_are_the_default_and_not_unique(ask) -> None:
    values = {"OMRÅDE": ["*"], "VALRES": ["*"], "Tid": ["2022"]}
    rows = parsed(ask("FV22TOTA", valuePresentation="Default", values=values).text)
    assert len({tuple(row[:-1]) for row in rows}) < len(rows)
    assert {row[1] for row in rows} == {"Vælgere", "Afgivne stemmer"}


@pytest.mark.parametrize(
    ("presentation", "lang", "first"),
    [
        ("Code", "da", "1;2024K1"),
        ("Value", "da", "Mænd;2024K1"),
        ("CodeAndValue", "en", "1 Men;2024K1 2024Q1"),
        ("ValueAndCode", "en", "Men 1;2024Q1 2024K1"),
    ],
)
def test_presentations(ask, presentation: str, lang: str, first: str) -> None:
    values = {"OMRÅDE": ["000"], "KØN": ["1"], "ALDER": ["IALT"], "CIVILSTAND": ["TOT"], "Tid": ["2024K1"]}
    row = parsed(ask("FOLK1A", lang=lang, valuePresentation=presentation, values=values).text)[0]
    assert f"{row[1]};{row[4]}" == first


def test_placement_in_the_head_moves_a_variable(ask) -> None:
    values = {"OMRÅDE": ["000"], "KØN": {"code": "køn", "values": ["1", "2"], "placement": "head"}}
    values |= {"ALDER": ["IALT"], "CIVILSTAND": ["TOT"], "Tid": ["2024K1"]}
    lines = ask("FOLK1A", values=values).text.split("\r\n")
    assert lines[0] == "OMRÅDE;ALDER;CIVILSTAND;KØN;TID;INDHOLD"
    assert lines[1].startswith("000;IALT;TOT;1;2024K1;")


def test_a_shared_cube_gives_blank_codes_under_a_star_only(steady: Simulator, ask) -> None:
    codes = {held.id: [code.id for code in held.codes] for held in steady.universe.table("DNRENTM").dimensions}
    under_star = parsed(ask("DNRENTM").text)
    explicit = parsed(ask("DNRENTM", values=codes | {"Tid": ["*"]}).text)
    assert any("" in row for row in under_star)
    assert [row for row in under_star if "" not in row] == explicit
    assert len({tuple(row[:-1]) for row in under_star}) < len(under_star)
    assert parsed(ask("DNRENTM", "CSV").text.removeprefix("\ufeff"))[0][0] in codes["INSTRUMENT"]


def test_a_period_without_rows_is_a_header(ask) -> None:
    assert ask("FT", values={"HOVEDDELE": ["*"], "Tid": ["1834"]}).text == "HOVEDDELE;TID;INDHOLD\r\n"


def test_csv_prints_all_combinations_in_the_order_of_tableinfo(steady: Simulator, ask) -> None:
    rows = parsed(ask("BIL10", "CSV").text)
    table = steady.universe.table("BIL10")
    fuels, weights = ([code.id for code in held.codes] for held in table.dimensions)
    assert [row[:3] for row in rows] == [[f, w, tid] for f in fuels for w in weights for tid in table.periods]
    stored = {(*row[:-1], tid): row[-1] for tid in table.periods for row in table.rows(tid)}
    assert len(stored) < len(rows)
    assert all(float(row[3]) == stored.get(tuple(row[:3]), 0) for row in rows)


def test_a_variable_left_out_is_eliminated_and_time_is_the_newest(steady: Simulator, ask) -> None:
    rows = ask("FOLK1A", "CSV", values={"KØN": ["1", "2"]}).text.split("\r\n")
    assert rows[0] == "\ufeffKØN;TID;INDHOLD"
    truth = {row[:-1]: row[-1] for row in steady.universe.table("FOLK1A").rows("2025K3")}
    assert rows[1] == f"1;2025K3;{truth['000', '1', 'IALT', 'TOT']:.0f}"


def test_elimination_without_a_total_adds_up(ask) -> None:
    everything = parsed(ask("VAN5", "CSV", values={"INDVLAND": ["*"], "Tid": ["2024"]}).text)
    some = parsed(ask("VAN5", "CSV", values={"INDVLAND": ["NA"], "KØN": ["M", "K"], "Tid": ["2024"]}).text)
    assert sum(int(row[-1]) for row in some) == next(int(row[-1]) for row in everything if row[0] == "NA")


def test_time_order(ask) -> None:
    descending = parsed(ask("METROX1", "CSV", timeOrder="Descending", values={"SÆSON": ["10"], "Tid": ["(-n+3)"]}).text)
    assert [row[1] for row in descending] == ["2021U08", "2021U07", "2021U06"]


def test_get_forms(steady: Simulator, ask) -> None:
    query = f"{quote('område')}=000,101&{quote('KØN')}=*&ALDER=IALT&civilstand=TOT&tid={quote('>=2024K1<=2024K2')}"
    got = requests.get(f"{steady.url}/data/folk1a/BULK?valuePresentation=Code&{query}", timeout=120)
    values = {"OMRÅDE": ["000", "101"], "KØN": ["*"], "ALDER": ["IALT"], "CIVILSTAND": ["TOT"]}
    assert got.content == ask("FOLK1A", values=values | {"Tid": ["2024K1", "2024K2"]}).content
    tabbed = requests.get(f"{steady.url}/data/METROX1/CSV?delimiter=Tab&{quote('SÆSON')}=10", timeout=120)
    assert tabbed.text.startswith("\ufeffSÆSON\tTID\tINDHOLD\r\n")


def test_jsonstat_is_version_one(steady: Simulator, ask) -> None:
    answer = ask("STRAF42", "JSONSTAT", lang="en", values={"KØN": ["1", "2"], "Tid": ["2023", "2024"]}).json()[
        "dataset"
    ]
    assert answer["dimension"]["id"] == ["KØN", "ContentsCode", "Tid"]
    assert answer["dimension"]["size"] == [2, 1, 2]
    assert answer["updated"] == "2025-03-25T07:00:00Z"
    truth = {row[:-1]: row[-1] for row in steady.universe.table("STRAF42").rows("2024")}
    assert answer["value"][1] == truth["TOT", "000", "TOT", "1"]


def test_jsonstat_has_null_for_missing(ask) -> None:
    assert None in ask("STRAF42", "JSONSTAT").json()["dataset"]["value"]


def test_the_english_label_of_a_quarter() -> None:
    assert [tids.label(tid, "en") for tid in ("2024K1", "2024U07", "AUG - DEC 2019")] == [
        "2024Q1",
        "2024U07",
        "AUG - DEC 2019",
    ]


def test_bulk_is_chunked_and_fast(steady: Simulator, ask) -> None:
    # of the processor, which no other load on the machine takes from us
    start = time.process_time()
    answer = ask("FOLK1A")
    spent = time.process_time() - start
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.content.count(b"\r\n") == steady.universe.table("FOLK1A").row_count() + 1
    assert spent < 5
