"""Total: a code that stands for all the others of its column.

What belongs here: recognising it by label, code and place. Sub-totals (``Straffelov i alt`` among other laws) are no
totals: leaving them out would lose a category, adding them up is the reader's business.
"""

from __future__ import annotations

import re

from varro_assets.dimensions.links.labels import folded, stems
from varro_assets.dimensions.models import Code, FactColumn


def totals(column: FactColumn) -> tuple[str, ...]:
    """Codes that are totals of the whole column, in the publisher's order; usually one, often none.

    Rules, the first that finds any decides:

    1. The label is wholly a total: ``I alt``, ``Total``, ``Hele landet``, ``Alle``, ``Begge køn``, ...
    2. The label speaks of a total (``Alder i alt``, ``Alle brancher``, ``Total, herkomst``) and the code is one of
       those the publisher gives totals: ``TOT``, ``IALT``, ``T``, or nothing but zeros in first place. There
       ``Danmark`` counts as well; among countries it has a code of its own.
    3. The label speaks of a total and names the variable (``Alder i alt`` of ``alder``).
    4. Exactly one label speaks of a total, it stands first, and it is not a heading: the codes below a heading begin
       with its code while others do not.
    """
    labels = {code.id: folded(code.text) for code in column.codes}
    whole = [code for code in column.codes if _WHOLE.fullmatch(labels[code.id])]
    if whole:
        return _ids(whole)
    speaking = [code for code in column.codes if _SPEAKS.search(labels[code.id])]
    first = column.codes[:1]
    coded = [code for code in speaking if _TOTAL_CODE.fullmatch(code.id)]
    coded += [
        code for code in first if _ZEROS.fullmatch(code.id) and (code in speaking or labels[code.id] == "danmark")
    ]
    if coded:
        return _ids(coded)
    named = [code for code in speaking if _names(labels[code.id], folded(column.label))]
    if named:
        return _ids(named)
    if len(speaking) == 1 and tuple(speaking) == first and not _heads(speaking[0], column.codes):
        return _ids(speaking)
    return ()


def speaks_of_total(label: str) -> bool:
    """Whether the label calls itself a sum: ``Nettoledige i alt``; ``Alle andre`` does not."""
    return _SUM.search(folded(label)) is not None


def _ids(codes: list[Code]) -> tuple[str, ...]:
    return tuple(code.id for code in codes)


def _names(label: str, variable: str) -> bool:
    """Whether what is left of the label without the words for a total is the variable's own label."""
    rest = _SPEAKS.sub(" ", label).strip()
    return bool(rest) and (rest == variable or stems(rest) == stems(variable) != frozenset())


def _heads(code: Code, codes: tuple[Code, ...]) -> bool:
    below = [other.id.startswith(code.id) for other in codes if other is not code]
    return any(below) and not all(below)


# patterns of folded labels
_WHOLE = re.compile(
    r"i ?alt|ialt|(?:i alt )?total(?:t)?|hele landet|hele landet i alt|landet i alt|i alt hele landet|hele danmark|"
    r"danmark i alt|alle|samtlige|begge kon|alle(?:\s\w+)? i alt|all denmark|all|both sexes|grand total"
)
_SUM = re.compile(r"\b(?:i alt|ialt|total|totalt|tilsammen)\b")
_SPEAKS = re.compile(rf"{_SUM.pattern}|^(?:alle|samtlige|hele|all)\b")
# codes as published, not folded
_TOTAL_CODE = re.compile(r"TOT|TOTAL|IALT|I ALT|T|ALLE|ALT", re.IGNORECASE)
_ZEROS = re.compile(r"0+")
