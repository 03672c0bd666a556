"""Code lists that several demo tables share.

What belongs here: the publisher's codes and labels (facts, not statistics) and short ways of writing a list down.
"""

from __future__ import annotations

from collections.abc import Iterator

from varro_assets.simulator.cube import ALL, Code, Dimension

Province = tuple[str, str, list[tuple[str, str]]]

_MUNICIPALITIES = {
    ("084", "Region Hovedstaden"): (
        "101 København, 147 Frederiksberg, 155 Dragør, 185 Tårnby, 165 Albertslund, 151 Ballerup, "
        "153 Brøndby, 157 Gentofte, 159 Gladsaxe, 161 Glostrup, 163 Herlev, 167 Hvidovre, "
        "169 Høje-Taastrup, 183 Ishøj, 173 Lyngby-Taarbæk, 175 Rødovre, 187 Vallensbæk, 201 Allerød, "
        "240 Egedal, 210 Fredensborg, 250 Frederikssund, 190 Furesø, 270 Gribskov, 260 Halsnæs, "
        "217 Helsingør, 219 Hillerød, 223 Hørsholm, 230 Rudersdal, 400 Bornholm, 411 Christiansø"
    ),
    ("085", "Region Sjælland"): (
        "253 Greve, 259 Køge, 350 Lejre, 265 Roskilde, 269 Solrød, 320 Faxe, 376 Guldborgsund, 316 Holbæk, "
        "326 Kalundborg, 360 Lolland, 370 Næstved, 306 Odsherred, 329 Ringsted, 330 Slagelse, 340 Sorø, "
        "336 Stevns, 390 Vordingborg"
    ),
    ("083", "Region Syddanmark"): (
        "420 Assens, 430 Faaborg-Midtfyn, 440 Kerteminde, 482 Langeland, 410 Middelfart, 480 Nordfyns, "
        "450 Nyborg, 461 Odense, 479 Svendborg, 492 Ærø, 530 Billund, 561 Esbjerg, 563 Fanø, "
        "607 Fredericia, 510 Haderslev, 621 Kolding, 540 Sønderborg, 550 Tønder, 573 Varde, 575 Vejen, "
        "630 Vejle, 580 Aabenraa"
    ),
    ("082", "Region Midtjylland"): (
        "710 Favrskov, 766 Hedensted, 615 Horsens, 707 Norddjurs, 727 Odder, 730 Randers, 741 Samsø, "
        "740 Silkeborg, 746 Skanderborg, 706 Syddjurs, 751 Aarhus, 657 Herning, 661 Holstebro, "
        "756 Ikast-Brande, 665 Lemvig, 760 Ringkøbing-Skjern, 779 Skive, 671 Struer, 791 Viborg"
    ),
    ("081", "Region Nordjylland"): (
        "810 Brønderslev, 813 Frederikshavn, 860 Hjørring, 849 Jammerbugt, 825 Læsø, 846 Mariagerfjord, "
        "773 Morsø, 840 Rebild, 787 Thisted, 820 Vesthimmerlands, 851 Aalborg"
    ),
}
# (code, name, first of its municipalities in the list above); each goes on to where the next begins
_PROVINCES = (
    ("01", "Byen København", "101"),
    ("02", "Københavns omegn", "165"),
    ("03", "Nordsjælland", "201"),
    ("04", "Bornholm", "400"),
    ("05", "Østsjælland", "253"),
    ("06", "Vest- og Sydsjælland", "320"),
    ("07", "Fyn", "420"),
    ("08", "Sydjylland", "530"),
    ("09", "Østjylland", "710"),
    ("10", "Vestjylland", "657"),
    ("11", "Nordjylland", "810"),
)
MUNICIPALITY_GROUPS = (
    (
        "1",
        "Hovedstadskommuner",
        "Capital municipalities",
        "101 147 151 153 155 157 159 161 163 165 167 169 173 175 183 185 187 190 201 223 230 240 253 269",
    ),
    (
        "2",
        "Storbykommuner",
        "Metropolitan municipalities",
        "461 751 851",
    ),
    (
        "3",
        "Provinsbykommuner",
        "Provincial municipalities",
        "217 219 259 265 330 370 561 607 615 621 630 657 661 730 740 791",
    ),
    (
        "4",
        "Oplandskommuner",
        "Commuter municipalities",
        "210 250 260 270 316 320 329 336 340 350 410 420 430 440 450 480 575 706 710 727 746 756 766 840",
    ),
    (
        "5",
        "Landkommuner",
        "Rural municipalities",
        (
            "306 326 360 376 390 400 479 482 492 510 530 540 550 563 573 580 665 671 707 741 760 773 779 787 810 "
            "813 820 825 846 849 860"
        ),
    ),
)
"""Municipality groups: code, Danish and English label, municipalities; Christiansø is in none."""
# Rough sizes, so that the big places look big; every other municipality's size is invented from its code.
_LARGE = {"101": 9.0, "751": 5.0, "461": 3.0, "851": 3.2, "411": 0.001, "825": 0.03, "563": 0.05, "741": 0.06}


