"""BULK bodies -> staged files: what is accepted, what is refused, and that a refusal leaves nothing behind."""

from __future__ import annotations

import http.client
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import requests
import urllib3

from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.errors import (
    BrokenStream,
    DuplicateKeys,
    InvalidPeriod,
    InvalidValue,
    MaintenancePage,
    SourceRefused,
    StorageFull,
    UndeclaredCode,
    UnexpectedResponse,
    VarroError,
)
from varro_assets.statbank import bulk, bulk_lines, bulk_runs
from varro_assets.statbank.bulk import Extract

HEADER = "OMRÅDE;KØN;TID;INDHOLD\r\n"
AREAS = ("000", "084", "NA", "null", "nan", "1", '"x"')


def an_extract(periods: Sequence[str] = ("2024K1", "2024K2"), areas: Sequence[str] = AREAS) -> Extract:
    codes = {"OMRÅDE": areas, "KØN": ("M", "K", "TOT")}
    return Extract(
        "FOLK1A", ("OMRÅDE", "KØN", "TID", "INDHOLD"), codes, tuple(periods), "2024-05-13T08:00:00", "s1", "2024-05-14"
    )


@pytest.fixture
def store(tmp_path: Path) -> PartitionStore:
    return PartitionStore(tmp_path / "FOLK1A", "FOLK1A")


def rows_of(info: PartitionInfo) -> list[tuple[object, ...]]:
    table = pq.read_table(info.path)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def read(
    store: PartitionStore, body: bytes | str, extract: Extract | None = None, **options: int
) -> dict[str, list[tuple[object, ...]]]:
    data = body.encode() if isinstance(body, str) else body
    with store.staging() as staging:
        infos = bulk.split([data], extract or an_extract(), staging, **options)
        for info in infos.values():
            assert info.rows == len(rows_of(info))
        return {period: rows_of(info) for period, info in infos.items()}


def refused(store: PartitionStore, chunks: Iterable[bytes], kind: type[VarroError], **options: int) -> VarroError:
    """The error; and nothing of the call may be left in the staging folder."""
    with store.staging() as staging:
        with pytest.raises(kind) as caught:
            bulk.split(chunks, an_extract(), staging, **options)
        assert list(staging.folder.iterdir()) == []
    assert "FOLK1A" in str(caught.value)
    return caught.value


def test_rows_and_facts(store: PartitionStore) -> None:
    body = HEADER + "084;M;2024K1;1,5\r\n000;K;2024K2;-3\r\n000;M;2024K1;..\r\n000;K;2024K1;0\r\n"
    with store.staging() as staging:
        infos = bulk.split([body.encode()], an_extract(), staging)
        first = infos["2024K1"]
        assert rows_of(first) == [
            ("000", "K", "2024K1", 0.0),
            ("000", "M", "2024K1", None),
            ("084", "M", "2024K1", 1.5),
        ]
        assert (first.dataset, first.period, first.rows, first.nulls) == ("FOLK1A", "2024K1", 3, 1)
        assert (first.updated, first.shape_hash, first.fetched_at) == ("2024-05-13T08:00:00", "s1", "2024-05-14")
        assert first.bytes == first.path.stat().st_size
        assert rows_of(infos["2024K2"]) == [("000", "K", "2024K2", -3.0)]
        assert store.periods() == []
        store.promote_all(infos.values())
    assert store.periods() == ["2024K1", "2024K2"]
    assert store.infos()["2024K1"].content_hash == first.content_hash


def test_every_asked_period_appears_with_the_same_schema(store: PartitionStore) -> None:
    with store.staging() as staging:
        infos = bulk.split([(HEADER + "000;K;2024K2;1\r\n").encode()], an_extract(), staging)
        assert list(infos) == ["2024K1", "2024K2"]
        assert (infos["2024K1"].rows, infos["2024K2"].rows) == (0, 1)
        schemas = [pq.read_schema(info.path).remove_metadata() for info in infos.values()]
        assert schemas[0] == schemas[1]
        assert schemas[0].names == ["OMRÅDE", "KØN", "TID", "INDHOLD"]
        store.promote(infos["2024K1"])
    assert store.info("2024K1").rows == 0
    assert list(store.batches("2024K1")) == []


def test_header_alone_is_a_whole_body(store: PartitionStore) -> None:
    assert read(store, HEADER) == {"2024K1": [], "2024K2": []}


@pytest.mark.parametrize("code", AREAS)
def test_codes_stay_text(store: PartitionStore, code: str) -> None:
    assert read(store, f"{HEADER}{code};K;2024K1;1\r\n")["2024K1"] == [(code, "K", "2024K1", 1.0)]


