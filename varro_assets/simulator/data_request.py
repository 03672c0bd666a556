"""Reading a /data request: the JSON of a POST or the path and query of a GET.

What belongs here: the step from parameters to a ``DataRequest``, and the errors that come before any table is looked
at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varro_assets.simulator import problems
from varro_assets.simulator.extract import LIMITED, PRESENTATIONS, STREAMING, DataRequest, Wanted
from varro_assets.simulator.wire import MalformedBody, Request

_NOT_VARIABLES = {"lang", "format", "table", "valuepresentation", "delimiter", "timeorder"}


def language(parameters: Mapping[str, Any]) -> str:
    """The language of a request.

    Raises:
        ApiProblem: neither da nor en.
    """
    lang = str(parameters.get("lang") or "da").lower()
    if lang not in {"da", "en"}:
        raise problems.bad_language()
    return lang


def read(request: Request) -> DataRequest:
    """A /data request.

    Raises:
        ApiProblem: malformed JSON, unknown language, no known format, no table; looked for in that order.
    """
    try:
        sent = request.parameters()
    except MalformedBody as error:
        raise problems.bad_json() from error
    steps = [*request.rest, "", ""]
    form = str(sent.get("format") or steps[1]).upper()
    table = str(sent.get("table") or steps[0])
    lang = language(sent)
    if form not in STREAMING | LIMITED:
        raise problems.no_format(lang)
    if not table:
        raise problems.no_table(lang)
    presentation = str(sent.get("valuepresentation") or "Default").upper()
    order = sent.get("timeorder")
    return DataRequest(
        table=table,
        format=form,
        lang=lang,
        presentation=presentation if presentation in PRESENTATIONS else "DEFAULT",
        time_order=None if order is None else str(order).upper(),
        tab=str(sent.get("delimiter", "")).lower() == "tab",
        variables=_posted(sent.get("variables")) if request.method == "POST" else _queried(request.query),
    )


def _posted(variables: object) -> dict[str, Wanted]:
    wanted: dict[str, Wanted] = {}
    for variable in variables if isinstance(variables, list) else []:
        if isinstance(variable, dict) and "code" in variable:
            sent = {name.lower(): value for name, value in variable.items()}
            values = sent.get("values") or []
            placement = str(sent.get("placement", "")).lower()
            listed = values if isinstance(values, list) else [values]
            wanted[str(sent["code"])] = Wanted(tuple(map(str, listed)), placement == "head", placement == "stub")
    return wanted


def _queried(query: Mapping[str, str]) -> dict[str, Wanted]:
    names = {name: values for name, values in query.items() if name.lower() not in _NOT_VARIABLES}
    return {name: Wanted((values,) if values else ()) for name, values in names.items()}
