"""The publisher's web site beside the API: pages about classifications, their CSV files, and boundaries.

What belongs here: which path answers what. Paths stand below ``/site`` as they stand on the real site:

==========================================================  =======================================================
/site/da/Statistik/dokumentation/nomenklaturer              list of the classifications; ``/en/`` likewise
/site/da/Statistik/dokumentation/nomenklaturer/<name>       page of one, with links to its CSV files
/site/klassifikationsbilag/<guid>csv_da                     its CSV file; ``csv_en`` likewise
/site/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi=...       the file of a classification that was moved
/geo/<layer>?format=geojson                                 boundaries
==========================================================  =======================================================

Case does not matter in a path. Anything else is a page that says 404.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from varro_assets.simulator.classifications import LANGUAGES, Classification
from varro_assets.simulator.wire import SITE, Request, Response

_PAGES = ("statistik", "dokumentation", "nomenklaturer")
_FILES = "klassifikationsbilag"
_ARCHIVE = ("site", "dst", "singlefiles", "getarchivefile.aspx")
_WORDS = {
    "da": ("Danmarks Statistik (simuleret)", "Klassifikationer", "Hent som CSV", "Siden findes ikke"),
    "en": ("Statistics Denmark (simulated)", "Classifications", "Download as CSV", "Page not found"),
}
_PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<title>{title} - {publisher}</title>
<style>nav ul {{ list-style: none }}</style>
<script>window.dataLayer = window.dataLayer || []; /* <p class="classificationheading">no text</p> */</script>
</head>
<body>
<header><nav><ul>
<li><a href="{listing}">{list_title}</a></li>
<li><a href="{other}">{other_lang}</a></li>
</ul></nav></header>
<main>
{content}
</main>
<footer><p>{publisher}</p></footer>
<script>document.documentElement.className += " js";</script>
</body>
</html>
"""
_MOVED = """<html><head><title>Object moved</title></head><body>
<h2>Object moved to <a href="{address}">here</a>.</h2>
</body></html>
"""


@dataclass
class SiteResponse(Response):
    """A response of the web site, which sends fewer headers than the API."""

    def headers(self) -> dict[str, str]:
        """All headers."""
        api_only = {"StatbankAPI-Request-Id", "Access-Control-Expose-Headers", "Pragma", "Expires", "Cache-Control"}
        sent = {name: value for name, value in super().headers().items() if name not in api_only}
        return sent | {"Cache-Control": "private"}


class Site:
    """Answers the paths below ``/site``."""

    def __init__(self, classifications: Callable[[], Iterable[Classification]]) -> None:
        self._classifications = classifications

    def answer(self, request: Request) -> Response:
        """The page or file, or a page with status 404."""
        steps = tuple(step.lower() for step in request.steps[1:])
        lang = steps[0] if steps[:1] and steps[0] in LANGUAGES else "da"
        found: Response | None = None
        if steps[:1] == (_FILES,) and len(steps) == 2:
            found = self._file(steps[1])
        elif steps == _ARCHIVE:
            found = self._archived(request.query.get("fi", ""))
        elif steps[:4] == (lang, *_PAGES):
            found = self._listing(lang) if len(steps) == 4 else self._described(lang, steps[4:])
        return found or _html(_page(lang, _WORDS[lang][3], f"<h1>{_WORDS[lang][3]}</h1>"), 404)

    def _listing(self, lang: str) -> Response:
        entries = (
            f'<li><a href="{_address(lang, held.name)}">{escape(held.title(lang))}</a></li>'
            for held in self._classifications()
        )
        title = _WORDS[lang][1]
        return _html(_page(lang, title, f"<h1>{title}</h1>\n<ul>\n" + "\n".join(entries) + "\n</ul>"))

    def _described(self, lang: str, steps: tuple[str, ...]) -> Response | None:
        for held in self._classifications():
            if len(steps) == 1 and steps[0] in {held.name, *held.aliases}:
                return _html(_page(lang, held.title(lang), _content(held, lang), held.name))
        return None

    def _file(self, name: str) -> Response | None:
        for held in self._classifications():
            for lang in LANGUAGES:
                if name == f"{held.guid}csv_{lang}":
                    return _html(_moved(held, lang)) if held.moved else _csv(held, lang)
        return None

    def _archived(self, number: str) -> Response | None:
        for held in self._classifications():
            for lang in LANGUAGES:
                if held.moved and number == held.moved_name(lang):
                    return _csv(held, lang)
        return None


class Boundaries:
    """Answers the paths below ``/geo``."""

    def __init__(self, geojson: Callable[[str], bytes | None]) -> None:
        self._geojson = geojson

    def answer(self, request: Request) -> Response:
        """A layer as GeoJSON; problems are JSON."""
        layer = request.steps[1].lower() if len(request.steps) == 2 else ""
        body = self._geojson(layer) if layer else None
        if body is None:
            return _problem(404, "ResourcePathFormatError", f"There is no layer {layer!r} (simulated).")
        if request.query.get("format", "").lower() != "geojson":
            return _problem(400, "QueryParameterFormatError", "Only format=geojson is served (simulated).")
        return SiteResponse(200, body, "application/geo+json; charset=utf-8")


def _problem(status: int, kind: str, title: str) -> Response:
    return SiteResponse(status, json.dumps({"type": kind, "title": title}).encode(), "application/json; charset=utf-8")


def _address(lang: str, name: str = "") -> str:
    listing = f"/{SITE}/{lang}/Statistik/dokumentation/nomenklaturer"
    return f"{listing}/{quote(name)}" if name else listing


def _content(held: Classification, lang: str) -> str:
    paragraphs = "\n".join(f"<p>{escape(text)}</p>" for text in held.text(lang))
    link = f"/{SITE}/{_FILES}/{held.guid}csv_{lang}"
    return (
        f'<div class="classificationheading">\n<h1>{escape(held.title(lang))}</h1>\n{paragraphs}\n</div>\n'
        f'<div class="classificationdownload"><a href="{link}">{_WORDS[lang][2]}</a></div>'
    )


def _page(lang: str, title: str, content: str, name: str = "") -> str:
    other = "en" if lang == "da" else "da"
    return _PAGE.format(
        lang=lang,
        title=escape(title),
        publisher=_WORDS[lang][0],
        listing=_address(lang),
        list_title=_WORDS[lang][1],
        other=_address(other, name),
        other_lang="English" if other == "en" else "Dansk",
        content=content,
    )


def _moved(held: Classification, lang: str) -> str:
    target = f"/{SITE}/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi={held.moved_name(lang)}&fo=0&ext=kvaldel"
    return _MOVED.format(address=escape(target))


def _html(text: str, status: int = 200) -> Response:
    return SiteResponse(status, text.encode(), "text/html; charset=utf-8")


def _csv(held: Classification, lang: str) -> Response:
    return SiteResponse(200, held.csv(lang), "text/csv; charset=utf-8", f"{quote(held.name)}_{lang}.csv")
