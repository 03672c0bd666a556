"""Stage 4: links and documents of the full catalogue, from nothing, with nothing to do, and after one table changed.

What belongs here: the order of the steps, the table of results and the verdicts. The steps themselves are in
`documents_steps`, the home they work in is `documents_home`. Bringing the tables in is not judged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measuring import Options, Verdict, run, serving, table

TABLES, QUICK_TABLES = 2240, 60
ALL_SECONDS, ONE_SECONDS, RUN_SECONDS = 600.0, 10.0, 2.0
COUNTED = ("looked_at", "touched", "removed", "files")


def run_stage(options: Options) -> list[Verdict]:
    """Measure, print, judge. One round, since the first writing happens once."""
    wanted = QUICK_TABLES if options.quick else TABLES
    options.folder.chmod(0o755)  # root's server runs as another account, which must pass through
    (options.folder / "varro.toml").touch()
    with serving("benchmarks.documents_home", options.folder, wanted):
        facts, _ = _step("fill", options.folder)
        print(f"{facts['tables']:,} tables, {facts['dimensions']} dimensions, {facts['rows']:,} rows", flush=True)
        first, peak = _step("write", options.folder)
        idle, _ = _step("write", options.folder)
        _step("publish", options.folder)
        again, _ = _step("write", options.folder)
        _step("publish", options.folder)
        own, _ = _step("run", options.folder)
        link, _ = _step("link", options.folder)
    steps = {"from nothing": first, "nothing to do": idle, "one table changed": again}
    rows = [
        [name, f"{found['seconds']:.2f}", *(f"{found[key]:,}" for key in COUNTED), f"{found['megabytes']:.1f}"]
        for name, found in steps.items()
    ]
    rows.append(["the table's own run", f"{own['seconds']:.2f}", "1", f"{own['changed']}", "", "", ""])
    head = ["step", "seconds", "tables", "files written", "files removed", "files there", "MB"]
    print(f"\ndocuments\n{table(head, rows)}\n", flush=True)
    pairs = link["columns"] * link["dimensions"]
    print(
        f"links alone: {link['columns']:,} columns x {link['dimensions']} dimensions in {link['seconds']:.2f} s,"
        f" {pairs / link['seconds']:,.0f} pairs a second, {link['links']:,} links\n"
        f"peak memory of writing all: {peak:.0f} MB\n",
        flush=True,
    )
    exact = _exact(facts, first, idle, again)
    return [exact] if options.quick else [*_speed(first, again, own), exact]


def _step(name: str, folder: Path) -> tuple[dict[str, Any], float]:
    return run("benchmarks.documents_steps", name, folder)


def _speed(first: dict[str, Any], again: dict[str, Any], own: dict[str, Any]) -> list[Verdict]:
    judged = (
        (f"documents of {TABLES:,} tables", first, ALL_SECONDS),
        ("documents after one table changed", again, ONE_SECONDS),
        ("documents in a table's own run", own, RUN_SECONDS),
    )
    return [
        Verdict(name, f"{found['seconds']:.1f} s", f"<= {most:.0f} s", found["seconds"] <= most)
        for name, found, most in judged
    ]


def _exact(facts: dict[str, Any], first: dict[str, Any], idle: dict[str, Any], again: dict[str, Any]) -> Verdict:
    """Every table has its document, and nothing is written that need not be."""
    faults = [problem for found in (first, idle, again) for problem in found["problems"]]
    if len(first["documented"]) != facts["tables"]:
        faults.append(f"{len(first['documented'])} of {facts['tables']} tables have a document")
    if idle["looked_at"] or idle["touched"] or idle["removed"]:
        faults.append(f"{idle['looked_at']} tables looked at with nothing to do, {idle['touched']} files touched")
    if again["looked_at"] != 1 or again["documented"] != [again["published"]]:
        faults.append(f"after one table changed, {again['looked_at']} were looked at")
    return Verdict("documents are those of what changed", "; ".join(faults) or "yes", "yes", not faults)
