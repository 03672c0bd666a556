"""The demo's tables, in one list.

What belongs here: the list. The tables themselves are in ``demo_people``, ``demo_economy``, ``demo_business``
and ``demo_oddities``. Their ids, codes and habits are the publisher's; their values are invented, and every text says
so.
"""

from __future__ import annotations

from varro_assets.simulator import demo_business, demo_economy, demo_oddities, demo_people
from varro_assets.simulator.table import Table


def tables() -> list[Table]:
    """All demo tables, inactive ones included."""
    return [*demo_people.tables(), *demo_economy.tables(), *demo_business.tables(), *demo_oddities.tables()]
