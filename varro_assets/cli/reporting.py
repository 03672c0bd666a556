"""Runs: what happened, told from Dagster's memory: the newest sweeps, one of them, its errors, what to do again.

What belongs here: one command and its order of steps. Judging is `engine.sweep_report`'s, words are `report_text`'s.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from varro_assets.cli import report_text
from varro_assets.cli.restart import restart as what_to_do
from varro_assets.cli.session import Session, session
from varro_assets.engine.files import write_text
from varro_assets.engine.sweeps import SweepReport, SweepStatus
from varro_assets.errors import ConfigurationError, UnknownRun
from varro_assets.warehouse import open_warehouse

EVERYTHING = 10_000
"""Sweeps, for ``--all``."""
_Rows = list[tuple[SweepReport, int]]
"""Reports, newest first, and how many sweeps each stands for: polls in a row without work are one."""
_BAD = {SweepStatus.FAILED, SweepStatus.PARTIAL}


def runs(
    context: typer.Context,
    last: Annotated[bool, typer.Option("--last", help="The whole report of the newest that had work.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All that are remembered, each poll on its own line.")
    ] = False,
    run: Annotated[str | None, typer.Option(help="The whole report of this one; the beginning of its id will do.")] = (
        None
    ),
    errors: Annotated[
        bool,
        typer.Option("--errors", help="Every first failure, of the newest that had work or of --all, and what to do."),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Print the command that does again only what failed; harmless twice.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: each poll by itself.")] = False,
    jsonl: Annotated[
        Path | None,
        typer.Option(help="Write a line of JSON per run to this file; those it has are brought up to date."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=EVERYTHING, help="How many; polls without work count in JSON only.")
    ] = 20,
    since: Annotated[str | None, typer.Option(help="None that began before this day, such as 2026-03-01.")] = None,
) -> None:
    """Say what was run and how it went. A run here is all that one sync, or one poll, set off.

    Polls in a row that had no work are one line. Requests are those of the tables' runs that ended well, and of the
    poll; what the command itself asks for, the catalogue and descriptions, it tells at its end.

    With --last or --run: exit code 1 if something failed.
    """
    here = session(context)
    first = _day(since)
    alone = run is not None or last or ((errors or restart) and not everything)
    after: _Rows = []
    with _dagster(here) as instance:
        # imported here: Dagster takes seconds to import, which no other command shall pay
        from varro_assets.defs.records import run_records

        if alone:
            name, after = _one(instance, run, first)
            rows = [(report, 1) for report in run_records.named(instance, [name] if name else [])]
        elif everything or as_json or jsonl is not None:
            names = run_records.newest_names(instance, EVERYTHING if everything else limit, first)
            whole = errors or restart or jsonl is not None
            rows = [(report, 1) for report in (run_records.named if whole else run_records.counted)(instance, names)]
        else:
            rows = run_records.folded(instance, limit, first)
        listed = not (alone or as_json or restart or errors or jsonl is not None)
        # thousands, which only the list has use for
        ids = run_records.ids(instance) if listed else ()
    found = [report for report, _ in rows]
    if jsonl is not None:
        _write_lines(jsonl, found)
    if as_json:
        body = found[0].as_json() if alone and found else [report.as_json() for report in found]
        here.say(escape(json.dumps(body, ensure_ascii=False, indent=1)), whole=True)
    elif restart:
        _say_restart(here, found, after)
    elif errors and found:
        _say_errors(here, found, after)
    elif alone and found:
        _say_whole(here, found[0], after)
    elif jsonl is None or not found:
        _say_overview(here, rows, ids, "since then" if since else "yet")
    if (last or run is not None) and any(report.status in _BAD for report in found):
        raise typer.Exit(1)


@contextlib.contextmanager
def _dagster(here: Session) -> Iterator[Any]:
    """Dagster's instance, which only modules that launch runs may name; the publisher is not needed for it."""
    from varro_assets.cli.runs import dagster_instance  # imported here: see `runs`

    with (
        open_warehouse(here.settings) as warehouse,
        here.dagster_environment(here.settings, warehouse),
        dagster_instance() as instance,
    ):
        yield instance


