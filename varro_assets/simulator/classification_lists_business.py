"""The classifications of the simulated site: branches and buildings.

What belongs here: as ``classification_lists``. Two of these have codes that stand on several levels.
"""

from __future__ import annotations

from varro_assets.simulator.classifications import Classification, invented_guid, items

_INVENTED_DA = "Siden er simuleret: koder og titler er rigtige, teksten er skrevet til afprøvning."
_INVENTED_EN = "This page is simulated: codes and titles are real, the text is written for trials."


def classifications() -> list[Classification]:
    """The classifications of this module."""
    return [_db(), _nr_branche(), _byganv()]


def _db() -> Classification:
    listed = """
        A Landbrug, jagt, skovbrug og fiskeri / Agriculture, forestry and fishing
          01 Plante- og husdyravl, jagt og serviceydelser i forbindelse hermed / Crop and animal production, hunting
          02 Skovbrug og skovning / Forestry and logging
          03 Fiskeri og akvakultur / Fishing and aquaculture
        B Råstofindvinding / Mining and quarrying
          06 Indvinding af råolie og naturgas / Extraction of crude petroleum and natural gas
          08 Anden råstofindvinding / Other mining and quarrying
        C Fremstillingsvirksomhed / Manufacturing
          10 Fremstilling af fødevarer / Manufacture of food products
          11 Fremstilling af drikkevarer / Manufacture of beverages
          13 Fremstilling af tekstiler / Manufacture of textiles
          16 Fremstilling af træ og varer af træ og kork, undtagen møbler; fremstilling af varer af strå og \
flettematerialer / Manufacture of wood and of products of wood and cork, except furniture; articles of straw
          20 Fremstilling af kemiske produkter / Manufacture of chemicals and chemical products
          21 Fremstilling af farmaceutiske råvarer og farmaceutiske præparater / Manufacture of pharmaceuticals
          26 Fremstilling af computere, elektroniske og optiske produkter / Manufacture of computers and electronics
          28 Fremstilling af maskiner og udstyr i.a.n. / Manufacture of machinery and equipment n.e.c.
        D El-, gas- og fjernvarmeforsyning / Electricity, gas, steam and air conditioning supply
          35 El-, gas- og fjernvarmeforsyning / Electricity, gas, steam and air conditioning supply
        E Vandforsyning; kloakvæsen, affaldshåndtering og rensning af jord og grundvand / Water supply; sewerage
          36 Vandforsyning / Water collection, treatment and supply
          37 Opsamling og behandling af spildevand / Sewerage
        F Bygge- og anlægsvirksomhed / Construction
          41 Opførelse af bygninger / Construction of buildings
          42 Anlægsarbejder / Civil engineering
          43 Bygge- og anlægsvirksomhed, som kræver specialisering / Specialised construction activities
        G Engroshandel og detailhandel; reparation af motorkøretøjer og motorcykler / Wholesale and retail trade
          45 Handel med biler og motorcykler, og reparation heraf / Wholesale and retail trade and repair of vehicles
          46 Engroshandel undtagen med motorkøretøjer og motorcykler / Wholesale trade, except of motor vehicles
          47 Detailhandel undtagen med motorkøretøjer og motorcykler / Retail trade, except of motor vehicles
        H Transport og godshåndtering / Transportation and storage
          49 Landtransport; rørtransport / Land transport and transport via pipelines
          50 Skibsfart / Water transport
          51 Luftfart / Air transport
          53 Post- og kurertjenester / Postal and courier activities
        I Overnatningsfaciliteter og restaurationsvirksomhed / Accommodation and food service activities
          55 Overnatningsfaciliteter / Accommodation
          56 Restaurationsvirksomhed / Food and beverage service activities
        J Information og kommunikation / Information and communication
          58 Udgivervirksomhed / Publishing activities
          61 Telekommunikation / Telecommunications
          62 Computerprogrammering, konsulentbistand vedrørende informationsteknologi og lignende aktiviteter \
/ Computer programming and consultancy
        K Pengeinstitut- og finansvirksomhed, forsikring / Financial and insurance activities
          64 Pengeinstitut- og finansieringsvirksomhed undtagen forsikring / Financial service activities
        L Fast ejendom / Real estate activities
          68 Fast ejendom / Real estate activities
        P Undervisning / Education
          85 Undervisning / Education
        Q Sundhedsvæsen og sociale foranstaltninger / Human health and social work activities
          86 Sundhedsvæsen / Human health activities
          87 Institutionsophold / Residential care activities
    """
    return Classification(
        "db",
        "Dansk Branchekode 2007 (DB07) (uddrag)",
        "Danish Industrial Classification of All Economic Activities 2007 (DB07) (extract)",
        ("Virksomheder og arbejdssteder delt efter hvad de laver. Her er kun to af niveauerne.", _INVENTED_DA),
        ("Businesses and workplaces by what they do. Only two of the levels are shown.", _INVENTED_EN),
        items(listed),
        invented_guid("db"),
        aliases=("db07", "dansk-branchekode-db07"),
    )


