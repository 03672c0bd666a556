"""Demo tables about people: population, projection, lives, migration, convictions, parental leave.

What belongs here: tables whose unit is a person. Between them they show municipalities below regions, totals that add
up, sparse combinations, suppressed cells, a country code ``NA``, spans, texts as periods and age groups of two styles.
"""

from __future__ import annotations

from varro_assets.simulator import codelists, tids
from varro_assets.simulator.cube import ALL, Code, Dimension
from varro_assets.simulator.table import Footnote, Table


def tables() -> list[Table]:
    """The tables of this module."""
    return [_folk1a(), _by1(), _frdk126(), _hisb7(), _van5(), _straf42(), _barlov1()]


def _folk1a() -> Table:
    ages = tuple(
        Code(f"{age}", f"{age} år", f"{age} year" if age == 1 else f"{age} years", weight=weight)
        for age, weight in zip(range(0, 101, 10), (10, 11, 13, 12, 13, 14, 11, 9, 5, 1.5, 0.02), strict=True)
    )
    status = """
        TOT I alt / Total
        U Ugift / Never married
        G Gift/separeret / Married/separated
        E Enke/enkemand / Widowed
        F Fraskilt / Divorced
    """
    return Table(
        "FOLK1A",
        "Befolkningen den 1. i kvartalet (simuleret)",
        "Population at the first day of the quarter (simulated)",
        "Antal",
        "Number",
        (
            codelists.area(),
            codelists.sex(),
            codelists.all_ages(ages),
            Dimension("CIVILSTAND", "civilstand", "marital status", codelists.codes(status, total="TOT")),
        ),
        tids.run("2022K1", "2025K3"),
        "2025-08-11T08:00:00",
        ("20021",),
        scale=7_000_000,
        noise=0.004,
        growth=0.004,
        holes=({"ALDER": ("0", "10"), "CIVILSTAND": ("G", "E", "F")},),
    )


def _by1() -> Table:
    towns = """
        10100 Hovedstadsområdet / Greater Copenhagen
        46100 Odense / Odense
        75100 Aarhus / Aarhus
        85100 Aalborg / Aalborg
        99999 Landdistrikter / Rural areas
    """
    return Table(
        "BY1",
        "Befolkningen 1. januar (simuleret)",
        "Population 1 January (simulated)",
        "Antal",
        "Number",
        (
            Dimension("BYER", "byområder og landdistrikter", "urban and rural areas", codelists.codes(towns), False),
            codelists.all_ages(codelists.ages(0, 80, 5)),
            codelists.sex(),
        ),
        tids.run("2016", "2025"),
        "2025-05-14T08:00:00",
        ("20021", "20003"),
        scale=400_000,
        noise=0.02,
    )


def _frdk126() -> Table:
    origin = """
        1 Personer med dansk oprindelse / Persons of Danish origin
        2 Indvandrere / Immigrants
        3 Efterkommere / Descendants
    """
    return Table(
        "FRDK126",
        "Befolkningsfremskrivning 2026 for hele landet (simuleret)",
        "Population projections 2026 for the country by origin, sex and age, simulated figures of no real origin",
        "Antal",
        "Number",
        (
            Dimension("HERKOMST", "herkomst", "ancestry", codelists.codes(origin), False),
            codelists.sex(men="M", women="K"),
            codelists.all_ages(codelists.ages(0, 100, 10)),
        ),
        tids.run("2026", "2035"),
        "2025-05-20T08:00:00",
        ("20022",),
        scale=2_000_000,
        noise=0.01,
    )


def _hisb7() -> Table:
    decades = tuple(f"{year}:{year + 9}" for year in range(1840, 1900, 10))
    halves = tuple(f"{year}:{year + 4}" for year in range(1901, 1951, 5))
    pairs = tuple(f"{year}:{year + 1}" for year in range(2019, 2024))
    sexes = (Code("M", "Mænd", "Men", weight=0.98), Code("K", "Kvinder", "Women", weight=1.02))
    return Table(
        "HISB7",
        "Middellevetid for 0-årige (simuleret)",
        "Life expectancy for new born babies (simulated)",
        "År",
        "Years",
        (Dimension("KØN", "køn", "sex", sexes, elimination=False),),
        decades + halves + pairs,
        "2025-02-11T08:00:00",
        ("20015",),
        decimals=1,
        scale=79,
        noise=0.01,
        growth=0.003,
    )


