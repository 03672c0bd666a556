"""Checks: what Dagster shows of a table's checks, and of its comparison with the publisher.

What belongs here: names, specs and the translation of findings. What is looked at is `statbank.table_check`'s, what the
publisher is asked `statbank.verifying`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    DagsterInstance,
    MetadataValue,
)
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES

from varro_assets.context.total_codes import total_of
from varro_assets.defs import keys
from varro_assets.engine import locks, postgres
from varro_assets.errors import DatabaseRefused, TableBusy
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.proof import table_check
from varro_assets.statbank.proof.table_check import Finding
from varro_assets.statbank.proof.verifying import Verification, verify
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync_report import Outcome, SyncReport

RECONCILED = "source_reconciled"
SHOWN = 20
"""Discrepancies that Dagster shows; the command shows all of them."""
_Findings = Iterator[tuple[str, Finding]]
_OF_SUMMARY = {
    "newest_period_held": "The newest period that the publisher lists is in the files and in Postgres. This tells"
    " whether the table is fresh; the freshness policy beside it only notices when nothing has been synced for long.",
    "no_failed_periods": "Every period that was to be read came in; none came back with far fewer rows than are held,"
    " and every file can be read.",
    "periods_in_catalogue": "Every period that the publisher lists is held (an error if not), and no others are (a"
    " warning: what the publisher takes away is kept here).",
    RECONCILED: "The numbers are those the publisher gives today, asked for in another format than a sync reads. Asked"
    " by `varro verify`, or by running this check alone; a sync only repeats what was found last.",
}
_OF_FACT = {
    "fact_equals_parquet": "Each period has the same number of rows, of missing values and the same values in Postgres"
    " as in its parquet file. A sync looks at what it changed, and at all of a small table; run alone, at all.",
    "unique_keys": "No two rows of the Postgres table have the same codes and period.",
    "codes_declared": "Every code in the rows is one that the publisher declares; codes that were withdrawn since are"
    " named in a warning.",
}


def specs(table: str) -> list[AssetCheckSpec]:
    """The checks of one table."""
    of_summary, of_fact = keys.summary(table), keys.fact(table)
    found = [AssetCheckSpec(name, asset=of_summary, description=text) for name, text in _OF_SUMMARY.items()]
    return found + [AssetCheckSpec(name, asset=of_fact, description=text) for name, text in _OF_FACT.items()]


def after_sync(
    sources: Sources,
    instance: DagsterInstance,
    report: SyncReport,
    info: TableInfo | None,
    touched: Collection[str] | None,
    names: Collection[str],
    wait: float,
) -> Iterator[AssetCheckResult]:
    """Check what a sync has just brought in.

    The table's lock is free again, and somebody may have waited for it: what is wrong is looked at once more under it.

    Args:
        sources: folders and warehouse.
        instance: Dagster's.
        report: of the sync.
        info: the description it went by.
        touched: keys of the run's range, whether or not they changed; None = everything was touched.
        names: of the checks that the run has.
        wait: seconds to wait for another writer of the table.
    """
    changed = {code for code, outcome in report.outcomes.items() if outcome in {Outcome.NEW, Outcome.REVISED}}
    codes = None if touched is None else changed.union(touched)
    with contextlib.closing(postgres.connect(sources.warehouse, f"check {report.table}")) as connection:

        def look(wanted: Collection[str]) -> _Findings:
            at = table_check.state(sources, connection, report.table, info)
            yield from table_check.findings(at, report, codes, wanted)

        found = _surely(sources, report.table, names, wait, look)
    for name, finding in found.items():
        yield _result(report.table, name, finding)
    if RECONCILED in names:
        # one that is planned and not evaluated would hide the last verdict
        yield from _repeated(instance, report, bool(changed))


def alone(sources: Sources, table: str, names: Collection[str], wait: float) -> Iterator[AssetCheckResult]:
    """Check the whole of a table, without a sync; asks the publisher only for `RECONCILED`.

    Args:
        sources: publisher, folders and warehouse.
        table: id.
        names: of the checks.
        wait: seconds to wait for a writer of the table: between files and load the two do differ.

    Raises:
        TableBusy: it is being written.
    """
    with contextlib.closing(postgres.connect(sources.warehouse, f"check {table}")) as connection:
        with locks.table_lock(sources.warehouse, table, wait=wait):
            at = table_check.state(sources, connection, table)
            results = [_result(table, name, one) for name, one in table_check.findings(at, None, None, names)]
        yield from results
        if RECONCILED in names:
            said = verify(sources, connection, table, total_of)
            yield AssetCheckResult(
                check_name=RECONCILED,
                asset_key=keys.summary(table),
                passed=said.proved,
                severity=_severity(said),
                description=said.text,
                metadata=_metadata(said),
            )


def report_verification(instance: DagsterInstance, said: Verification) -> None:
    """Report what the publisher said outside a run."""
    instance.report_runless_asset_event(
        AssetCheckEvaluation(
            asset_key=keys.summary(said.table),
            check_name=RECONCILED,
            passed=said.proved,
            severity=_severity(said),
            description=said.text,
            metadata=_metadata(said),
        )
    )


def last_verification(instance: DagsterInstance, table: str) -> AssetCheckEvaluation | None:
    """What was found when the publisher was last asked, or repeated since; None if it never was."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        AssetCheckKey(keys.summary(table), RECONCILED),
        limit=1,
        status=set(COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES),
    )
    event = records[0].event.dagster_event if records and records[0].event else None
    return event.asset_check_evaluation_data if event is not None else None