def test_an_empty_code_that_was_asked_for_is_a_code(store: PartitionStore) -> None:
    extract = an_extract(areas=("", ".."))
    rows = read(store, HEADER + ";K;2024K1;1\r\n..;K;2024K1;2\r\n", extract)["2024K1"]
    assert rows == [("", "K", "2024K1", 1.0), ("..", "K", "2024K1", 2.0)]


def test_bom_unix_lines_and_case_of_the_header_are_tolerated(store: PartitionStore) -> None:
    body = b"\xef\xbb\xbf" + HEADER.lower().replace("\r", "").encode() + b"000;K;2024K1;1\n"
    assert read(store, body)["2024K1"] == [("000", "K", "2024K1", 1.0)]


def test_time_need_not_stand_last(store: PartitionStore) -> None:
    extract = Extract("T", ("TID", "KØN", "INDHOLD"), {"KØN": ["M", "K"]}, ("2024", "2023"), "u", "s", "f")
    rows = read(store, "TID;KØN;INDHOLD\n2023;M;1\n2024;K;2\n2023;K;3\n", extract)
    assert rows == {"2024": [("2024", "K", 2.0)], "2023": [("2023", "K", 3.0), ("2023", "M", 1.0)]}


def test_a_table_of_time_alone(store: PartitionStore) -> None:
    extract = Extract("T", ("TID", "INDHOLD"), {}, ("2023", "2024"), "u", "s", "f")
    assert read(store, "TID;INDHOLD\n2024;7\n", extract) == {"2023": [], "2024": [("2024", 7.0)]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0), ("-0", 0.0), ("1,5", 1.5), ("-12,25", -12.25), ("0007", 7.0), ("1e3", 1000.0),
        ("5,", 5.0), (",5", 0.5), ("+5", 5.0), (" 5", 5.0), ("5 ", 5.0), ("..", None),
        ("12345678901234567", 12345678901234568.0),
    ],
)  # fmt: skip
def test_numbers(store: PartitionStore, text: str, value: float | None) -> None:
    assert read(store, f"{HEADER}000;K;2024K1;{text}\r\n")["2024K1"][0][-1] == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "nan", "NaN", "inf", "-inf", "Infinity", "nan(1)", "1e999", "0x10", "0x1p3", "1.5", "1 000", "1_0",
     "1,5,6", ".", "-", "...", " ..", ".. ", "12abc", "null", "NA", "N/A", "\x00", "٣", "--5", "1\x00"],
)  # fmt: skip
def test_what_is_no_number(store: PartitionStore, text: str) -> None:
    body = f"{HEADER}000;K;2024K1;1\r\n000;M;2024K1;{text}\r\n000;K;2024K2;2\r\n"
    error = refused(store, [body.encode()], InvalidValue)
    assert "INDHOLD" in str(error)
    assert repr(f"000;M;2024K1;{text}") in str(error)


@pytest.mark.parametrize(
    "line", ["000;K;2024K1", "000;K;2024K1;1;2", "", "   ", "x", "000;K;;2024K1;1", "000,K,2024K1,1"]
)
def test_ragged_lines(store: PartitionStore, line: str) -> None:
    body = f"{HEADER}000;K;2024K1;1\r\n{line}\r\n000;K;2024K2;2\r\n"
    assert repr(line) in str(refused(store, [body.encode()], UnexpectedResponse))


def test_lines_that_are_not_utf8(store: PartitionStore) -> None:
    refused(store, [HEADER.encode() + "æ;K;2024K1;1\r\n".encode("latin-1")], UnexpectedResponse)
    refused(store, [HEADER.encode("latin-1")], UnexpectedResponse)


@pytest.mark.parametrize(
    "header",
    [
        "OMRÅDE;TID;INDHOLD",
        "KØN;OMRÅDE;TID;INDHOLD",
        "OMRÅDE;KØN;TID;INDHOLD;",
        "OMRÅDE,KØN,TID,INDHOLD",
        "",
        "000;K;2024K1;1",
    ],
)
def test_another_header(store: PartitionStore, header: str) -> None:
    error = refused(store, [f"{header}\r\n000;K;2024K1;1\r\n".encode()], UnexpectedResponse)
    assert "OMRÅDE;KØN;TID;INDHOLD" in str(error)
    assert "The next sync reads the table's description anew; if it fails again, report it." in str(error)


