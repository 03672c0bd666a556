"""Demo tables that are in the demo for one awkward habit each, and two inactive ones.

What belongs here: a census with uneven years and an empty period, seasons with a slash, variables named like SQL
keywords, labels that are not unique, and inactive tables with period codes seen nowhere else.
"""

from __future__ import annotations

from varro_assets.simulator import codelists, tids
from varro_assets.simulator.cube import Code, Dimension
from varro_assets.simulator.table import Table


def tables() -> list[Table]:
    """The tables of this module."""
    return [_ft(), _idrtil01(), _kord1(), _fv22tota(), _adop1(), _app212()]


def _ft() -> Table:
    parts = """
        000 Hele landet / All Denmark
        100 Hovedstaden / The capital
        200 Øerne i øvrigt / Other islands
        300 Jylland / Jutland
    """
    members = codelists.codes(parts, total="000")
    return Table(
        "FT",
        "Befolkningen, summariske tal fra folketællinger (simuleret)",
        "Population, summary figures from the censuses (simulated)",
        "Antal",
        "Number",
        (Dimension("HOVEDDELE", "hovedlandsdele", "national part", members),),
        ("1769", "1787", "1801", "1834", "1840", "1901", "1950", "1970", "2000", "2010", "2020", "2025"),
        "2025-02-11T08:00:00",
        ("20021",),
        scale=5_500_000,
        growth=0.004,
        empty=frozenset({"1834"}),
    )


def _idrtil01() -> Table:
    sports = """
        10 Fodbold, herrer / Football, men
        20 Håndbold, damer / Handball, women
        30 Ishockey / Ice hockey
    """
    measures = """
        1 Tilskuere / Spectators
        2 Kampe / Matches
        3 Gennemsnit pr. kamp / Average per match
    """
    return Table(
        "IDRTIL01",
        "Tilskuertal til udvalgte sportsgrene (simuleret)",
        "Spectators of selected sports (simulated)",
        "Antal",
        "Number",
        (
            Dimension("SPORT", "sportsgren", "sport", codelists.codes(sports), False),
            Dimension("TILSKUER", "tilskuere og kampe", "spectators and matches", codelists.codes(measures), False),
        ),
        tids.run("2017/2018", "2023/2024"),
        "2024-10-07T08:00:00",
        ("20673",),
        scale=250_000,
        noise=0.3,
    )


def _kord1() -> Table:
    users = """
        TOT I alt / Total
        1 Dagligt / Daily
        2 Ugentligt / Weekly
        3 Sjældnere / Less often
    """
    orders = """
        100- Over 100 kr. / More than DKK 100
        0-99 Under 100 kr. / Less than DKK 100
    """
    return Table(
        "KORD1",
        "Køb over internettet (simuleret)",
        "Purchases on the internet (simulated)",
        "1.000",
        "1,000",
        (
            Dimension("USER", "bruger", "user", codelists.codes(users, total="TOT")),
            Dimension("ORDER", "ordre", "order", codelists.codes(orders), False),
        ),
        tids.run("2020", "2024"),
        "2025-01-30T08:00:00",
        ("20145",),
        scale=4_000,
    )


def _fv22tota() -> Table:
    # polling districts: the same name occurs in several municipalities, so labels do not identify a row
    names = ("Centrum", "Skolen", "Hallen", "Rådhuset")
    districts = tuple(
        Code(f"{place}{number:03d}", names[number % len(names)], names[number % len(names)])
        for place in ("101", "461", "751")
        for number in range(1, 13)
    )
    results = (
        Code("S10", "Vælgere", "Electorate", weight=1.3),
        Code("T20", "Afgivne stemmer", "Votes cast", weight=1.1),
    )
    return Table(
        "FV22TOTA",
        "Folketingsvalg 2022, afstemningsområder (simuleret)",
        "Parliamentary election 2022, polling districts (simulated)",
        "Antal",
        "Number",
        (
            Dimension("OMRÅDE", "område", "region", districts, False, map="Denmark_municipality_07"),
            Dimension("VALRES", "valgresultat", "result of the election", results, False),
        ),
        ("2022",),
        "2023-01-16T08:00:00",
        ("20005",),
        scale=3_000,
    )


def _adop1() -> Table:
    return Table(
        "ADOP1",
        "Adoptioner (simuleret)",
        "Adoptions (simulated)",
        "Antal",
        "Number",
        (codelists.sex(men="M", women="K"),),
        tids.run("2010", "2015"),
        "2016-03-01T09:00:00",
        ("20019",),
        active=False,
        scale=400,
    )


def _app212() -> Table:
    kinds = """
        1 Køer / Cows
        2 Svin / Pigs
    """
    return Table(
        "APP212",
        "Slagtninger, to uger ad gangen (simuleret)",
        "Slaughterings, two weeks at a time (simulated)",
        "1.000 stk.",
        "1,000 heads",
        (Dimension("DYR", "dyr", "animal", codelists.codes(kinds), False),),
        ("2008U01-02", "2008U03-04", "2008U05-06"),
        "2009-02-02T09:30:00",
        ("20473",),
        active=False,
        scale=400,
    )