def _nr_branche() -> Classification:
    listed = """
        A Landbrug, skovbrug og fiskeri / Agriculture, forestry and fishing
          A Landbrug, skovbrug og fiskeri / Agriculture, forestry and fishing
            A Landbrug, skovbrug og fiskeri / Agriculture, forestry and fishing
              01000 Landbrug og gartneri / Agriculture and horticulture
                010000 Landbrug og gartneri / Agriculture and horticulture
              02000 Skovbrug / Forestry
                020000 Skovbrug / Forestry
              03000 Fiskeri / Fishing
                030000 Fiskeri / Fishing
        C Industri / Manufacturing
          C Industri / Manufacturing
            CA Føde-, drikke- og tobaksvareindustri / Manufacture of food, beverages and tobacco
              10120 Føde-, drikke- og tobaksvareindustri / Manufacture of food, beverages and tobacco
            CC Træ- og papirindustri, trykkerier / Manufacture of wood, paper and printing
              16000 Træindustri / Manufacture of wood
                160000 Træindustri / Manufacture of wood
              17000 Papirindustri / Manufacture of paper
                170000 Papirindustri / Manufacture of paper
            CE Kemisk industri / Manufacture of chemicals
              20000 Kemisk industri / Manufacture of chemicals
            CF Medicinalindustri / Pharmaceuticals
              21000 Medicinalindustri / Pharmaceuticals
                210000 Medicinalindustri / Pharmaceuticals
        G-I Handel og transport mv. / Trade and transport etc.
          G Handel / Trade
            G Handel / Trade
              45000 Bilhandel / Trade of motor vehicles
              46000 Engroshandel / Wholesale trade
                460000 Engroshandel / Wholesale trade
              47000 Detailhandel / Retail trade
                470000 Detailhandel / Retail trade
          I Hoteller og restauranter / Hotels and restaurants
            I Hoteller og restauranter / Hotels and restaurants
              55000 Hoteller mv. / Accommodation
              56000 Restauranter / Food service activities
                560000 Restauranter / Food service activities
    """
    return Classification(
        "nr-branche",
        "Nationalregnskabets brancher (uddrag)",
        "Industries of the national accounts (extract)",
        ("Nationalregnskabet samler brancher i flere grupperinger, den groveste øverst.", _INVENTED_DA),
        ("The national accounts put industries into several groupings, the coarsest on top.", _INVENTED_EN),
        items(listed),
        invented_guid("nr-branche"),
    )


def _byganv() -> Classification:
    listed = """
        105 Beboelsesbygninger / Residential buildings
          110 Stuehuse til landbrugsejendomme / Farmhouses
            110 Stuehuse til landbrugsejendom / Farmhouses
          120 Parcelhuse / Detached houses
            120 Fritliggende enfamiliehus / Detached single-family house
            121 Sammenbygget enfamiliehus / Attached single-family house
          130 Række-, kæde- og dobbelthuse / Terraced, linked and semi-detached houses
            131 Række- og kædehus / Terraced or linked house
            132 Dobbelthus / Semi-detached house
          140 Etageboliger / Multi-dwelling houses
            140 Etageboligbygning, flerfamiliehus eller tofamiliehus / Multi-dwelling house
        205 Erhvervsbygninger / Commercial buildings
          210 Avls- og driftsbygninger / Farm buildings
            211 Stald til svin / Pigsty
            212 Stald til kvæg, får mv. / Stable for cattle, sheep etc.
          320 Kontor, handel og lager / Offices, trade and storage
            321 Bygning til kontor / Office building
            322 Bygning til detailhandel / Building for retail trade
        405 Øvrige bygninger / Other buildings
          510 Sommerhuse / Holiday homes
            510 Sommerhus / Holiday home
          910 Garager / Garages
            910 Garage / Garage
    """
    return Classification(
        "byganv",
        "Bygningsanvendelse (uddrag)",
        "Use of buildings (extract)",
        (
            "Bygninger delt efter hvad de bruges til. Flere koder står på både niveau 2 og 3.",
            _INVENTED_DA,
        ),
        (
            "Buildings by what they are used for. Several codes stand on both level 2 and level 3.",
            _INVENTED_EN,
        ),
        items(listed),
        invented_guid("byganv"),
        moved=True,
    )
