"""Demo tables about branches, workplaces and buildings, whose columns join classifications in awkward ways.

What belongs here: tables whose unit is ``-`` because a variable says what is counted, branch codes with a prefix that
the classification lacks, groups of municipalities, and codes that stand on two levels of the classification or on none.
"""

from __future__ import annotations

from varro_assets.simulator import codelists, tids
from varro_assets.simulator.cube import Code, Dimension
from varro_assets.simulator.table import Footnote, Table


def tables() -> list[Table]:
    """The tables of this module."""
    return [_nabb69(), _laby43(), _bygb70()]


def _nabb69() -> Table:
    counted = (
        Code("EMPH_DC", "Samlede præsterede timer (1000 timer)", "Total hours worked (1000 hours)", weight=1.5),
        Code("EMPM_DC", "Samlet antal beskæftigede (antal)", "Total employment (number)", weight=1.0),
        Code("SALM_DC", "Lønmodtagere (antal)", "Employees (number)", weight=0.9),
    )
    branches = """
        V I alt / Total
        V01000 Landbrug og gartneri / Agriculture and horticulture
        V02000 Skovbrug / Forestry
        V03000 Fiskeri / Fishing
        V10120 Føde-, drikke- og tobaksvareindustri / Manufacture of food, beverages and tobacco
        V16000 Træindustri / Manufacture of wood
        V17000 Papirindustri / Manufacture of paper
        V20000 Kemisk industri / Manufacture of chemicals
        V21000 Medicinalindustri / Pharmaceuticals
        V45000 Bilhandel / Trade of motor vehicles
        V46000 Engroshandel / Wholesale trade
        V47000 Detailhandel / Retail trade
        V55000 Hoteller mv. / Accommodation
        V56000 Restauranter / Food service activities
    """
    return Table(
        "NABB69",
        "Beskæftigelse og timer (69-gruppering) (simuleret)",
        "Employment and hours worked (69-grouping) (simulated)",
        "-",
        "-",
        (
            Dimension("SOCIO", "socioøkonomisk status", "socio-economic status", counted, False),
            Dimension("BRANCHE", "branche", "industry", codelists.codes(branches, total="V"), False),
        ),
        tids.run("2010", "2024"),
        "2025-06-30T08:00:00",
        ("20183",),
        scale=2_900_000,
        noise=0.02,
    )


def _laby43() -> Table:
    branches = """
        C Fremstillingserhverv (industri) / Manufacturing
        G Engros- og detailhandel / Wholesale and retail trade
        I Overnatningsfaciliteter og restauranter / Accommodation and restaurants
    """
    counted = """
        ARBSTED Arbejdssteder ultimo november / Workplaces, end November
        ANSATTE Job ultimo november / Jobs, end November
        FULDBESK Fuldtidsbeskæftigede / Full-time equivalents
    """
    return Table(
        "LABY43",
        "Arbejdssteder, job og fuldtidsbeskæftigede (simuleret)",
        "Workplaces, jobs and full-time equivalents (simulated)",
        "Antal",
        "Number",
        (
            Dimension("KOMGRP", "kommunegruppe", "municipality group", codelists.municipality_groups(), False),
            Dimension("BRANCHE07", "branche (DB07)", "industry (DB07)", codelists.codes(branches), False),
            Dimension("TAL", "enhed", "unit", codelists.codes(counted), False),
        ),
        tids.run("2015", "2023"),
        "2025-03-13T08:00:00",
        ("20096",),
        scale=400_000,
        noise=0.03,
    )


def _bygb70() -> Table:
    counted = (
        Code("45", "Bygninger (antal)", "Buildings (number)", weight=1.0),
        Code("50", "Kvadratmeter (1000 m2)", "Square metres (1000 m2)", weight=0.2),
    )
    uses = """
        110 Stuehuse til landbrugsejendom / Farmhouses
        120 Fritliggende enfamiliehus / Detached single-family house
        121 Sammenbygget enfamiliehus / Attached single-family house
        122 Fritliggende enfamiliehus i tæt-lav bebyggelse / Detached house in dense low-rise area
        130 Række-, kæde- og dobbelthuse / Terraced, linked and semi-detached houses
        131 Række- og kædehus / Terraced or linked house
        132 Dobbelthus / Semi-detached house
        140 Etageboligbygning, flerfamiliehus eller tofamiliehus / Multi-dwelling house
        211 Stald til svin / Pigsty
        212 Stald til kvæg, får mv. / Stable for cattle, sheep etc.
        321 Bygning til kontor / Office building
        510 Sommerhus / Holiday home
        990 Faldefærdig bygning / Dilapidated building
    """
    note = Footnote("Tallene er opfundet.", "The figures are invented.")
    return Table(
        "BYGB70",
        "Bygninger og deres etageareal (simuleret)",
        "Buildings and their floor area (simulated)",
        "-",
        "-",
        (
            Dimension("OMRÅDE", "område", "region", codelists.provinces(), map="Denmark_municipality_07"),
            Dimension("MÆNGDE4", "enhed", "unit", counted, False),
            Dimension("ANVEND", "anvendelse", "use", codelists.codes(uses), False),
        ),
        tids.run("2021", "2025"),
        "2025-03-06T08:00:00",
        ("20063",),
        footnote=note,
        scale=4_500_000,
        noise=0.02,
        density=0.97,
    )
