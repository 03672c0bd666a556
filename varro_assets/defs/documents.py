"""Links and documents as assets: one op per table, which follows the table's sync in the same run.

What belongs here: specs, checks and the op body, which only translates between Dagster and `context`.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSpec,
    DagsterInstance,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from varro_assets.context import document_check, holdings, snapshot, subject_documents, table_documents
from varro_assets.context.document_check import Finding
from varro_assets.context.places import DocumentPaths
from varro_assets.context.table_documents import TableReport
from varro_assets.defs import keys
from varro_assets.defs.failures import named_failures
from varro_assets.defs.loading import op_body
from varro_assets.defs.resources import ContextResource
from varro_assets.defs.unattended.dead_runs import alive
from varro_assets.dimensions.links import link_file
from varro_assets.dimensions.models import Link
from varro_assets.engine import postgres
from varro_assets.errors import DamagedPartition
from varro_assets.settings import Settings
from varro_assets.statbank.catalog import Place
from varro_assets.statbank.models import CatalogueEntry

LONGEST_SHOWN = 20_000
"""Characters of a document in Dagster; the file has all of it."""


def document_assets(
    entry: CatalogueEntry, places: Sequence[Place], settings: Settings, paths: DocumentPaths
) -> AssetsDefinition:
    """The links and the document of one followed table.

    Args:
        entry: its line in the catalogue.
        places: where it stands in the subject tree.
        settings: whose files they are, and where these lie.
        paths: of all documents.
    """
    table = entry.id

    @multi_asset(
        name=keys.document_op_name(table),
        specs=_specs(entry, places, settings, paths),
        check_specs=_check_specs(table),
        can_subset=True,  # the UI may leave checks out, or run them alone; all is written whatever is chosen
        op_tags={keys.TABLE_TAG: table},
        required_resource_keys={"documents"},  # as in `tables.SyncConfig`: by the context, for the time it saves
    )
    @op_body
    def document_op(context: AssetExecutionContext) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
        yield from _document(context, context.resources.documents, table)

    return document_op


def _document(
    context: AssetExecutionContext, documents: ContextResource, table: str
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    with (
        named_failures(),
        documents.open(on_retry=context.log.warning) as sources,
        alive(sources.warehouse, context.run.run_id),
        contextlib.closing(postgres.connect(sources.warehouse, f"documents {table}")) as connection,
    ):
        taken = snapshot.take(sources, connection)
        for name, problem in sources.library.problems.items():
            context.log.error(f"Dimension {name} cannot be used: {problem}")
        holding = holdings.holdings(connection, [table]).get(table)
        if holding is None:
            raise DamagedPartition(
                "document table", on=table, got="no period of it is in the warehouse", todo=f"varro sync {table}"
            )
        report = table_documents.write(sources, taken, connection, holding)
        for remark in report.remarks:
            context.log.warning(remark)
        pages = subject_documents.write_pages_of(sources, taken, connection, table)
        for on, problem in pages.problems.items():
            context.log.warning(f"{on}: {problem}")
        if keys.links(table) in context.selected_asset_keys:
            yield MaterializeResult(asset_key=keys.links(table), metadata=_links_metadata(report))
        if keys.document(table) in context.selected_asset_keys:
            yield MaterializeResult(asset_key=keys.document(table), metadata=_document_metadata(report, pages.changed))
        findings = document_check.check(sources, connection, report)
        results = [_result(name, table, finding) for name, finding in findings.items()]
        chosen = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
        yield from (result for result in results if (result.asset_key, result.check_name) in chosen)


def _result(name: str, table: str, finding: Finding) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=name,
        asset_key=keys.links(table) if name in _OF_LINKS else keys.document(table),
        passed=finding.passed,
        severity=AssetCheckSeverity.WARN if name == "coverage" else AssetCheckSeverity.ERROR,
        description=finding.text,
        metadata=dict(finding.figures),
    )


def report_written(instance: DagsterInstance, report: TableReport) -> None:
    """Report links and document that were written outside a run."""
    for key, metadata in (
        (keys.links(report.table), _links_metadata(report)),
        (keys.document(report.table), _document_metadata(report, [])),
    ):
        instance.report_runless_asset_event(AssetMaterialization(key, metadata=metadata))


# -- what the UI shows ---------------------------------------------------------------------------------------------

_OF_LINKS = {
    "links_hold": "Every join does on the database what its link states.",
    "coverage": "The codes of every linked column stand in the dimension, totals left out.",
}
_OF_DOCUMENT = {
    "columns_exist": "The document names the columns of the fact table, all of them and no others.",
    "notes_intact": "The document is as it was written, and people's notes will survive the next writing.",
}


def _check_specs(table: str) -> list[AssetCheckSpec]:
    specs = [AssetCheckSpec(name, asset=keys.links(table), description=text) for name, text in _OF_LINKS.items()]
    specs += [AssetCheckSpec(name, asset=keys.document(table), description=text) for name, text in _OF_DOCUMENT.items()]
    return specs


def _specs(entry: CatalogueEntry, places: Sequence[Place], settings: Settings, paths: DocumentPaths) -> list[AssetSpec]:
    table = entry.id
    shared: dict[str, Any] = {
        "group_name": keys.group(places[0].titles[0] if places else None),
        "owners": [settings.varro_owner],
    }
    return [
        AssetSpec(
            keys.links(table),
            deps=[keys.summary(table)],
            description=f"{entry.text} ({table}). Which of its columns join which dimensions, how well, and by what"
            " evidence.",
            kinds={"json"},
            metadata={"path": MetadataValue.path(link_file.path_of(settings.links_dir, table))},
            **shared,
        ),
        AssetSpec(
            keys.document(table),
            deps=[keys.links(table)],
            description=f"{entry.text} ({table}). What to read before querying it: columns, codes, joins, totals,"
            " units, period range, footnotes and SQL that has been run; and the values of its columns as parquet.",
            kinds={"markdown", "parquet"},
            metadata={"path": MetadataValue.path(settings.context_dir / paths.fact_path(places, table))},
            **shared,
        ),
    ]


def _links_metadata(report: TableReport) -> dict[str, Any]:
    return {
        "links": len(report.links),
        "exact": sum(link.match_type == "exact" for link in report.links),
        "columns": len(report.card.columns),
        "joins": MetadataValue.md(_joins(report.links)),
    }


def _joins(links: Sequence[Link]) -> str:
    if not links:
        return "No column joins a dimension."
    rows = [
        f"| {link.column} | dim.{link.dimension} | {link.match_type} | {link.coverage:.0%}"
        f" | {', '.join(map(str, link.levels))} | `{link.join}` | {link.made_by} | {_cell(link.note)} |"
        for link in links
    ]
    names = ["column", "dimension", "match", "coverage", "levels", "join", "made by", "note"]
    return "\n".join([f"| {' | '.join(names)} |", "|---" * len(names) + "|", *rows])


def _cell(text: str) -> str:
    """A note as one cell of a table: people write bars and new lines."""
    return " ".join(text.split()).replace("|", "\\|")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:LONGEST_SHOWN]
    except FileNotFoundError:
        return "Another run has moved or removed the document since it was written."


def _document_metadata(report: TableReport, pages: Sequence[Path]) -> dict[str, Any]:
    return {
        "path": MetadataValue.path(report.path),
        "document": MetadataValue.md(_text(report.path)),
        "files rewritten": len(report.changed) + len(pages),
    }
