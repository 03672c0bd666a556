"""Total codes: the total of a published variable, if it has one.

What belongs here: the publisher's variable as `dimensions` judges it; the rules are `dimensions.links.totals`'.
"""

from __future__ import annotations

from varro_assets.dimensions.links.totals import totals
from varro_assets.dimensions.models import Code, FactColumn
from varro_assets.statbank.facts import column_name
from varro_assets.statbank.models import Variable


def total_of(variable: Variable) -> str | None:
    """The code that stands for all others; None if none does."""
    codes = tuple(Code(value.id, value.text) for value in variable.values)
    column = FactColumn("", variable.id, column_name(variable.id), variable.text, codes, variable.map)
    return next(iter(totals(column)), None)
