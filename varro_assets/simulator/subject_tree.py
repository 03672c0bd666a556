"""The nodes of the simulated subject tree.

What belongs here: ids and names, a part of the publisher's real tree, so that the paths under ``context/`` look as they
do in earnest. No tables.
"""

from __future__ import annotations

from varro_assets.simulator.subjects import Subject, Tree


def _group(subject_id: str, da: str, en: str, *children: Subject, active: bool = True) -> Subject:
    return Subject(subject_id, da, en, children, active)


def _gone(subject_id: str, da: str, en: str) -> Subject:
    return Subject(subject_id, da, en, active=False)


TREE = Tree(
    (
        _group(
            "1",
            "Borgere",
            "People",
            _group(
                "3401",
                "Befolkning",
                "Population",
                Subject("20021", "Befolkningstal", "Population figures"),
                Subject("20024", "Indvandrere og efterkommere", "Immigrants and their descendants"),
                Subject("20022", "Befolkningsfremskrivning", "Population projections"),
                _gone("20019", "Adoptioner", "Adoptions"),
                Subject("20015", "Middellevetid", "Life expectancy"),
            ),
            _group(
                "3410",
                "Flytninger",
                "Migration",
                Subject("20003", "Flytninger internt i Danmark", "Internal migration"),
                Subject("20004", "Ind- og udvandring", "Immigration and emigration"),
            ),
            _group(
                "3411",
                "Demokrati",
                "Democracy",
                Subject("20005", "Folketingsvalg", "Elections to the Danish Parliament"),
                Subject("20006", "Kommunalvalg", "Municipal elections"),
            ),
        ),
        _group(
            "2",
            "Arbejde og indkomst",
            "Labour and income",
            _group(
                "3430",
                "Beskæftigelse og arbejdsløshed",
                "Employment and unemployment",
                Subject("20312", "Lønmodtagere", "Employees"),
                _gone("20382", "Lønsum", "Compensation of employees"),
            ),
            _group(
                "3434",
                "Indkomst og løn",
                "Income and earnings",
                Subject("20331", "Personlig indkomst og familieindkomst", "Personal and family income"),
                Subject("20326", "Løn", "Earnings"),
            ),
        ),
        _group(
            "3",
            "Økonomi",
            "Economy",
            _group(
                "3436",
                "Prisindeks",
                "Price index",
                Subject("20072", "Forbrugerprisindeks", "Consumer price index"),
                Subject("20073", "Nettoprisindeks", "Net price index"),
            ),
            _group(
                "3448",
                "Finansielle markeder",
                "Financial markets",
                Subject("20279", "Valutakurser", "Exchange rates"),
                Subject("20278", "Renter og gebyrer", "Interest rates and fees"),
            ),
            _group(
                "3441",
                "Nationalregnskab",
                "National accounts",
                Subject("20183", "Branchefordelt nationalregnskab", "National accounts by industry"),
                _gone("20161", "Varige forbrugsgoder", "Durable consumer goods"),
            ),
        ),
        _group(
            "4",
            "Sociale forhold",
            "Social conditions",
            _group(
                "3403",
                "Offentligt forsørgede",
                "Persons on public benefits",
                Subject("20040", "Barselsdagpenge", "Parental leave benefits"),
                _gone("20055", "Efterløn", "Persons on early retirement benefits"),
            ),
            _group(
                "3414",
                "Kriminalitet",
                "Crime and justice",
                Subject("20059", "Anmeldte forbrydelser", "Reported criminal offences"),
                Subject("20061", "Strafferetlige afgørelser", "Convictions"),
            ),
        ),
        _group(
            "6",
            "Erhvervsliv",
            "Business",
            _group(
                "3460",
                "Landbrug, gartneri og skovbrug",
                "Agriculture, horticulture and forestry",
                Subject("20474", "Vegetabilsk produktion", "Crop production"),
                Subject("20473", "Animalsk produktion", "Livestock production"),
            ),
            _group(
                "3456",
                "Erhvervslivets struktur",
                "Structure of business",
                Subject("20096", "Arbejdssteder og job", "Workplaces and jobs"),
            ),
            _group(
                "3463",
                "Byggeri og anlæg",
                "Construction",
                Subject("20063", "Bestanden af bygninger", "Building stock"),
            ),
        ),
        _group(
            "7",
            "Transport",
            "Transport",
            _group(
                "3440",
                "Transportmidler",
                "Means of transport",
                Subject("20220", "Bestand af transportmidler", "Stock of means of transportation"),
                Subject("20091", "Nyregistrerede og brugte biler", "New registrations and used cars"),
            ),
            _group(
                "3115",
                "Persontransport",
                "Passenger transport",
                Subject("20221", "Passagerer og ruter", "Passengers and routes"),
            ),
        ),
        _group(
            "8",
            "Kultur og fritid",
            "Culture and leisure",
            _group(
                "3592",
                "Idræt",
                "Sports",
                Subject("20673", "Idrætsdeltagelse", "Participation in sports"),
            ),
            _group(
                "3508",
                "Digital adfærd og kulturvaner",
                "Digital behaviour and cultural habits",
                Subject("20145", "Digital adfærd", "Digital behaviour"),
                _gone("20372", "Børns kulturvaner", "Cultural habits of children"),
            ),
        ),
        _group(
            "9",
            "Miljø og energi",
            "Environment and energy",
            _group(
                "3470",
                "Energiforbrug og energipriser",
                "Energy consumption and energy prices",
                Subject("20519", "Energiforbrug", "Energy consumption"),
            ),
            _group(
                "3484",
                "Miljøstatistik",
                "Environmental statistics",
                _gone("20384", "Vand", "Water"),
                _gone("20385", "Luft", "Air"),
                active=False,
            ),
        ),
    )
)
