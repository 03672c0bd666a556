"""The classifications of the simulated site: places and people.

What belongs here: codes, titles and addresses, which are the publisher's facts, and descriptions in our own words.
Lists longer than the demo needs are abridged. Branches and buildings are in ``classification_lists_business``.
"""

from __future__ import annotations

from varro_assets.simulator import classification_lists_business, codelists
from varro_assets.simulator.classifications import Classification, Item, invented_guid, items

_INVENTED_DA = "Siden er simuleret: koder og titler er rigtige, teksten er skrevet til afprøvning."
_INVENTED_EN = "This page is simulated: codes and titles are real, the text is written for trials."


def classifications() -> list[Classification]:
    """All classifications, as published at first."""
    return [
        _nuts(),
        _kommunegrupper(),
        _amt_kom(),
        _koen(),
        _herkomst(),
        _socio(),
        _overtraedtype(),
        _lande_uhv(),
        *classification_lists_business.classifications(),
    ]


def _nuts() -> Classification:
    listed = []
    for region, name, provinces in codelists.geography():
        listed.append(Item(region, 1, name, name))
        for province, label, municipalities in provinces:
            listed.append(Item(province, 2, f"Landsdel {label}", f"Province {label}"))
            listed += [Item(code, 3, title, title) for code, title in municipalities]
    return Classification(
        "nuts",
        "Regioner, landsdele og kommuner (NUTS), v1:2007-",
        "Regions, provinces and municipalities (NUTS), v1:2007-",
        (
            "Danmark er delt i 5 regioner, og hver region i landsdele; der er 11 landsdele.",
            "Hver kommune ligger i én landsdel. Christiansø hører ikke til nogen kommune, men tælles med som en.",
            _INVENTED_DA,
        ),
        (
            "Denmark is divided into 5 regions, and each region into provinces, 11 in all.",
            "Each municipality lies in one province. Christiansø is not a municipality but is counted as one.",
            _INVENTED_EN,
        ),
        tuple(listed),
        "5d18d1e0-400b-4505-92ad-6782915980a3",
    )


def _kommunegrupper() -> Classification:
    names = dict(codelists.municipalities())
    listed = []
    for code, da, en, members in codelists.MUNICIPALITY_GROUPS:
        listed.append(Item(code, 1, da, en))
        listed += [Item(member, 2, names[member], names[member]) for member in members.split()]
    return Classification(
        "kommunegrupper",
        "Kommunegrupper, v1:2018-",
        "Municipality groups, v1:2018-",
        (
            "Kommunerne er samlet i fem grupper efter hvor store deres byer er, og hvor let man kommer til job.",
            _INVENTED_DA,
        ),
        (
            "Municipalities fall into five groups by the size of their towns and by how near jobs are.",
            _INVENTED_EN,
        ),
        tuple(listed),
        "edaa83b4-6045-4708-9493-bff4d71282d8",
    )


def _amt_kom() -> Classification:
    listed = """
        101 Københavns Kommune
        147 Frederiksberg Kommune
        015 Københavns Amt
          151 Ballerup
          153 Brøndby
          155 Dragør
          157 Gentofte
          159 Gladsaxe
          161 Glostrup
          163 Herlev
          165 Albertslund
          167 Hvidovre
          169 Høje-Taastrup
          171 Ledøje-Smørum
          173 Lyngby-Taarbæk
          175 Rødovre
          181 Søllerød
          183 Ishøj
          185 Tårnby
          187 Vallensbæk
          189 Værløse
        025 Roskilde Amt
          251 Bramsnæs
          253 Greve
          255 Gundsø
          257 Hvalsø
          259 Køge
          261 Lejre
          263 Ramsø
          265 Roskilde
          267 Skovbo
          269 Solrød
          271 Vallø
    """
    return Classification(
        "amt-kom",
        "Amter og kommuner, v1:1970-2006 (uddrag)",
        "Counties and municipalities, v1:1970-2006 (extract)",
        ("Inddelingen gjaldt til og med 2006. Her er kun to af amterne.", _INVENTED_DA),
        ("This division was in force until the end of 2006. Only two of the counties are shown.", _INVENTED_EN),
        items(listed),
        "e6e3c1d3-df3b-4e69-bc2b-c5d3f343833c",
    )


def _koen() -> Classification:
    listed = """
        1 Mænd / Men
        2 Kvinder / Women
    """
    return Classification(
        "koen",
        "Køn, v1:1980-",
        "Sex, v1:1980-",
        ("Køn som det er registreret.", _INVENTED_DA),
        ("Sex as registered.", _INVENTED_EN),
        items(listed),
        "e267e7c0-d998-4922-b2c4-6b44b15dd149",
    )


def _herkomst() -> Classification:
    listed = """
        1 Personer med dansk oprindelse / Persons of Danish origin
        2 Indvandrere / Immigrants
        3 Efterkommere / Descendants
    """
    return Classification(
        "herkomst",
        "Herkomst",
        "Ancestry",
        ("Befolkningen delt efter hvor personen og forældrene er født.", _INVENTED_DA),
        ("The population by where a person and the parents were born.", _INVENTED_EN),
        items(listed),
        "948ef1c3-072c-4d76-ba2b-ce7d34691593",
    )