@pytest.mark.parametrize(
    ("line", "column"),
    [("999;K;2024K1;1", "OMRÅDE"), (";K;2024K1;1", "OMRÅDE"), ("00;K;2024K1;1", "OMRÅDE"), ("000;k;2024K1;1", "KØN"),
     ("000; K;2024K1;1", "KØN"), ("000;K;2023K4;1", "TID"), ("000;K;;1", "TID"), ("000;K;2024K1 ;1", "TID")],
)  # fmt: skip
def test_codes_not_asked_for(store: PartitionStore, line: str, column: str) -> None:
    body = f"{HEADER}000;M;2024K1;1\r\n{line}\r\n"
    assert f"column {column} " in str(refused(store, [body.encode()], UndeclaredCode))


def test_duplicates_are_named_wherever_they_stand(store: PartitionStore) -> None:
    near = f"{HEADER}000;K;2024K1;1\r\n000;K;2024K1;1\r\n"
    far = f"{HEADER}000;K;2024K1;1\r\n084;K;2024K1;2\r\n000;K;2024K2;1\r\n000;K;2024K1;..\r\n"
    for body, options in itertools.product(
        (near, far), ({}, {"block_bytes": 1}, {"budget_bytes": 0, "block_bytes": 1})
    ):
        error = refused(store, [body.encode()], DuplicateKeys, **options)
        assert "OMRÅDE=000, KØN=K, TID=2024K1" in str(error)
        assert "2024K1" in error.on


@pytest.mark.parametrize("cut", range(1, 20))
def test_every_truncation_is_noticed(store: PartitionStore, cut: int) -> None:
    body = f"{HEADER}000;K;2024K1;12345\r\n"[:-cut].encode()
    refused(store, [body], BrokenStream)


def test_truncated_in_the_middle_of_a_character(store: PartitionStore) -> None:
    refused(store, ["OMRÅ".encode()[:-1]], BrokenStream)


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]])
def test_empty_bodies(store: PartitionStore, chunks: list[bytes]) -> None:
    assert "empty" in str(refused(store, chunks, BrokenStream))


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ChunkedEncodingError("x"),
        requests.exceptions.ConnectionError("x"),
        requests.exceptions.ReadTimeout("x"),
        urllib3.exceptions.ProtocolError("x"),
        urllib3.exceptions.ReadTimeoutError(None, "/data", "x"),  # type: ignore[arg-type]
        http.client.IncompleteRead(b"x"),
        ConnectionResetError("x"),
        TimeoutError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("after", [b"", b"OMR", HEADER.encode() + b"000;K;2024K1;1\r\n"])
