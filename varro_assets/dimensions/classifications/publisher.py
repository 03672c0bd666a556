"""Publisher: the site where Statistics Denmark publishes classifications, as something to fetch from.

What belongs here: which addresses are asked in which order, and what their answers mean. The grammar of the file is
`csv_file`, of the page `page`; keeping what came is `store`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3

from varro_assets.dimensions.classifications import csv_file, page
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.classifications.registry import Source, local_file
from varro_assets.dimensions.classifications.store import Classification
from varro_assets.engine.http import Session
from varro_assets.errors import BrokenStream, ConfigurationError, UnexpectedResponse

LARGEST = 32 << 20
"""Bytes of a page or file; the Combined Nomenclature with all its notes has some 5 MiB."""
MOST_MOVES = 2
"""How often "Object moved" is followed for one file."""
_CHUNK_BYTES = 1 << 16
_GONE = frozenset({404, 410})
_PORTS = {"http": 80, "https": 443}
_FILE, _PAGE = "fetch the classification file of", "fetch the page of"


@dataclass(frozen=True)
class _Answer:
    """What the site sent.

    Attributes:
        url: where it finally came from, after redirections.
    """

    status: int
    url: str
    body: bytes

    @property
    def is_page(self) -> bool:
        """Whether it is for people: the Content-Type of files is not to be relied on."""
        return self.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


@dataclass(frozen=True)
class _Page:
    url: str
    html: bytes


class Publisher:
    """The site at one address.

    Args:
        session: does pacing and retries.
        site_url: such as ``https://www.dst.dk``; paths in a `Source` stand below it.
        called: what stands for ``site_url`` in what is stored; a simulator's port is another each time.

    Attributes:
        remarks: what the last fetch did without, and why: a page, an English file that cannot be used.
    """

    def __init__(self, session: Session, site_url: str, called: str = "") -> None:
        self._session, self._site = session, site_url.rstrip("/")
        self._called = called.rstrip("/") or self._site
        self.remarks: list[str] = []

    def fetch(self, source: Source) -> Classification:
        """The classification as it is published now: pages first, since they link to the files.

        A page that cannot be had is no obstacle as long as the file's address is known, and a missing English file
        never is. But where a fault may pass, nothing is returned, so that it takes nothing away that is held.

        Raises:
            SourceUnavailable, BrokenStream: the site did not answer, or not to the end; later it may.
            UnexpectedResponse: there is no file, or it is none; an answer too large, or from another site.
            ConfigurationError: an address that cannot be asked, or a local file that cannot be read.
        """
        self.remarks.clear()
        page_da, page_en = self._page(source.page_da, source), self._page(source.page_en, source)
        source_url, rows_da = self._danish(source, page_da)
        return Classification(
            name=source.name,
            title=(page_da and page.title(page_da.html)) or source.name,
            rows_da=rows_da,
            rows_en=self._english(source, page_da, page_en, source_url),
            info_da=self._lasting(page.description(page_da.html, base_url=page_da.url)) if page_da else "",
            info_en=self._lasting(page.description(page_en.html, base_url=page_en.url)) if page_en else "",
            source_url=self._lasting(source_url),
            page_url=self._lasting(self._address(source.page_da)) if page_da else "",
        )

    def _lasting(self, text: str) -> str:
        return text.replace(self._site, self._called)

    # -- which address -------------------------------------------------------------------------------------------------

    def _danish(self, source: Source, page_da: _Page | None) -> tuple[str, list[PublishedRow]]:
        addresses = list(dict.fromkeys(self._candidates(source.csv_da, "da", page_da)))
        if not addresses:
            where = f"{page_da.url} links to none" if page_da else "; ".join(self.remarks) or "it has no page"
            raise _unexpected(_FILE, source.name, f"its address is not known: {where}", _give_address(source))
        for address in addresses:
            data = self._file(address, source.name)
            if data is not None:
                return address, csv_file.parse(data, on=f"{source.name} ({address})")
        raise _unexpected(_FILE, source.name, f"there is no file at {', '.join(addresses)}", _give_address(source))

    def _english(
        self, source: Source, page_da: _Page | None, page_en: _Page | None, danish: str
    ) -> list[PublishedRow] | None:
        addresses = list(self._candidates(source.csv_en, "en", page_en, page_da))
        if _is_path(source.csv_en or "/") and "/klassifikationsbilag/" in danish and danish.endswith("csv_da"):
            # of the same revision as the Danish one, which what was once seen need not be
            same = f"{danish.removesuffix('csv_da')}csv_en"
            addresses = [*(one for one in addresses if one != self._address(source.csv_en)), same]
        for address in dict.fromkeys(addresses):
            try:
                data = self._file(address, source.name)
                if data is not None:
                    return csv_file.parse(data, on=f"{source.name} ({address})")
            except UnexpectedResponse as error:
                # many classifications exist in Danish only, and what is at the address then varies
                self.remarks.append(error.problem)
        return None

    def _candidates(self, given: str, lang: str, *pages: _Page | None) -> Iterator[str]:
        """Addresses to try, best first: one that was chosen is the only one."""
        if given and not _is_path(given):
            yield given
            return
        for held in pages:
            link = page.csv_links(held.html, held.url).get(lang) if held else None
            if held and link and _same_site(held.url, link):
                yield link
        if given:
            yield self._address(given)

    def _address(self, text: str) -> str:
        return f"{self._site}{text}" if _is_path(text) else text

    # -- what comes from it --------------------------------------------------------------------------------------------

    def _page(self, address: str, source: Source) -> _Page | None:
        if not address:
            return None
        answer = self._get(self._address(address), _PAGE, source.name)
        if answer.status == requests.codes.ok and answer.is_page:
            return _Page(answer.url, answer.body)
        self.remarks.append(f"no page at {answer.url} (HTTP {answer.status})")
        return None

    def _file(self, address: str, name: str) -> bytes | None:
        """The file's content; None if there is none at that address."""
        local = local_file(address)
        if local is not None:
            try:
                # one byte more than allowed tells
                with local.open("rb") as stream:
                    content = stream.read(LARGEST + 1)
            except OSError as error:
                todo = f"Give its path anew with: varro dims add {name} --csv FILE"
                raise ConfigurationError("read the file of", on=name, got=str(error), todo=todo) from error
            return _small_enough(content, str(local), _FILE, name)
        for _ in range(MOST_MOVES + 1):
            answer = self._get(address, _FILE, name)
            moved = page.moved_to(answer.body, answer.url) if answer.is_page and answer.status < 400 else None
            if moved is None:
                break
            if not _same_site(answer.url, moved):
                raise _unexpected(_FILE, name, f"{answer.url} says it moved to another site, {moved}", _BROWSER)
            address = moved
        else:
            raise _unexpected(_FILE, name, f"moved more than {MOST_MOVES} times, at last to {address}", _BROWSER)
        if answer.status in _GONE:
            return None
        if answer.status != requests.codes.ok:
            raise _unexpected(_FILE, name, f"HTTP {answer.status} from {answer.url}", _BROWSER)
        return answer.body

    def _get(self, url: str, what: str, name: str) -> _Answer:
        with self._session.get(url, what=what, on=name) as response:
            if not _same_site(url, response.url):
                raise _unexpected(what, name, f"{url} leads to another site, {response.url}", _BROWSER)
            return _Answer(response.status_code, response.url, _read(response, what, name))