def _repeated(instance: DagsterInstance, report: SyncReport, changed: bool) -> Iterator[AssetCheckResult]:
    last = last_verification(instance, report.table)
    if last is None:
        return
    asked, found = (last.metadata.get(name) for name in ("asked at", "verdict"))
    verdict = str(found.value) if found is not None else last.description or ""
    since = f". Other numbers were synced since: varro verify {report.table}" if changed else ""
    yield AssetCheckResult(
        check_name=RECONCILED,
        asset_key=keys.summary(report.table),
        passed=last.passed,
        # whatever was wrong then may have been mended by this sync
        severity=AssetCheckSeverity.WARN if changed else last.severity,
        description=f"Asked at {asked.value if asked is not None else 'some time'}: {verdict}{since}",
        metadata=last.metadata,
    )


def _surely(
    sources: Sources, table: str, names: Collection[str], wait: float, look: Callable[[Collection[str]], _Findings]
) -> dict[str, Finding]:
    """What is found; whatever is red is looked at again under the table's lock."""
    found: dict[str, Finding] = {}
    # another writer may put a table of other columns in its place; what is not found by then is asked for again below
    with contextlib.suppress(DatabaseRefused):
        found.update(look(names))
    settled = {name for name, one in found.items() if one.passed or not one.needs_action}
    # what did not come in no other writer changes
    again = set(names) - settled - {RECONCILED, "no_failed_periods"}
    if again:
        try:
            with locks.table_lock(sources.warehouse, table, wait=wait):
                found.update(look(again))
        except TableBusy as error:
            found |= dict.fromkeys(again, _left_to_another(error))
    return found


def _left_to_another(error: TableBusy) -> Finding:
    text = f"not looked at: another run is writing the table ({error.got}), and checks it itself when it has"
    return Finding(False, text, needs_action=False)


def _result(table: str, name: str, finding: Finding) -> AssetCheckResult:
    key: AssetKey = keys.summary(table) if name in _OF_SUMMARY else keys.fact(table)
    return AssetCheckResult(
        check_name=name,
        asset_key=key,
        passed=finding.passed,
        severity=AssetCheckSeverity.ERROR if finding.needs_action else AssetCheckSeverity.WARN,
        description=finding.text,
        metadata=dict(finding.figures),
    )


def _severity(said: Verification) -> AssetCheckSeverity:
    return AssetCheckSeverity.WARN if said.moved else AssetCheckSeverity.ERROR


def _metadata(said: Verification) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "asked at": said.asked_at,
        "verdict": said.text,
        "publication": said.updated,
        "periods": said.periods,
        "cells": said.cells,
        "cells with a number": said.telling,
        "discrepancies": len(said.discrepancies),
        "requests": said.requests,
        "whole table": said.whole,
    }
    if said.discrepancies:
        lines = [f"- {one}" for one in said.discrepancies[:SHOWN]]
        lines += [f"- and {len(said.discrepancies) - SHOWN} more"] if len(said.discrepancies) > SHOWN else []
        metadata["found"] = MetadataValue.md("\n".join(lines))
    if said.notes:
        metadata["notes"] = "; ".join(said.notes)
    return metadata
