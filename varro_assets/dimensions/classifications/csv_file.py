"""CSV file: a classification as Statistics Denmark publishes it.

What belongs here: the file's grammar (statbank-api 9): UTF-8 with or without a byte order mark, CRLF or LF, ``;``,
fields in double quotes, columns found by their names. What the lines mean together is `hierarchy`, where the file
comes from is `publisher`.
"""

from __future__ import annotations

import csv
import io
import re

from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.errors import UnexpectedResponse

LONGEST = 200_000
"""Lines; the longest published list, the Combined Nomenclature, has some 17,000."""
_NAMES = {
    "SEKVENS": {"sekvens", "sequence"},
    "KODE": {"kode", "code"},
    "NIVEAU": {"niveau", "level"},
    "TITEL": {"titel", "title"},
}
"""Column -> its header in the Danish and in the English files."""
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


def parse(data: bytes, *, on: str) -> list[PublishedRow]:
    """The lines of a file, in its own order. Other columns than the four are left out, and so are empty lines.

    Codes and titles are as published but for blanks around them; a code may be empty.

    Args:
        data: the whole file.
        on: name of the classification, for errors.

    Raises:
        UnexpectedResponse: not UTF-8, a page instead of a CSV file, a column that is missing or stands twice, a line
            with another number of fields than the header, broken quotes, a SEKVENS or NIVEAU that is no whole number
            (NIVEAU from 1), no lines, or more than 200,000. Names line and column.
    """
    reader = csv.reader(io.StringIO(_text(data, on), newline=""), delimiter=";", strict=True)
    rows: list[PublishedRow] = []
    places: dict[str, int] = {}
    width = 0
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise _refused(on, f"line {line}: {error}") from error
        if fields is None:
            break
        if not fields:
            continue
        if not places:
            places, width = _header(fields, line, on), len(fields)
            continue
        if len(fields) != width:
            raise _refused(on, f"line {line} has {len(fields)} fields; the header has {width}")
        if len(rows) == LONGEST:
            raise _refused(on, f"more than {LONGEST:,} lines")
        rows.append(_row(fields, places, line, on))
    if not rows:
        raise _refused(on, "no lines below the header" if places else "an empty file")
    return rows


def _text(data: bytes, on: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(on, f"line {line}: byte {error.start} is not UTF-8") from error
    # no header begins like that; the site answers with a page where it has no file
    if text.lstrip()[:1] == "<":
        raise _refused(on, f"an HTML or XML page instead of a CSV file: {text.lstrip()[:80]!r}")
    return text


def _header(fields: list[str], line: int, on: str) -> dict[str, int]:
    found = [field.strip().lower() for field in fields]
    places = {column: [at for at, field in enumerate(found) if field in names] for column, names in _NAMES.items()}
    if missing := [column for column, at in places.items() if not at]:
        shown = "; ".join(field[:40] for field in fields[:12])
        raise _refused(on, f"line {line}, the header, lacks the column {', '.join(missing)}; it has {shown!r}")
    if twice := [column for column, at in places.items() if len(at) > 1]:
        raise _refused(on, f"line {line}, the header, has the column {', '.join(twice)} more than once")
    return {column: at[0] for column, at in places.items()}


def _row(fields: list[str], places: dict[str, int], line: int, on: str) -> PublishedRow:
    return PublishedRow(
        line=line,
        sekvens=_number(fields[places["SEKVENS"]], 0, f"line {line}, column SEKVENS", on),
        kode=fields[places["KODE"]].strip(),
        niveau=_number(fields[places["NIVEAU"]], 1, f"line {line}, column NIVEAU", on),
        titel=fields[places["TITEL"]].strip(),
    )


def _number(field: str, least: int, place: str, on: str) -> int:
    text = field.strip()
    if not _NUMBER.fullmatch(text) or int(text) < least:
        raise _refused(on, f"{place}: {field[:40]!r} is no whole number from {least}")
    return int(text)


def _refused(on: str, got: str) -> UnexpectedResponse:
    return UnexpectedResponse(
        "read the classification file of",
        on=on,
        got=got,
        todo="Nothing was stored. Look at the file in a browser; if its address has changed, give the new one.",
    )
