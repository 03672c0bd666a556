"""Demo tables about money and things: prices, exchange and interest rates, cars, grain, the metro.

What belongs here: tables whose unit is not a person. Between them they show months, weeks with a gap and a week 53,
business days, half-years, decimals, negative numbers, stored zeros, codes of uneven width and a shared cube.
"""

from __future__ import annotations

from varro_assets.simulator import codelists, tids
from varro_assets.simulator.cube import Code, Dimension
from varro_assets.simulator.table import Footnote, Table


def tables() -> list[Table]:
    """The tables of this module."""
    return [_pris111(), _dnvald(), _dnrentm(), _bil10(), _korn2(), _metrox1()]


def _pris111() -> Table:
    goods = """
        000000 Forbrugerprisindekset i alt / Consumer price index, total
        010000 Fødevarer og ikke-alkoholiske drikkevarer / Food and non-alcoholic beverages
        011100 Brød og kornprodukter / Bread and cereals
        030000 Beklædning og fodtøj / Clothing and footwear
        040000 Bolig / Housing
        045100 Elektricitet / Electricity
        070000 Transport / Transport
        072200 Brændstof; smøremidler / Fuels; lubricants
        090000 Fritid og kultur / Recreation and culture
    """
    units = (
        Code("100", "Indeks", "Index", weight=1.2),
        Code("200", "Ændring i forhold til måneden før (pct.)", "Change on the month before (per cent)", weight=0),
        Code("300", "Ændring i forhold til samme måned året før (pct.)", "Change on the year before", weight=0.02),
    )
    return Table(
        "PRIS111",
        "Forbrugerprisindeks efter varegruppe (simuleret)",
        "Consumer price index by commodity group (simulated)",
        "-",
        "-",
        (
            Dimension("VAREGR", "varegruppe", "commodity group", codelists.codes(goods), False),
            Dimension("ENHED", "enhed", "unit", units, False),
        ),
        tids.run("2023M01", "2025M08"),
        "2025-09-05T08:00:00",
        ("20072",),
        decimals=1,
        scale=100,
        centre=0.01,
        noise=0.04,
        growth=0.02,
        stores_zeros=True,
    )


def _dnvald() -> Table:
    currencies = """
        CHF Schweiziske franc / Swiss francs
        EUR Euro / Euro
        GBP Britiske pund / Pounds sterling
        NOK Norske kroner / Norwegian kroner
        SEK Svenske kroner / Swedish kronor
        USD Amerikanske dollar / US dollars
    """
    kinds = """
        KBH Kurs (DKK pr. 100 enheder) / Exchange rate (DKK per 100 units)
        KRT Kronekursindeks / Effective krone rate
    """
    return Table(
        "DNVALD",
        "Valutakurser (simuleret)",
        "Exchange rates (simulated)",
        "-",
        "-",
        (
            Dimension("VALUTA", "valuta", "currency", codelists.codes(currencies), False),
            Dimension("KURTYP", "kurstype", "type", codelists.codes(kinds), False),
        ),
        tids.run("2025M06D16", "2025M09D04"),
        "2025-09-05T08:00:00",
        ("20279",),
        documented=False,
        decimals=2,
        scale=500,
        noise=0.01,
        stores_zeros=True,
    )


def _dnrentm() -> Table:
    instruments = """
        FUD Foliorente / Current account rate
        INB Indskudsbeviser / Certificates of deposit
        UDL Udlånsrente / Lending rate
        MPK3 Pengemarked 3 mdr. (Jun 1988-Dec 2013) / Money market 3 months (Jun 1988-Dec 2013)
    """
    countries = """
        DK Danmark / Denmark
        EU Euroområdet / Euro area
    """
    sibling = ("ABO", "DIS", "IDKA", "USM")
    return Table(
        "DNRENTM",
        "Rentesatser, månedsgennemsnit (simuleret)",
        "Interest rates, monthly averages (simulated)",
        "Pct.",
        "Per cent",
        (
            Dimension("INSTRUMENT", "instrument", "item", codelists.codes(instruments), False, undeclared=sibling),
            Dimension("LAND", "land", "country", codelists.codes(countries), False, undeclared=("GB", "US")),
        ),
        tids.run("2024M01", "2025M08"),
        "2025-09-05T08:00:00",
        ("20278",),
        documented=False,
        decimals=4,
        scale=3,
        centre=0.7,
        noise=0.2,
        holes=({"INSTRUMENT": ("MPK3",)},),
    )


