"""Column kind: what the codes of a fact column say.

What belongs here: telling selectors of a measure, sex, age and time from categories, by rules on the variable and its
labels alone. Only a category can join a dimension; documents tell readers which columns select a measure, because
summing over those adds crowns to people.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from varro_assets.dimensions.links.labels import folded
from varro_assets.dimensions.links.totals import totals
from varro_assets.dimensions.models import FactColumn

SHARE = 0.6
"""Share of a column's labels, totals left out, that must read as one kind before it counts as that kind."""


class ColumnKind(StrEnum):
    """What the codes of a column say of the number in the row."""

    MEASURE = "measurement selector"
    """Which number or unit it is."""
    SEX = "sex"
    AGE = "age"
    TIME = "time"
    """Parts of a period, or years other than the table's own period."""
    CATEGORY = "category"
    """What it is about; the only kind that can join a dimension."""


def kind_of(column: FactColumn) -> ColumnKind:
    """What kind of column it is; the first rule that holds decides.

    1. ``SEX``: every label but totals and "unknown" is one of men, women, boys, girls (singular or plural); or one is,
       and the variable is called ``køn`` (with ``Virksomheder`` beside the two in criminal statistics).
    2. ``MEASURE``: the variable's id or label is a name of selectors (``enhed``, ``tal``, ``prisenhed``, ``måleenhed``,
       ``beregning``, ``sæsonkorrigering``, ``indikator``, ``nøgletal``, ``datatype``, ...).
    3. ``AGE``: a word of the variable's label is ``alder`` or ends in it, or begins with ``alders`` (``aldersgruppe``);
       or at least `SHARE` of the labels are spans of years (``0-4 år``, ``80 år og derover``).
    4. ``TIME``: the variable's label names month, weekday, day, week, quarter, hour or a year of birth, construction
       and the like; or at least `SHARE` of the labels are months, weekdays, quarters, clock times or bare years.
    5. ``MEASURE``: at least `SHARE` of the labels read as a number's kind or unit (``Antal``, ``Pct.``, ``Mio. kr.``,
       ``Indeks``, ``Løbende priser``, ``Sæsonkorrigeret``), or the only code is ``-``.
    6. ``CATEGORY``.
    """
    left_out = set(totals(column))
    labels = [folded(code.text) for code in column.codes if code.id not in left_out]
    name, variable = folded(column.label), folded(column.variable)
    if _is_sex(labels, called={variable, *name.split()}):
        return ColumnKind.SEX
    if name in _SELECTORS or variable in _SELECTORS:
        return ColumnKind.MEASURE
    if any(_AGE_WORD.fullmatch(word) for word in name.split()) or _mostly(labels, _AGE.fullmatch):
        return ColumnKind.AGE
    if name in _TIMES or any(_TIME_WORD.fullmatch(word) for word in name.split()) or _mostly(labels, _TIME.fullmatch):
        return ColumnKind.TIME
    if [code.id for code in column.codes] == ["-"] or _mostly([folded(c.text) for c in column.codes], _UNIT.match):
        return ColumnKind.MEASURE
    return ColumnKind.CATEGORY


def is_unit(words: str) -> bool:
    """The words begin as a number's kind or unit does: ``mio. timer``, ``1.000 personer``, ``pct.``."""
    return _UNIT.match(folded(words)) is not None


def _is_sex(labels: list[str], *, called: set[str]) -> bool:
    known = [label for label in labels if not _UNKNOWN.match(label)]
    sexes = sum(bool(_SEX.fullmatch(label)) for label in known)
    return bool(sexes) and (sexes == len(known) or bool(called & {"kon", "koen", "sex"}))


def _mostly(labels: list[str], reads: Callable[[str], object]) -> bool:
    return bool(labels) and sum(bool(reads(label)) for label in labels) >= SHARE * len(labels)


# All patterns are of folded text: lower case, å ø æ as a o ae, anything but letters and digits a blank.
_SELECTORS = frozenset(
    (
        *("enhed", "enheder", "maleenhed", "energienhed", "tal", "hovedtal", "nogletal", "bnogle", "antal og pct"),
        *(
            "pris",
            "priser",
            "prisenhed",
            "pristype",
            "prisdefinition",
            "kurstype",
            "belob",
            "vaerdi",
            "vaerdier",
            "talvaerdi",
        ),
        *(
            "beregning",
            "beregningsmetode",
            "opgorelse",
            "opgorelsesmetode",
            "datatype",
            "version",
            "indekstype",
            "personer pct",
        ),
        *("saeson", "saesonkorrigering", "saesonkorrigering og faktiske tal", "indikator", "indikatorer"),
        *("multiplikator", "multiplikatortype", "decilgraense", "decil gennemsnit", "statistiske mal"),
    )
)
_UNKNOWN = re.compile(r"(?:uoplyst|ukendt|unknown|not stated)\b")
_SEX = re.compile(r"(?:maend|mand|kvinder|kvinde|drenge|dreng|piger|pige|men|man|women|woman|boys|boy|girls|girl)")
_AGE_WORD = re.compile(r"[a-z]*alder|alders(?:gruppe|trin|klasse|interval|kategori|fordeling)[a-z]*|age|ages")
_AGE = re.compile(
    r"(?:under )?\d+(?: \d+)? (?:ar|years?)(?: (?:og|eller|and) (?:derover|over|aeldre|mere|derunder|older))?"
)
_MONTHS = "januar|februar|marts|april|maj|juni|juli|august|september|oktober|november|december"
_DAYS = "mandag|tirsdag|onsdag|torsdag|fredag|lordag|sondag"
_TIMES = frozenset(("dag", "dage", "uge", "uger", "kvartal", "klokkeslaet", "time", "month", "weekday", "quarter"))
"""Whole names only: ``timer pr. uge`` is no time."""
_TIME_WORD = re.compile(r"[a-z]*maned|ugedage?|fodselsdag|[a-z]{4,}sar|dimittendargang")
_TIME = re.compile(
    rf"(?:{_MONTHS})(?: maned)?|(?:{_DAYS})e?|[1-4] kvartal|kvartal [1-4]|uge \d+|kl \d+.*|"
    r"(?:for|efter|fra|foer|ca )?\s?(?:1[5-9]|20)\d\d(?: (?:1[5-9]|20)\d\d| og (?:for|efter|senere|tidligere))?"
)
_UNIT = re.compile(
    r"antal\b|gennemsnit|median|andel\b|aendring\b|arlig (?:real)?(?:vaekst|aendring)|realvaekst|vaekst\b|"
    r"(?:i )?(?:pct|procent|promille)\b|.* (?:pct|procent|pct point)$|procentvis|"
    r"(?:mio|mia|1 ?000|1000)? ?(?:kr|dkk|eur|euro|kroner)\b|"
    r"(?:mio|mia|1 ?000) (?:stk|tons?|personer|timer|m2|m3|kg)\b|"
    r"[a-z]*indeks\b|(?:lobende|faste|arets) priser|\d{4} priser|.*kaedede vaerdier|"
    r"(?:ikke )?saesonkorrigeret|faktiske tal|(?:sum|standardafvigelse|nedre kvartil|ovre kvartil|kvartil)\b|"
    r"(?:tons?|kg|km|m2|m3|kvm|hektar|ha|gj|tj|pj|kwh|mwh|gwh|liter|stk|timer|minutter)\b|"
    r"pr (?:indbygger|capita|1000|1 000|100 000)\b|.* pr (?:indbygger|capita|1000|1 000)\b|"
    r"(?:number|per cent|percent|pct|index|average|share|change|current prices|constant prices)\b"
)