def test_streams_that_break(store: PartitionStore, error: Exception, after: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield after
        raise error

    assert type(error).__name__ in str(refused(store, chunks(), BrokenStream))


def test_a_break_after_much_was_written_leaves_nothing(store: PartitionStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield HEADER.encode()
        for area, sex in itertools.product(AREAS, ("K", "M")):
            yield f"{area};{sex};2024K1;1\r\n".encode()
        raise ConnectionResetError

    refused(store, chunks(), BrokenStream, block_bytes=16, budget_bytes=0)


def test_errors_of_the_caller_pass_through(store: PartitionStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield HEADER.encode()
        raise KeyboardInterrupt

    with store.staging() as staging:
        with pytest.raises(KeyboardInterrupt):
            bulk.split(chunks(), an_extract(), staging)
        assert list(staging.folder.iterdir()) == []


@pytest.mark.parametrize("start", ["<!DOCTYPE html>\n<html>", "<html>", "\r\n  <html>", "\ufeff<html>"])
def test_pages_for_people(store: PartitionStore, start: str) -> None:
    data = f"{start}<body>Statistikbanken er lukket</body></html>".encode()
    assert refused(store, [data], MaintenancePage).transient
    refused(store, [data[i : i + 1] for i in range(len(data))], MaintenancePage)


def test_error_bodies(store: PartitionStore) -> None:
    data = '{"errorTypeCode": "EXTRACT-NOTFOUND",\n "message": "Kan ikke finde værdien: 999 (OMRÅDE)"}'.encode()
    for chunks in ([data], [data[i : i + 1] for i in range(len(data))]):
        error = refused(store, chunks, SourceRefused)
        assert isinstance(error, SourceRefused)
        assert error.code == "EXTRACT-NOTFOUND"
        assert "Kan ikke finde værdien" in str(error)
    for other in (b'{"a": 1}', b"{", b'{"errorTypeCode"'):
        refused(store, [other], UnexpectedResponse)


def test_lines_without_an_end_are_not_hoarded(store: PartitionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_lines, "MAX_LINE", 1000)
    taken = 0

    def endless(start: bytes) -> Iterator[bytes]:
        nonlocal taken
        yield start
        for taken in range(10_000):  # noqa: B007
            yield b"x" * 100

    refused(store, endless(b""), UnexpectedResponse)
    assert taken < 20
    refused(store, endless(HEADER.encode() + b"000;K;2024K1;1\r\n"), UnexpectedResponse)
    assert taken < 20


def test_any_chunks_any_order_spilled_or_not(store: PartitionStore) -> None:
    keys = list(itertools.product(sorted(AREAS), ("K", "M", "TOT"), ("2024K1", "2024K2")))
    lines = [f"{area};{sex};{tid};{number}\r\n" for number, (area, sex, tid) in enumerate(keys)]
    expected = {
        tid: [(area, sex, t, float(n)) for n, (area, sex, t) in enumerate(keys) if t == tid]
        for tid in ("2024K1", "2024K2")
    }
    for order in (lines, lines[::-1], lines[::2] + lines[1::2]):
        for options in (
            {},
            {"block_bytes": 40},
            {"block_bytes": 40, "budget_bytes": 100},
            {"block_bytes": 7, "budget_bytes": 0},
        ):
            assert read(store, HEADER + "".join(order), **options) == expected


def test_more_than_256_periods(store: PartitionStore) -> None:
    periods = [f"{year}M{month:02}" for year in range(1990, 2020) for month in range(1, 13)]
    body = HEADER + "".join(f"000;K;{period};{number}\r\n" for number, period in enumerate(periods[:-1]))
    rows = read(store, body, an_extract(periods))
    assert [len(rows[period]) for period in periods] == [1] * 359 + [0]
    assert rows[periods[300]] == [("000", "K", periods[300], 300.0)]


def test_more_than_65536_codes(store: PartitionStore) -> None:
    areas = [f"{number:06}" for number in range(70_000)]
    lines = [f"{area};K;2024K1;{number}\r\n" for number, area in enumerate(areas)]
    body = HEADER + "".join(lines[::-1]) + "069999;M;2024K2;1\r\n000256;M;2024K2;1\r\n"
    with store.staging() as staging:
        infos = bulk.split([body.encode()], an_extract(areas=areas), staging, block_bytes=1 << 18)
        table = pq.read_table(infos["2024K1"].path)
        assert table.column("OMRÅDE").to_pylist() == areas
        assert table.column("INDHOLD").to_pylist() == [float(number) for number in range(70_000)]
        assert [row[0] for row in rows_of(infos["2024K2"])] == ["000256", "069999"]


def test_progress(store: PartitionStore) -> None:
    body = (HEADER + "000;K;2024K1;1\r\n000;M;2024K1;1\r\n").encode()
    rows: list[int] = []
    sizes: list[int] = []
    with store.staging() as staging:
        bulk.split([body[:30], b"", body[30:]], an_extract(), staging, on_rows=rows.append, on_bytes=sizes.append)
    assert (sum(rows), sizes) == (2, [30, len(body) - 30])


def test_two_attempts_share_a_staging_folder(store: PartitionStore) -> None:
    body = (HEADER + "000;K;2024K1;1\r\n").encode()
    with store.staging() as staging:
        first, second = (bulk.split([body], an_extract(), staging)["2024K1"] for _ in range(2))
        assert first.path != second.path
        assert first.content_hash == second.content_hash
        with pytest.raises(BrokenStream):
            bulk.split([b""], an_extract(), staging)
        assert first.path.exists()


def test_no_room_for_the_rows_in_between(store: PartitionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    def on_a_full_disk(**options: object) -> object:
        return full.open("r+b", buffering=0)

    monkeypatch.setattr(bulk_runs.tempfile, "TemporaryFile", on_a_full_disk)
    refused(store, [(HEADER + "000;K;2024K1;1\r\n").encode()], StorageFull, budget_bytes=0)
    assert bulk_runs.tempfile is tempfile


@pytest.mark.parametrize(
    ("columns", "codes"),
    [
        (("OMRÅDE", "TID"), {"OMRÅDE": ["1"]}),
        (("OMRÅDE", "INDHOLD"), {"OMRÅDE": ["1"]}),
        (("OMRÅDE", "TID", "INDHOLD"), {}),
        (("OMRÅDE", "OMRÅDE", "TID", "INDHOLD"), {"OMRÅDE": ["1"]}),
        (("OMRÅDE", "TID", "INDHOLD"), {"OMRÅDE": ["1"], "KØN": ["1"]}),
    ],
)
def test_extracts_that_do_not_fit_together(columns: tuple[str, ...], codes: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"columns|codes"):
        Extract("T", columns, codes, ("2024",), "u", "s", "f")


def test_extract_of_an_impossible_period() -> None:
    with pytest.raises(InvalidPeriod):
        an_extract(periods=["2024M13"])