def codes(text: str, total: str | None = None) -> tuple[Code, ...]:
    """A list written as ``code da / en`` lines; the code named ``total`` is the sum of the others."""
    listed = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        code, _, label = line.partition(" ")
        da, _, en = label.partition(" / ")
        listed.append(Code(code, da, en or da, parts=ALL if code == total else ()))
    return tuple(listed)


def regions() -> tuple[Code, ...]:
    """The country and its five regions, no municipalities."""
    leaves = tuple(Code(code, name, name) for code, name in _MUNICIPALITIES)
    return (Code("000", "Hele landet", "All Denmark", parts=ALL), *leaves)


def areas() -> tuple[Code, ...]:
    """The country, its regions, and each region's municipalities below it; 105 codes."""
    listed = [Code("000", "Hele landet", "All Denmark", parts=ALL)]
    for (region, name), members in _MUNICIPALITIES.items():
        pairs = [member.split(" ", 1) for member in members.split(", ")]
        listed.append(Code(region, name, name, parts=tuple(code for code, _ in pairs)))
        listed += [Code(code, label, label, weight=_LARGE.get(code)) for code, label in pairs]
    return tuple(listed)


def municipalities() -> list[tuple[str, str]]:
    """Code and name of every municipality, in the publisher's order of presentation."""
    return [_pair(member) for listed in _MUNICIPALITIES.values() for member in listed.split(", ")]


def geography() -> Iterator[tuple[str, str, list[Province]]]:
    """Regions as (code, name, provinces), provinces as (code, name, municipalities)."""
    begins = {first: (code, name) for code, name, first in _PROVINCES}
    for (region, name), listed in _MUNICIPALITIES.items():
        provinces: list[Province] = []
        for municipality in map(_pair, listed.split(", ")):
            if municipality[0] in begins:
                provinces.append((*begins[municipality[0]], []))
            provinces[-1][2].append(municipality)
        yield region, name, provinces


def provinces() -> tuple[Code, ...]:
    """The country, its regions, and each region's provinces below it; 17 codes."""
    listed = [Code("000", "Hele landet", "All Denmark", parts=ALL)]
    for region, name, below in geography():
        listed.append(Code(region, name, name, parts=tuple(code for code, _, _ in below)))
        listed += [Code(code, f"Landsdel {label}", f"Province {label}") for code, label, _ in below]
    return tuple(listed)


def municipality_groups() -> tuple[Code, ...]:
    """The country and the five groups of municipalities."""
    leaves = tuple(Code(code, da, en) for code, da, en, _ in MUNICIPALITY_GROUPS)
    return (Code("0", "Hele landet", "All Denmark", parts=ALL), *leaves)


def _pair(member: str) -> tuple[str, str]:
    code, _, name = member.partition(" ")
    return code, name


def area(municipalities: bool = True) -> Dimension:
    """The geographic variable."""
    members = areas() if municipalities else regions()
    return Dimension("OMRÅDE", "område", "region", members, map="Denmark_municipality_07")


def sex(total: str = "TOT", men: str = "1", women: str = "2") -> Dimension:
    """Men, women and both; tables differ in the codes they use."""
    both = Code(total, "I alt", "Total", parts=ALL)
    return Dimension(
        "KØN", "køn", "sex", (both, Code(men, "Mænd", "Men", weight=0.99), Code(women, "Kvinder", "Women", weight=1.0))
    )


def ages(first: int, last: int, step: int, open_end: str = "-") -> tuple[Code, ...]:
    """Age groups ``0-4``, ..., and an open one: ``80-``, or ``80OV`` with ``open_end="OV"``."""
    groups = [f"{age}-{age + step - 1}" for age in range(first, last, step)]
    closed = [Code(group, f"{group} år", f"{group} years") for group in groups]
    return (*closed, Code(f"{last}{open_end}", f"{last} år og derover", f"{last} years and over"))


def all_ages(members: tuple[Code, ...], total: str = "IALT") -> Dimension:
    """The age variable with its total in front."""
    return Dimension("ALDER", "alder", "age", (Code(total, "Alder i alt", "Age, total", parts=ALL), *members))
