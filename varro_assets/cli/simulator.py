"""``varro simulator``: run the simulated StatBank, publish in it, make it fail, see what it was asked.

What belongs here: the commands and their texts. Everything they do is in ``varro_assets.simulator``; the commands other
than ``serve`` talk to a running simulator over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import requests
import typer

from varro_assets.cli.session import session
from varro_assets.simulator import Simulator, Universe
from varro_assets.simulator.faults import KINDS as FAULTS
from varro_assets.simulator.universe import REVISE_CLASSIFICATION

DEFAULT_PORT = 8765
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
SECONDS = 30
NO_FAULT = "none"
"""In place of a kind of fault: end those that are set."""
PUBLICATIONS = {
    "publish_period": "a new period: the next one, or --tid",
    "insert_period": "a period in a gap or before the first, or --tid",
    "drop_period": "the oldest period, or --tid, is no longer published",
    "revise": "values of one period change: an old one, or --tid; --cells",
    "offset": "two values of a period change, their sum does not",
    "restate": "values of every period change",
    "add_code": "a column gets a code; --set var=KØN --set code=9",
    "change_dimensions": "a column more, then one less; --set remove=KØN",
    "touch": "marked as updated, and nothing changes",
    "shrink": "a period loses most of its rows; --keep, --answers",
    "withdraw": "no longer listed; with --set vanish=true nor answered for",
    "deactivate": "no longer among the active tables",
    "reinstate": "a table that was withdrawn or inactive is back",
    "move": "to another subject; --set to=20024; silent=true: not marked as updated",
    "relabel": "the title changes, or the label of --set var=KØN, code=...",
    "annotate": "the footnote changes; --set text=...",
    "regress": "the time of update goes back by a week, or --set days=3",
    REVISE_CLASSIFICATION: "a classification (in place of TABLE) gets an item",
}
"""What each kind does, for the help; what it is, `simulator.publications` says."""
_FLAGS = {"true": True, "false": False}

app = typer.Typer(
    help="A StatBank on this machine: real structure, invented values, publications and faults on demand.",
    no_args_is_help=True,
)
_Url = Annotated[
    str | None,
    typer.Option(
        help=f"Address of the running simulator; {DEFAULT_URL}, or with varro --demo the demo's own.",
        show_default=False,
    ),
]


def _listed(kinds: Mapping[str, str]) -> str:
    """A line for each kind, which the mark at the beginning keeps apart."""
    return "\b\n" + "\n".join(("Kinds:", *(f"  [bold]{kind}[/]: {text}" for kind, text in kinds.items())))


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = DEFAULT_PORT,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the publications, so that a restart goes on from there.")
    ] = None,
    tables: Annotated[
        int | None, typer.Option(help="Add small synthetic tables up to this number; the real catalogue has 2240.")
    ] = None,
    recorded: Annotated[
        Path | None, typer.Option(help="Serve a folder of recorded answers instead of invented tables.")
    ] = None,
    speed: Annotated[int | None, typer.Option(help="Send /data no faster than this many bytes a second.")] = None,
) -> None:
    """Serve the simulated StatBank until Ctrl-C.

    Beside the API under /v1 there are the web site's classifications under /site (pages and CSV files, such as
    /site/da/Statistik/dokumentation/nomenklaturer) and boundaries under /geo (/geo/kommuner?format=geojson).
    """
    if recorded is not None:
        if state is not None or tables is not None:
            raise typer.BadParameter("recorded material takes neither --state nor --tables")
        if not recorded.is_dir():
            raise typer.BadParameter(f"there is no folder {recorded}")
        simulator = Simulator.recorded(recorded, port=port)
    else:
        universe = Universe.demo() if tables is None else Universe.catalogue(tables)
        try:
            simulator = Simulator(universe, port=port, state_file=state)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    if speed is not None:
        simulator.fault("slow", path="data", count=None, rate=speed)
    try:
        simulator.start()
    except OSError as error:
        typer.echo(f"Port {port} cannot be used ({error.strerror}). Choose another with --port.", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"Simulated StatBank at {simulator.url}")
    typer.echo(f"  use it:     DST_API_URL={simulator.url}")
    typer.echo(f"  beside it:  DST_SITE_URL={simulator.site_url} GEO_URL={simulator.geo_url}")
    typer.echo(f"  publish:    varro simulator publish FOLK1A publish_period --url {simulator.root}")
    typer.echo(f"  break it:   varro simulator fault reset --table FOLK1A --url {simulator.root}")
    typer.echo("  stop it:    Ctrl-C")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        typer.echo("Stopped.")
    finally:
        simulator.stop()


@app.command(epilog=_listed(PUBLICATIONS))
def publish(
    context: typer.Context,
    table: Annotated[
        str, typer.Argument(help=f"Table id, for example FOLK1A; a name such as nuts for {REVISE_CLASSIFICATION}.")
    ],
    kind: Annotated[str, typer.Argument(help="What happens to it; see the list below.")],
    tid: Annotated[str | None, typer.Option(help="The period, where the kind is about one.")] = None,
    cells: Annotated[int | None, typer.Option(help="revise: how many cells change (sums over them follow).")] = None,
    keep: Annotated[float | None, typer.Option(help="shrink: the share of the rows that stays.")] = None,
    answers: Annotated[int | None, typer.Option(help="shrink: only the next so many answers are short.")] = None,
    detail: Annotated[
        list[str] | None,
        typer.Option("--set", help="A text the kind takes, as NAME=TEXT: to=20024, var=KØN, code=TOT, titel=Ny."),
    ] = None,
    url: _Url = None,
) -> None:
    """Publish in the running simulator: a new period, a revision, a withdrawal, a move in the subject tree, ...

    The demo's simulator need not be running: it is what every command of the demo asks, so the next one sees it.
    """
    arguments = {"tid": tid, "cells": cells, "keep": keep, "answers": answers}
    given = {name: value for name, value in arguments.items() if value is not None} | _texts(detail or [])
    about = "classification" if kind == REVISE_CLASSIFICATION else "table"
    with _address(context, url) as root:
        entry = _ask("POST", root, "publish", {"kind": kind, about: table, **given})
    if about == "classification":
        typer.echo(f"{entry['classification']}: {entry['items']} items, files at {entry['guid']}")
        return
    typer.echo(f"{entry['id']}: {entry['firstPeriod']} - {entry['latestPeriod']}, updated {entry['updated']}")


@app.command(
    epilog=_listed(
        {kind: text for kind, text in FAULTS.items() if kind != "publish"} | {NO_FAULT: "ends every fault that is set"}
    )
)
def fault(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="What goes wrong; see the list below.")],
    table: Annotated[str | None, typer.Option(help="Only in requests about this table.")] = None,
    path: Annotated[
        str | None, typer.Option(help="Only in data, tableinfo, tables, subjects, site or geo, or below a /path.")
    ] = None,
    nth: Annotated[int, typer.Option(help="From the nth such request on.")] = 1,
    count: Annotated[
        int, typer.Option(help=f"So many times; 0 = every time, until `fault {NO_FAULT}` or `reset`.", min=0)
    ] = 1,
    detail: Annotated[
        list[str] | None, typer.Option("--set", help="A number the kind takes, as NAME=NUMBER: seconds=30, status=502.")
    ] = None,
    url: _Url = None,
) -> None:
    """Make the running simulator fail, or with KIND none: end that; what was published stays."""
    if kind == NO_FAULT:
        _end_faults(context, url)
        return
    when = {"table": table, "path": path, "nth": nth, "count": count or None}
    with _address(context, url, running=True) as root:
        _ask("POST", root, "faults", {"kind": kind, **when, **_numbers(detail or [])})
    where = f"{path or 'any request'} of {table or 'any table'}"
    often = f"{count} time(s)" if count else f"every time, until `simulator fault {NO_FAULT}`"
    typer.echo(f"{kind} set for {where}, {often}")


def _end_faults(context: typer.Context, url: str | None) -> None:
    with _address(context, url, running=True) as root:
        was = _ask("GET", root, "faults")
        _ask("DELETE", root, "faults")
    typer.echo(f"No fault is set any more; {len(was)} ended." if was else "No fault was set.")


@app.command("requests")
def list_requests(context: typer.Context, url: _Url = None) -> None:
    """Show what the running simulator was asked, oldest first."""
    with _address(context, url) as root:
        lines = _ask("GET", root, "requests")
    for line in lines:
        moment = datetime.fromtimestamp(line["time"], tz=UTC).strftime("%H:%M:%S")
        typer.echo(f"{moment}  {line['status']:3}  {line['method']:4}  {line['path']}  {line['body'][:200]}".rstrip())


@app.command()
def reset(context: typer.Context, url: _Url = None) -> None:
    """Forget publications, faults and requests; the state file is removed. To end faults alone: fault none."""
    with _address(context, url) as root:
        _ask("POST", root, "reset")
    typer.echo("The simulator is as it was at first.")


@contextlib.contextmanager
def _address(context: typer.Context, url: str | None, *, running: bool = False) -> Iterator[str]:
    """Where the simulator meant is; that of the demo is started if it is not running.

    With ``running`` it must run already: what is asked would end with a simulator started for it.
    """
    here = session(context)
    if url is not None or not here.demo:
        yield url or DEFAULT_URL
        return
    file = here.settings.data_dir / "simulator" / "address"
    before = file.read_text(encoding="utf-8").strip() if file.is_file() else None
    with here.publisher() as settings:
        if running and settings.dst_api_url != before:
            typer.echo(
                "The demo's simulator is not running, and faults last only as long as it does. Start it with"
                " `varro --demo up`, then give this command again in another terminal.",
                err=True,
            )
            raise typer.Exit(1)
        yield settings.dst_api_url


def _numbers(details: list[str]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, _, value in (detail.partition("=") for detail in details):
        try:
            numbers[name] = int(value) if value.isdigit() else float(value)
        except ValueError as error:
            raise typer.BadParameter(f"--set takes NAME=NUMBER, not {name}={value}") from error
    return numbers


def _texts(details: list[str]) -> dict[str, str | int | bool]:
    """What kinds take beside the options: texts, but for true, false and a level."""
    texts: dict[str, str | int | bool] = {}
    for name, sign, value in (detail.partition("=") for detail in details):
        if not sign or name in texts:
            raise typer.BadParameter(f"--set takes NAME=TEXT, each name once, not {name}{sign}{value}")
        texts[name] = _FLAGS.get(value, value)
        if name == "niveau" and value.isdecimal():
            texts[name] = int(value)
    return texts


def _ask(method: str, url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    root = url.rstrip("/").removesuffix("/v1")
    try:
        response = requests.request(method, f"{root}/_simulator/{path}", json=body, timeout=SECONDS)
        answer = response.json()
    except (requests.RequestException, json.JSONDecodeError) as error:
        typer.echo(
            f"No simulator answers at {root}. Start one with `varro simulator serve`, give --url, or mean the demo's:"
            " `varro --demo simulator ...`.",
            err=True,
        )
        raise typer.Exit(1) from error
    if not response.ok:
        typer.echo(f"The simulator refused: {answer['error']}", err=True)
        raise typer.Exit(1)
    return answer
