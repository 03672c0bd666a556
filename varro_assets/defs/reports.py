"""Reports: what was written outside a run, as Dagster sees it.

What belongs here: dimensions, subject pages and map layers that the commands wrote. A table's periods are `health`, its
documents `documents`.

Of what a run materialised Dagster remembers the data versions it was made of, and shows it as unsynced once one of them
is another. An event outside a run says so itself: else Dagster would go by its time alone, and show pages as unsynced
after every poll.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetMaterialization, DagsterInstance, EventLogRecord, MetadataValue
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_DATA_VERSION,
    NULL_EVENT_POINTER,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from varro_assets.context.maps.geo_layers import DEFAULT, FOLDER, LAYERS
from varro_assets.context.places import SUBJECTS, dim_path
from varro_assets.context.sources import ContextSources
from varro_assets.defs import keys
from varro_assets.defs.dimensions import held_metadata
from varro_assets.defs.events import DATA_VERSION_TAG
from varro_assets.engine.files import below, by_age

_CODE_VERSION = "outside a run"
"""Dagster takes what an event says of its inputs only together with a code version; the assets have none."""


@dataclass(frozen=True)
class _Written:
    """Something that may lie there.

    Attributes:
        path: the file that changes whenever the asset does.
        made_of: the asset that it is made of, if any.
        version: of its content, where other assets are made of it.
    """

    key: AssetKey
    path: Path
    metadata: dict[str, Any]
    made_of: AssetKey | None = None
    version: str = ""


def report_shared(instance: DagsterInstance, sources: ContextSources, *, but: AssetKey | None = None) -> list[AssetKey]:
    """Report what lies there and is newer than what Dagster knows; returns the keys.

    Args:
        instance: Dagster's.
        sources: whose dimension tables and subject pages are up to date with what they are made of.
        but: what the run that calls this reports itself.
    """
    candidates = [one for one in _written(sources) if one.key != but]
    # once: a page may move while we look
    changed = {path: moment for moment, path in by_age(one.path for one in candidates)}
    written = [one for one in candidates if one.path in changed]
    asked = {key for one in written for key in (one.key, one.made_of) if key is not None}
    known = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization_record
        for record in instance.get_asset_records(list(asked))
    }
    late = []
    # what others are made of comes before them
    for one in written:
        inputs = _inputs(one.made_of, known)
        if _is_late(one, changed[one.path], known.get(one.key), inputs):
            tags = {**inputs, **({DATA_VERSION_TAG: one.version} if one.version else {})}
            instance.report_runless_asset_event(AssetMaterialization(one.key, metadata=one.metadata, tags=tags))
            known[one.key] = instance.get_latest_data_version_record(one.key)
            late.append(one.key)
    return late


def _is_late(one: _Written, changed: float, known: EventLogRecord | None, inputs: dict[str, str]) -> bool:
    if known is None or known.timestamp < changed:
        return True
    # pages that are right are not written again when the catalogue changes in what does not concern them
    version = get_input_data_version_tag(keys.CATALOGUE)
    return one.key == keys.SUBJECTS and (known.event_log_entry.tags or {}).get(version) != inputs[version]


def _inputs(made_of: AssetKey | None, known: dict[AssetKey, EventLogRecord | None]) -> dict[str, str]:
    """Tags that tell Dagster which data version of its input an event speaks of."""
    if made_of is None:
        return {}
    record = known.get(made_of)
    version, place = NULL_DATA_VERSION, NULL_EVENT_POINTER
    if record is not None:
        version = extract_data_version_from_entry(record.event_log_entry) or DEFAULT_DATA_VERSION
        place = str(record.storage_id)
    return {
        CODE_VERSION_TAG: _CODE_VERSION,
        get_input_data_version_tag(made_of): version.value,
        get_input_event_pointer_tag(made_of): place,
    }


def _written(sources: ContextSources) -> Iterator[_Written]:
    for name, dimension in sources.library.all().items():
        held, document = sources.library.store.folder / name / "table_da.parquet", sources.folder / dim_path(name)
        shown, version = held_metadata(dimension), dimension.content_hash
        published, table = keys.classification(name), keys.dimension(name)
        yield _Written(published, held, shown, version=version)
        yield _Written(table, held, shown | {"dagster/table_name": dimension.relation}, published, version)
        yield _Written(keys.dimension_document(name), document, {"path": MetadataValue.path(document)}, table)
    pages = [page for _, page in by_age(below(sources.folder / SUBJECTS, ".md"))]
    if pages:
        # the index is none of the pages
        yield _Written(keys.SUBJECTS, pages[-1], {"pages": len(pages) - 1}, keys.CATALOGUE)
    for layer in DEFAULT:
        path, dimension_of = sources.folder / FOLDER / f"{layer}.parquet", LAYERS[layer].dimension
        made_of = keys.dimension(dimension_of) if dimension_of else None
        yield _Written(keys.layer(layer), path, {"path": MetadataValue.path(path)}, made_of)
