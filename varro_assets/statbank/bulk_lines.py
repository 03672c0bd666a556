"""The BULK stream as bytes: is it one, is it whole, and where are its lines.

What belongs here: what can be judged without knowing the table (statbank-api 5.3, 6): error bodies and pages
for people in place of data, a stream that breaks off, and blocks of whole lines cut from chunks of any size.
Rows are parsed in `bulk_blocks`.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterable, Iterator

import requests
import urllib3

from varro_assets.errors import BrokenStream, MaintenancePage, SourceRefused, UnexpectedResponse, VarroError

# What a response may raise while its body is read. Other OSErrors (a full disk, say) are not the publisher's.
_NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
_BOM = b"\xef\xbb\xbf"
MAX_LINE = 1 << 20
_MAX_ERROR_BODY = 1 << 16
_AGAIN = "Nothing was replaced; try again later."
DESCRIBED_ANEW = "Nothing was replaced. The next sync reads the table's description anew; if it fails again, report it."
"""What to do when an answer does not fit the description by which it was asked for."""


def header_and_blocks(
    chunks: Iterable[bytes], on: str, block_bytes: int, on_bytes: Callable[[int], None] | None = None
) -> tuple[str, Iterator[bytes]]:
    """The header line, and the lines after it in blocks of about `block_bytes`, each ending in LF.

    Raises (the blocks likewise, while they are consumed):
        BrokenStream: the connection broke, the body is empty, or its last byte is no LF.
        MaintenancePage: a page of HTML.
        SourceRefused: a JSON error body.
        UnexpectedResponse: a line too long to be one, or a header that is not UTF-8.
    """
    pieces = _pieces(chunks, on, block_bytes, on_bytes)
    head = b""
    for piece in pieces:
        head += piece
        if b"\n" in _start(head) or len(head) > MAX_LINE:
            break
    _refuse_other_bodies(head, pieces, on)
    line, newline, rest = head.partition(b"\n")
    if not newline:
        raise _endless(on, line) if len(head) > MAX_LINE else _broken(on, _ending(head))
    try:
        header = line.removeprefix(_BOM).removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise UnexpectedResponse("read the header of", on=on, got=f"no UTF-8: {line[:200]!r}") from error
    return header, _blocks(rest, pieces, on, block_bytes)


def _pieces(chunks: Iterable[bytes], on: str, limit: int, on_bytes: Callable[[int], None] | None) -> Iterator[bytes]:
    """The chunks, none empty and none longer than `limit`; what the network raises gets its name."""
    try:
        for chunk in chunks:
            if on_bytes and chunk:
                on_bytes(len(chunk))
            for start in range(0, len(chunk), limit):
                yield chunk if len(chunk) <= limit else chunk[start : start + limit]
    except VarroError:
        raise
    except _NETWORK_ERRORS as error:
        raise _broken(on, f"the connection broke ({type(error).__name__}: {error})") from error


def _blocks(rest: bytes, pieces: Iterator[bytes], on: str, block_bytes: int) -> Iterator[bytes]:
    parts, size, unended = [rest], len(rest), len(rest) - rest.rfind(b"\n") - 1
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        cut = piece.rfind(b"\n") + 1
        unended = len(piece) - cut if cut else unended + len(piece)
        if unended > MAX_LINE:
            raise _endless(on, b"".join(parts)[-unended:])
        if size >= block_bytes and cut:
            parts[-1] = piece[:cut]
            yield b"".join(parts)
            parts, size = [piece[cut:]], len(piece) - cut
    last = b"".join(parts)
    if last and not last.endswith(b"\n"):
        raise _broken(on, _ending(last))
    if last:
        yield last


def _refuse_other_bodies(head: bytes, pieces: Iterator[bytes], on: str) -> None:
    start = _start(head)
    if start.startswith(b"<"):
        raise MaintenancePage(
            "fetch data of",
            on=on,
            got=f"a page for people: {start[:200].decode(errors='replace')}",
            todo=_AGAIN,
        )
    if start.startswith(b"{"):
        for piece in pieces:
            start += piece
            if len(start) > _MAX_ERROR_BODY:
                break
        raise _refusal(start, on)


def _start(head: bytes) -> bytes:
    """From the first byte that says something."""
    return head.removeprefix(_BOM).lstrip()


def _refusal(body: bytes, on: str) -> VarroError:
    """The error for a body of JSON: `{"errorTypeCode": .., "message": ..}` (statbank-api 6)."""
    try:
        document = json.loads(body)
        code, message = str(document["errorTypeCode"]), str(document.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        got = f"JSON in place of data: {body[:200].decode(errors='replace')}"
        return UnexpectedResponse("fetch data of", on=on, got=got, todo="Report it: the API has changed.")
    return SourceRefused(
        "fetch data of",
        on=on,
        got=f"{code}: {message}",
        todo=DESCRIBED_ANEW,
        code=code,
    )


def _ending(data: bytes) -> str:
    if not data:
        return "the body is empty"
    return f"the last line is cut off: …{data[-60:].decode(errors='replace')}"


def _broken(on: str, got: str) -> BrokenStream:
    return BrokenStream("read the data stream of", on=on, got=got, todo=_AGAIN)


def _endless(on: str, data: bytes) -> UnexpectedResponse:
    got = f"a line of more than {MAX_LINE} bytes: {data[:100].decode(errors='replace')}…"
    return UnexpectedResponse("read the data stream of", on=on, got=got, todo="Report it: no data line is that long.")