def _bil10() -> Table:
    fuels = """
        20200 Drivmidler i alt / Propellants, total
        20205 Benzin / Petrol
        20210 Diesel / Diesel
        20215 F-gas / LPG
        20225 El / Electricity
        20231 Brint / Hydrogen
        20232 Pluginhybrid / Plug-in hybrid
        20235 Øvrige drivmidler / Other propellants
    """
    weights = """
        0000 I alt / Total
        0600 0-600 kg / 0-600 kg
        601 601-700 kg / 601-700 kg
        701 701-800 kg / 701-800 kg
        801 801-900 kg / 801-900 kg
        901 901-1.000 kg / 901-1,000 kg
        1001 1.001-1.500 kg / 1,001-1,500 kg
        1501 1.501-2.000 kg / 1,501-2,000 kg
        2001 Over 2.000 kg / Over 2,000 kg
        2005 Uoplyst / Not stated
    """
    note = Footnote("Tallene er opfundet.", "The figures are invented.", mandatory=False)
    return Table(
        "BIL10",
        "Bestanden af personbiler pr. 1. januar (simuleret)",
        "Stock of passenger cars per 1 January (simulated)",
        "Antal",
        "Number",
        (
            Dimension("DRIV", "drivmiddel", "propellant", codelists.codes(fuels, total="20200")),
            Dimension("EGEN", "egenvægt", "unladen weight", codelists.codes(weights, total="0000")),
        ),
        tids.run("2007", "2025"),
        "2025-03-25T08:00:00",
        ("20220",),
        footnote=note,
        scale=2_800_000,
        growth=0.015,
        density=0.9,
    )


def _korn2() -> Table:
    crops = """
        10 Hvede / Wheat
        20 Rug / Rye
        30 Byg / Barley
        40 Havre / Oats
    """
    actors = """
        1 Beholdning, landbruget / Stocks, agriculture
        2 Beholdning, handelen / Stocks, trade
        3 Salg til handelen / Sales to trade
    """
    return Table(
        "KORN2",
        "Lager og omsætning af korn (simuleret)",
        "Stocks and sales of cereals (simulated)",
        "Mio. kg",
        "Million kg",
        (
            Dimension("AFGRØDE", "afgrøde", "crop", codelists.codes(crops), False),
            Dimension("AKTØR", "aktører", "actors", codelists.codes(actors), False),
        ),
        tids.run("2019H1", "2024H2"),
        "2025-05-27T08:00:00",
        ("20474",),
        scale=900,
        noise=0.25,
    )


def _metrox1() -> Table:
    adjusted = """
        10 Sæsonkorrigeret / Seasonally adjusted
        11 Ikke-sæsonkorrigeret / Non-seasonally adjusted
    """
    note = Footnote("Uge 2-7 mangler; tallene er opfundet.", "Weeks 2-7 are missing; invented figures.", False)
    return Table(
        "METROX1",
        "Passagerindeks for metroen på hverdage (eksperimentel statistik) (simuleret)",
        "Workday passenger index in the Metro (experimental statistics) (simulated)",
        "Indeks",
        "Index",
        (Dimension("SÆSON", "sæsonkorrigering", "seasonal adjustment", codelists.codes(adjusted), False),),
        ("2020U01", *tids.run("2020U08", "2021U08")),
        "2025-06-12T08:00:00",
        ("20221",),
        documented=False,
        footnote=note,
        decimals=1,
        scale=90,
        noise=0.4,
        stores_zeros=True,
    )
