"""Classification files: whatever rows are written in the published style come back, and noise is refused by name."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.dimensions.classifications import csv_file
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.errors import UnexpectedResponse

FEW = settings(max_examples=150, deadline=None)
HEADER = "SEKVENS;KODE;NIVEAU;TITEL;GENERELLE_NOTER"

texts = st.text(st.sampled_from("aæøÅ01 .;\"\n\r,'<\t") | st.characters(codec="utf-8"), max_size=12)
stripped = texts.map(str.strip)
rows = st.tuples(st.integers(0, 999_999_999), stripped, st.integers(1, 99), stripped, texts)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def bare(text: str) -> str:
    return quoted(text) if any(sign in text for sign in ';"\r\n') else text


@FEW
@given(st.lists(rows, min_size=1, max_size=8), st.booleans(), st.sampled_from(["\r\n", "\n"]))
def test_rows_in_the_published_style_come_back(
    published: list[tuple[int, str, int, str, str]], mark: bool, end: str
) -> None:
    lines = [
        ";".join([str(sekvens), quoted(kode), str(niveau), bare(titel), bare(note)])
        for sekvens, kode, niveau, titel, note in published
    ]
    data = (("\ufeff" if mark else "") + "".join(f"{line}{end}" for line in (HEADER, *lines))).encode()
    found = csv_file.parse(data, on="x")
    assert [(row.sekvens, row.kode, row.niveau, row.titel) for row in found] == [row[:4] for row in published]
    assert [row.line for row in found] == sorted({row.line for row in found})


@FEW
@given(st.binary(max_size=60) | texts.map(str.encode), st.booleans())
def test_anything_else_is_refused_by_name(noise: bytes, headed: bool) -> None:
    try:
        found = csv_file.parse(f"{HEADER}\r\n".encode() * headed + noise, on="x")
    except UnexpectedResponse:
        return
    assert found
    assert all(isinstance(row, PublishedRow) and row.niveau >= 1 for row in found)