_BROWSER = "Nothing was stored. Look at the address in a browser, and give the right one."


def _read(response: requests.Response, what: str, name: str) -> bytes:
    content = bytearray()
    try:
        for chunk in response.iter_content(_CHUNK_BYTES):
            content += chunk
            if len(content) > LARGEST:
                break
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        got = f"{type(error).__name__} from {response.url}: {error}"
        raise BrokenStream(what, on=name, got=got, todo="Nothing of it was stored; run the same again.") from error
    return _small_enough(bytes(content), response.url, what, name)


def _small_enough(content: bytes, where: str, what: str, name: str) -> bytes:
    if len(content) > LARGEST:
        raise _unexpected(what, name, f"more than {LARGEST >> 20} MiB from {where}", _BROWSER)
    return content


def _same_site(one: str, other: str) -> bool:
    """Whether the second address is on the first one's site: the same origin, or https where that is http."""
    try:
        origins = [
            (parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme))
            for parts in map(urlsplit, (one, other))
        ]
    except ValueError:
        return False
    (scheme, host, port), (new_scheme, new_host, new_port) = origins
    secured = (scheme, new_scheme) == ("http", "https")
    return host == new_host and (secured or (scheme, port) == (new_scheme, new_port))


def _is_path(address: str) -> bool:
    return address.startswith("/")


def _give_address(source: Source) -> str:
    return (
        "Nothing was stored. It may be published under another address: look for it on the publisher's site and give"
        f" it with: varro dims add {source.name} --page URL, or --csv URL"
    )


def _unexpected(what: str, name: str, got: str, todo: str) -> UnexpectedResponse:
    return UnexpectedResponse(what, on=name, got=got, todo=todo)
