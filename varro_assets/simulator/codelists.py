"""Code lists that several demo tables share.

What belongs here: the publisher's codes and labels (facts, not statistics) and short ways of writing a list down.
"""

from __future__ import annotations

from varro_assets.simulator.cube import ALL, Code, Dimension

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
