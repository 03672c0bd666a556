"""Extract: a /data request that was checked against a table.

What belongs here: the order of the checks, which decides the error a client sees, and the selection that comes out of
them. Writing it as text is ``formats``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from varro_assets.simulator import problems
from varro_assets.simulator.cube import Cube, Dimension
from varro_assets.simulator.selection import UnknownValue, is_everything, select

CELL_LIMIT = 1_000_000
STREAMING = {"BULK"}
LIMITED = {"CSV", "JSONSTAT"}
PRESENTATIONS = ("DEFAULT", "CODE", "VALUE", "CODEANDVALUE", "VALUEANDCODE")


@dataclass(frozen=True)
class Wanted:
    """What a request says about one variable."""

    values: tuple[str, ...]
    head: bool = False
    stub: bool = False


@dataclass(frozen=True)
class DataRequest:
    """A /data request as sent, POST and GET alike.

    Attributes:
        table: table id.
        format: upper-case.
        lang: da or en.
        presentation: one of ``PRESENTATIONS``.
        time_order: upper-case, or None when not given.
        tab: whether CSV is delimited by tabs.
        variables: what is wanted, by the variable's code as sent.
    """

    table: str
    format: str
    lang: str
    presentation: str = "DEFAULT"
    time_order: str | None = None
    tab: bool = False
    variables: Mapping[str, Wanted] | None = None

    @property
    def streaming(self) -> bool:
        """Whether the format has no cell limit, and no special calculations either."""
        return self.format in STREAMING


@dataclass(frozen=True)
class Chosen:
    """The codes taken from one dimension; None takes the dimension away by its total or by summing."""

    dimension: Dimension
    codes: tuple[str, ...] | None
    whole_cube: bool = False


@dataclass(frozen=True)
class Extract:
    """A request that can be answered.

    Attributes:
        request: what was asked.
        cube: the table as published at that moment.
        chosen: one per dimension, in the order of tableinfo.
        periods: codes of Tid in the order of the answer.
        columns: ids of the printed variables in order, ``Tid`` among them.
    """

    request: DataRequest
    cube: Cube
    chosen: tuple[Chosen, ...]
    periods: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def header(self) -> list[str]:
        """First line of CSV and BULK."""
        return [*(column.upper() for column in self.columns), "INDHOLD"]


def checked(request: DataRequest, cube: Cube) -> Extract:
    """Check a request against a table.

    Raises:
        ApiProblem: as the API answers it; for BULK a missing variable is found before an unknown one.
    """
    if request.streaming and request.time_order is not None:
        raise problems.no_time_order(request.lang)
    sent = {code.casefold(): (code, wanted) for code, wanted in (request.variables or {}).items()}
    ids = [*(dimension.id for dimension in cube.dimensions), "Tid"]
    if request.streaming:
        _nothing_missing(ids, sent, request.lang)
    for code, _ in sent.values():
        if code.casefold() not in {known.casefold() for known in ids}:
            raise problems.unknown_variable(code, request.lang)
    chosen = tuple(_chosen(dimension, sent.get(dimension.id.casefold()), request) for dimension in cube.dimensions)
    periods = _periods(cube, sent.get("tid"), request)
    shown = [choice for choice in chosen if choice.codes is not None]
    if not request.streaming:
        rows = prod(len(choice.codes or ()) for choice in shown) * len(periods)
        cells = rows * (len(shown) + 2)
        if cells > CELL_LIMIT:
            raise problems.too_many_cells(cells, CELL_LIMIT, request.lang)
    columns = _placed([choice.dimension.id for choice in shown], sent)
    return Extract(request, cube, chosen, periods, columns)


_Sent = Mapping[str, tuple[str, Wanted]]


def _nothing_missing(ids: Sequence[str], sent: _Sent, lang: str) -> None:
    for known in ids:
        if known.casefold() not in sent or not sent[known.casefold()][1].values:
            raise problems.no_values(known, lang)


def _codes(variable: str, wanted: Wanted, codes: Sequence[str], time: bool, request: DataRequest) -> list[str]:
    if not wanted.values:
        raise problems.no_values(variable, request.lang)
    try:
        found = select(wanted.values, codes, time)
    except UnknownValue as error:
        raise problems.unknown_value(str(error), variable, request.lang) from error
    if not found:
        raise problems.no_values(variable, request.lang)
    return found


def _chosen(dimension: Dimension, sent: tuple[str, Wanted] | None, request: DataRequest) -> Chosen:
    if sent is None:
        if not dimension.elimination:
            raise problems.no_values(dimension.id, request.lang)
        return Chosen(dimension, None)
    codes = _codes(dimension.id, sent[1], [code.id for code in dimension.codes], False, request)
    return Chosen(dimension, tuple(codes), request.streaming and is_everything(sent[1].values))


def _periods(cube: Cube, sent: tuple[str, Wanted] | None, request: DataRequest) -> tuple[str, ...]:
    if sent is None:
        return cube.periods[-1:]
    found = _codes("Tid", sent[1], cube.periods, True, request)
    return tuple(reversed(found)) if request.time_order == "DESCENDING" else tuple(found)


def _placed(shown: Sequence[str], sent: _Sent) -> tuple[str, ...]:
    """Variables of the stub, then those of the head, then Tid unless it was put in the stub."""
    heads = [name for name in shown if name.casefold() in sent and sent[name.casefold()][1].head]
    stubs = [name for name in shown if name not in heads]
    time_in_stub = "tid" in sent and sent["tid"][1].stub
    return (*stubs, "Tid", *heads) if time_in_stub else (*stubs, *heads, "Tid")
