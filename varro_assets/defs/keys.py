"""Names in the asset graph: keys, groups, tags and partition definitions.

What belongs here: how things are called in Dagster, nothing that runs. Dagster takes A-Z, a-z, 0-9 and ``_`` in names.
"""

from __future__ import annotations

import re

from dagster import AssetKey, DynamicPartitionsDefinition

from varro_assets.statbank.facts import column_name, relation_name

TABLE_TAG = "varro/table"
"""Run tag: the table a run writes; one run at a time per value (dagster.yaml)."""
SWEEP_TAG = "varro/sweep"
"""Run tag: what the run belongs to: one invocation of the command, or one poll and the runs that follow from it."""
UPDATED_TAG = "varro/updated"
"""Run tag: the publication that made the table due."""
SEGMENT_TAG = "varro/segment"
"""Run tag: ``first...last`` partition key of the stretch that the run reads, or ``whole table``."""
ATTEMPT_TAG = "varro/attempt"
"""Run tag: 1 for the first time that this is tried."""
LAUNCHER_TAG = "varro/launcher"
"""Run tag: who launched it: ``cli``, ``sensor`` or ``schedule``."""
POLL_TAG = "varro/poll"
"""Run tag: of every run that polls the catalogue."""
SHARED_TAG = "varro/shared"
"""Run tag: of a run that brings up to date what tables share: the state of the warehouse it was requested for."""
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Run tags of Dagster's: first and last partition key, in stored order."""
PRIORITY_TAG = "dagster/priority"
"""Run tag of Dagster's: what waits in the queue is begun by it, highest first."""
CATALOGUE = AssetKey(["statbank", "catalog"])
SUBJECTS = AssetKey(["context", "subjects"])
"""The subject pages and their index."""


def published(table: str) -> AssetKey:
    """The table as published: parquet, codes as text."""
    return AssetKey(["statbank", table])


def fact(table: str) -> AssetKey:
    """The typed Postgres table."""
    return AssetKey(["fact", relation_name(table)])


def summary(table: str) -> AssetKey:
    """The summary of the last sync, on which links and documents depend."""
    return AssetKey(["table", table])


def links(table: str) -> AssetKey:
    """Which column of the table joins which dimension: JSON."""
    return AssetKey(["dimension_links", table])


def document(table: str) -> AssetKey:
    """The document of the fact table, and the values of its columns."""
    return AssetKey(["context", "fact", relation_name(table)])


def table(key: AssetKey) -> str | None:
    """The table that an asset is of; None for what is of none or of many."""
    name = key.path[-1].upper()
    return name if key in {published(name), fact(name), summary(name), links(name), document(name)} else None


def classification(name: str) -> AssetKey:
    """A classification as published."""
    return AssetKey(["classification", name])


def dimension(name: str) -> AssetKey:
    """The dimension table in Postgres."""
    return AssetKey(["dim", name])


def dimension_document(name: str) -> AssetKey:
    """The document of the dimension, and its values."""
    return AssetKey(["context", "dim", name])


def layer(name: str) -> AssetKey:
    """A map layer."""
    return AssetKey(["context", "geo", name])


def partitions(table: str) -> DynamicPartitionsDefinition:
    """The table's periods."""
    return DynamicPartitionsDefinition(name=table)


def op_name(table: str) -> str:
    """The op that syncs a table."""
    return f"sync_{table.lower()}"


def document_op_name(table: str) -> str:
    """The op that links and documents a table."""
    return f"document_{table.lower()}"


def group(title: str | None) -> str:
    """A subject's title as a group name: ``Arbejde og indkomst`` → ``arbejde_og_indkomst``."""
    if not title:
        return "uden_emne"
    return re.sub(r"_+", "_", column_name(title)).strip("_") or "uden_emne"