def _socio() -> Classification:
    listed = """
        1 Beskæftigede / Employed persons
          110 Selvstændige / Self-employed
          120 Medarbejdende ægtefæller / Assisting spouses
          131 Topledere / Top managers
          132 Lønmodtagere på højeste niveau / Employees, upper level
          133 Lønmodtagere på mellemniveau / Employees, medium level
          134 Lønmodtagere på grundniveau / Employees, basic level
          135 Andre lønmodtagere / Other employees
        2 Midlertidigt uden for arbejdsstyrken / Temporarily outside the labour force
          210 Arbejdsløse / Unemployed
          220 Modtagere af dagpenge / Recipients of sickness benefits
        3 Uden for arbejdsstyrken / Outside the labour force
          310 Under uddannelse / Enrolled in education
          321 Førtidspensionister / Early retirement pensioners
          322 Folkepensionister / Old-age pensioners
          323 Efterlønsmodtagere / Recipients of early retirement pay
          330 Kontanthjælpsmodtagere / Recipients of social assistance
        4 Andre / Others
          410 Andre uden for arbejdsstyrken / Others outside the labour force
          420 Børn / Children
    """
    return Classification(
        "socio",
        "Socioøkonomisk klassifikation (uddrag)",
        "Socio-economic classification (extract)",
        ("Personer delt efter deres vigtigste kilde til indkomst i året.", _INVENTED_DA),
        ("Persons by their main source of income in the year.", _INVENTED_EN),
        items(listed),
        "007fb11c-4b35-4c7a-ad2d-f0a2cb0155c0",
    )


def _overtraedtype() -> Classification:
    listed = """
        1 Straffelov / Criminal code
          11 Seksualforbrydelser / Sexual offences
          12 Voldsforbrydelser / Crimes of violence
          13 Ejendomsforbrydelser / Offences against property
          14 Andre straffelovsforbrydelser / Other offences against the criminal code
        2 Færdselslov / Road Traffic Act
          21 Færdselsuheld uspecificeret / Traffic accidents, not specified
          22 Færdselslov spiritus / Road Traffic Act, alcohol
          24 Mangler ved køretøj / Defects of vehicles
          26 Færdselslov i øvrigt / Road Traffic Act, other
        3 Særlov / Special acts
          32 Lov om euforiserende stoffer / Euphoriants Act
          34 Våbenloven / Arms Act
          36 Skatte og afgiftslove / Tax and duty acts
          38 Særlove i øvrigt / Other special acts
    """
    return Classification(
        "overtraedtype",
        "Overtrædelsestyper (uddrag)",
        "Types of offence (extract)",
        ("Overtrædelser samlet efter den lov, der er overtrådt.", _INVENTED_DA),
        ("Offences grouped by the act that was violated.", _INVENTED_EN),
        items(listed),
        invented_guid("overtraedtype"),
    )


def _lande_uhv() -> Classification:
    listed = """
        51 Europa / Europe
          511 EU / EU
            AT Østrig / Austria
            BE Belgien / Belgium
            DE Tyskland / Germany
            DK Danmark / Denmark
            ES Spanien / Spain
            FI Finland / Finland
            FR Frankrig / France
            IE Irland / Ireland
            IT Italien / Italy
            LT Litauen / Lithuania
            NL Nederlandene / Netherlands
            PL Polen / Poland
            RO Rumænien / Romania
            SE Sverige / Sweden
          519 Europa uden for EU / Europe outside the EU
            CH Schweiz / Switzerland
            FO Færøerne / Faroe Islands
            GB Storbritannien / United Kingdom
            IS Island / Iceland
            NO Norge / Norway
            TR Tyrkiet / Türkiye
            UA Ukraine / Ukraine
        52 Afrika / Africa
          520 Afrika / Africa
            EG Egypten / Egypt
            KE Kenya / Kenya
            MA Marokko / Morocco
            NA Namibia / Namibia
            ZA Sydafrika / South Africa
        53 Amerika / America
          530 Amerika / America
            BR Brasilien / Brazil
            CA Canada / Canada
            GL Grønland / Greenland
            MX Mexico / Mexico
            US USA / United States
        54 Asien / Asia
          540 Asien / Asia
            CN Kina / China
            IN Indien / India
            JP Japan / Japan
            TH Thailand / Thailand
            VN Vietnam / Viet Nam
        55 Oceanien og Polarregionerne / Oceania and polar regions
          551 Oceanien og Polarregionerne / Oceania and polar regions
            AU Australien / Australia
            NZ New Zealand / New Zealand
    """
    return Classification(
        "lande-uhv",
        "Lande, udenrigshandel med varer (uddrag)",
        "Countries, external trade in goods (extract)",
        ("Lande med koder på to bogstaver, samlet i verdensdele. Et niveau er udeladt her.", _INVENTED_DA),
        ("Countries with codes of two letters, by continent. One level is left out here.", _INVENTED_EN),
        items(listed),
        invented_guid("lande-uhv"),
    )