def _one(instance: Any, run: str | None, since: datetime | None) -> tuple[str | None, _Rows]:
    """Id of the one that is meant, and what was run after it without work, if it was not named."""
    from varro_assets.defs.records import run_records

    if run is None:
        return run_records.newest_with_work(instance, since)
    found = run_records.find(instance, run)
    if len(found) != 1:
        several = f"several begin so: {', '.join(found)}" if found else "no run of that id is remembered"
        raise UnknownRun("report on run", on=run, got=several, todo="varro runs shows what there is.")
    return found[0], []


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            "begin at the day", on=repr(text), got="it is none", todo="Write it as 2026-03-01 or 2026-03-01T22:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# -- saying --------------------------------------------------------------------------------------------------------


def _say_overview(here: Session, rows: _Rows, ids: Collection[str], when: str) -> None:
    if not rows:
        here.say(f"Nothing has been run {when}. Begin with: [bold]{here.command} sync[/]")
        return
    here.console.print(report_text.overview(rows, ids, here.console.width))
    here.say(
        f"\nOne of them: [bold]{here.command} runs --run ID[/]; the newest with work:"
        f" [bold]{here.command} runs --last[/]"
    )


def _say_whole(here: Session, report: SweepReport, after: _Rows) -> None:
    for line in report_text.head(report):
        here.say(line)
    if report.stages:
        here.say()
        here.console.print(report_text.stages(report))
    if report.tables:
        here.say()
        here.console.print(report_text.tables(report.tables.values()))
    if report.failures:
        here.say()
        for line in report_text.failures(report.failures):
            here.say(line)
    _say_ways_out(here, report)
    for line in report_text.since_then(after):
        here.say(f"\n{line}")


def _say_ways_out(here: Session, report: SweepReport) -> None:
    lines = list(report_text.ways_out(what_to_do(report, here.command), here.command))
    if lines:
        here.say()
    for line in lines:
        here.say(line, whole=True)


def _say_errors(here: Session, found: Sequence[SweepReport], after: _Rows) -> None:
    told = False
    for report in found:
        if not report.failures:
            continue
        told = True
        here.say(next(iter(report_text.head(report))))
        for line in report_text.failures(report.failures):
            here.say(line)
        _say_ways_out(here, report)
        here.say()
    if not told:
        here.say(_nothing_told(here, found, "--errors"))
    for line in report_text.since_then(after):
        here.say(line)


def _say_restart(here: Session, found: Sequence[SweepReport], after: _Rows) -> None:
    """Commands on standard output, so that they can be given to a shell; words beside them."""
    seen: dict[str, None] = {}
    for report in found:
        todo = what_to_do(report, here.command)
        seen |= dict.fromkeys(todo.commands)
        for line in todo.believing:
            here.errors.print(
                f"If the publisher means the periods that shrank, instead: {escape(line)}", soft_wrap=True
            )
        if todo.under_way:
            here.errors.print(f"Not ended: {', '.join(todo.under_way)}", soft_wrap=True)
    for line in seen:
        here.say(escape(line), whole=True)
    if not seen:
        here.errors.print(_nothing_told(here, found, "--restart"), soft_wrap=True)
    for line in report_text.since_then(after):
        here.errors.print(line, soft_wrap=True)


def _nothing_told(here: Session, found: Sequence[SweepReport], option: str) -> str:
    """Why there is nothing to tell. Of one run it says little: what failed before it may be due still."""
    if any(report.failures or report.status in _BAD for report in found):
        # such as checks that somebody ran alone
        return (
            "[yellow]Something failed that no command does again.[/] It is launched again in the web interface:"
            f" {escape(here.settings.varro_ui_url)}"
        )
    if len(found) != 1:
        return "[green]Nothing failed.[/]"
    return (
        f"[green]Nothing failed[/] in {escape(found[0].sweep)}. Before it: [bold]{here.command} runs {option} --all[/]"
    )


def _write_lines(path: Path, found: Sequence[SweepReport]) -> None:
    """A line per sweep, oldest first, after the lines of other sweeps that stand there; the whole file or none."""
    fresh = {report.sweep: json.dumps(report.as_json(), ensure_ascii=False) for report in reversed(found)}
    held = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    others = [line for line in held if _sweep_in(line) not in fresh]
    write_text(path, "".join(f"{line}\n" for line in [*others, *fresh.values()]))


def _sweep_in(line: str) -> str | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    return body.get("sweep") if isinstance(body, dict) else None