def _van5() -> Table:
    countries = """
        DE Tyskland / Germany
        GL Grønland / Greenland
        NA Namibia / Namibia
        NO Norge / Norway
        PL Polen / Poland
        SE Sverige / Sweden
        UA Ukraine / Ukraine
        US USA / United States
    """
    return Table(
        "VAN5",
        "Indvandringer (simuleret)",
        "Immigration (simulated)",
        "Antal",
        "Number",
        (
            codelists.area(municipalities=False),
            codelists.sex(men="M", women="K"),
            Dimension("INDVLAND", "indvandringsland", "country of last residence", codelists.codes(countries), False),
        ),
        tids.run("2018", "2024"),
        "2025-02-11T08:00:00",
        ("20004", "20024"),
        scale=900,
        noise=0.3,
        density=0.9,
    )


def _straf42() -> Table:
    offences = """
        TOT Overtrædelsens art i alt / Nature of the offence, total
        1 Straffelov / Criminal code
        11 Seksualforbrydelser / Sexual offences
        12 Voldsforbrydelser / Crimes of violence
        13 Ejendomsforbrydelser / Offences against property
        2 Færdselslov / Road Traffic Act
        38 Særlov / Special acts
    """
    decisions = """
        000 Afgørelser i alt / Decisions, total
        101 Ubetinget frihedsstraf / Unsuspended imprisonment
        102 Betinget frihedsstraf / Suspended imprisonment
        103 Bøde / Fine
    """
    note_da = (
        "Tallene er opfundet.    \r\n \r\n  Celler med f&aring; afg&oslash;relser vises som &apos;..&apos;. "
        "Se https://simulator.example.org/note"
    )
    note_en = (
        "The figures are invented.    \r\n \r\n  Cells of few decisions show as &apos;..&apos;. "
        "See https://simulator.example.org/note"
    )
    ages = (Code("TOT", "Alder i alt", "Age, total", parts=ALL), *codelists.ages(15, 80, 13, open_end="OV"))
    return Table(
        "STRAF42",
        "Strafferetlige afgørelser (simuleret)",
        "Decisions, total (simulated)",
        "Antal",
        "Number",
        (
            Dimension("OVERTRÆD", "overtrædelsens art", "type of offence", codelists.codes(offences, total="TOT")),
            Dimension("AFGØRTYP", "afgørelsestype", "type of decision", codelists.codes(decisions, total="000")),
            Dimension("ALDER", "alder", "age", ages),
            codelists.sex(),
        ),
        tids.run("2015", "2024"),
        "2025-03-25T08:00:00",
        ("20061",),
        footnote=Footnote(note_da, note_en),
        scale=200_000,
        noise=0.2,
        density=0.85,
        suppressed=0.06,
    )


def _barlov1() -> Table:
    units = """
        1010 Gennemsnitligt antal dage, fædre / Average number of days, fathers
        1020 Gennemsnitligt antal dage, mødre / Average number of days, mothers
    """
    entitled = """
        10 Begge berettigede / Both entitled
        20 Kun mor berettiget / Only the mother entitled
        30 Kun far berettiget / Only the father entitled
    """
    return Table(
        "BARLOV1",
        "Orlov før fødslen samt i barnets første leveår, født 2. august - 31. december (simuleret)",
        "Leave in the first year of the child, born 2 August - 31 December (simulated)",
        "Dage",
        "Days",
        (
            Dimension("ENHED", "enhed", "unit", codelists.codes(units), False),
            Dimension("BERETTIGELSE", "berettigelse", "entitlement", codelists.codes(entitled), False),
            Dimension("OMRÅDE", "område", "region", codelists.regions()[1:], map="KOMGRP"),
        ),
        tids.run("AUG - DEC 2019", "AUG - DEC 2023"),
        "2025-04-11T08:00:00",
        ("20040",),
        decimals=1,
        scale=150,
        noise=0.1,
    )
