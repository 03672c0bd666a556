"""Page: what the publisher's web page about a classification says.

What belongs here: from HTML to title, Markdown and the addresses of the CSV files. Pure: no request. The same page
gives the same text, whatever parsers happen to be installed.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.exceptions import ParserRejectedMarkup
from markdownify import ATX, MarkdownConverter

from varro_assets.errors import UnexpectedResponse

LANGUAGES = ("da", "en")
HEADING = "classificationheading"
"""Class of the element that holds a classification's title and description."""
_DROPPED = (
    "script", "style", "nav", "noscript", "template", "iframe", "form", "button", "input", "select", "svg", "img",
    "video", "audio", "object",
)  # fmt: skip
_AROUND = ("header", "footer", "aside")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CSV = re.compile(r"/klassifikationsbilag/[0-9a-f-]{8,}csv_(da|en)", re.IGNORECASE | re.ASCII)
_LONGEST_MOVED = 10_000
_MOVED = re.compile(r"\bobject moved\b", re.IGNORECASE)
_PUBLISHER = re.compile(r"\s+[-\u2013|]\s+(?:Danmarks Statistik|Statistics Denmark)\b.*", re.DOTALL)


def description(html: bytes | str, *, base_url: str) -> str:
    """The page's own description as Markdown, without blank ends; empty if there is none.

    It is the element of class ``classificationheading``; where there is none, or nothing but a heading in it, the main
    part of the page. Links are absolute; those that are no web or mail address keep only their words.

    Args:
        html: the page; bytes are read as UTF-8.
        base_url: its address.

    Raises:
        UnexpectedResponse: it is no HTML that can be read, or nested beyond reason.
    """
    soup = _soup(html, base_url)
    for element in soup.find_all(_DROPPED):
        element.decompose()
    for link in soup.find_all("a"):
        _make_absolute(link, base_url)
    part = _heading(soup) or _main(soup)
    if part is None:
        return ""
    converter = MarkdownConverter(heading_style=ATX, bullets="-", escape_underscores=False)
    try:
        text = converter.convert_soup(part)
    except RecursionError as error:
        raise _unreadable(base_url, "elements nested too deeply") from error
    return _tidy(text)


def csv_links(html: bytes | str, base_url: str) -> dict[str, str]:
    """Language (``da``, ``en``) -> absolute address of the CSV file the page links to; the first of each counts.

    Raises:
        UnexpectedResponse: it is no HTML that can be read.
    """
    found: dict[str, str] = {}
    for link in _soup(html, base_url).find_all("a", href=True):
        address = _absolute(str(link["href"]), base_url)
        match = _CSV.search(urlsplit(address).path) if address else None
        if match:
            found.setdefault(match[1].lower(), address)
    return found


def title(html: bytes | str) -> str:
    """The page's first heading, else its ``<title>`` without the publisher's name; empty if there is neither.

    Raises:
        UnexpectedResponse: it is no HTML that can be read.
    """
    soup = _soup(html, "")
    for place in (soup.find(class_=HEADING), soup.find("main"), soup):
        heading = place if isinstance(place, Tag) and place.name in _HEADINGS else place and place.find("h1")
        if isinstance(heading, Tag) and (words := _words(heading)):
            return words
    named = soup.find("title")
    return _PUBLISHER.sub("", _words(named)) if isinstance(named, Tag) else ""


def moved_to(html: bytes | str, base_url: str) -> str | None:
    """Absolute address that an "Object moved" page names, as the site sends it in place of a file; None for any other.

    Raises:
        UnexpectedResponse: it is no HTML that can be read.
    """
    text = html if isinstance(html, str) else html.decode("utf-8-sig", errors="replace")
    if len(text) > _LONGEST_MOVED or not _MOVED.search(text):
        return None
    link = _soup(text, base_url).find("a", href=True)
    return (_absolute(str(link["href"]), base_url) or None) if isinstance(link, Tag) else None


def _soup(html: bytes | str, on: str) -> BeautifulSoup:
    text = html if isinstance(html, str) else html.decode("utf-8-sig", errors="replace")
    try:
        return BeautifulSoup(text, "html.parser")
    except ParserRejectedMarkup:
        # the parser gives up at an unknown marked section, which browsers skip
        text = text.replace("<![", "&lt;![")
    try:
        return BeautifulSoup(text, "html.parser")
    except ParserRejectedMarkup as error:
        raise _unreadable(on, str(error)) from error


def _heading(soup: BeautifulSoup) -> Tag | None:
    found = soup.find(class_=HEADING)
    if not isinstance(found, Tag) or found.name in _HEADINGS:
        return None
    top = found.find(_HEADINGS)
    alone = isinstance(top, Tag) and _words(top) == _words(found)
    return None if alone or not _words(found) else found


def _main(soup: BeautifulSoup) -> Tag | None:
    for name in ("main", "article"):
        found = soup.find(name)
        if isinstance(found, Tag):
            return found
    for element in soup.find_all(_AROUND):
        element.decompose()
    found = soup.find("body")
    return found if isinstance(found, Tag) else None


def _words(element: Tag) -> str:
    return " ".join(element.get_text(" ").split())


def _make_absolute(link: Tag, base_url: str) -> None:
    address = _absolute(str(link.get("href") or ""), base_url)
    if address:
        link["href"] = address
    else:
        link.unwrap()


def _absolute(href: str, base_url: str) -> str:
    """Empty if it is no web or mail address."""
    try:
        address = urljoin(base_url, href.strip()) if href.strip() else ""
        return address if urlsplit(address).scheme.lower() in {"http", "https", "mailto"} else ""
    except ValueError:
        return ""


def _tidy(text: str) -> str:
    lines = "\n".join(_printable(line).rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def _printable(line: str) -> str:
    return "".join(" " if sign.isspace() else sign for sign in line if sign.isspace() or sign.isprintable())


def _unreadable(on: str, got: str) -> UnexpectedResponse:
    return UnexpectedResponse("read the page", on=on, got=got, todo="Look at it in a browser; report it if it is fine.")
