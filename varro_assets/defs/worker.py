"""Worker: a process that Dagster started to execute one run.

What belongs here: learning which run that is before the definitions are loaded, so that it builds the tables of that
run and no others: the whole graph of a full catalogue takes ten seconds of processor time, one table a tenth of one.
"""

from __future__ import annotations

import multiprocessing

from dagster import DagsterInstance, DagsterRun
from dagster._check import CheckError
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import deserialize_value
from dagster_shared.serdes.errors import DeserializationError

from varro_assets.defs import keys


def tables() -> list[str] | None:
    """The tables whose assets are all that this process was started to execute.

    Tells so in the log of the run.

    Returns:
        None in any other process, and where the run also executes what is not of one table.
    """
    arguments = _arguments()
    if arguments is None or arguments.instance_ref is None:
        return None
    with DagsterInstance.from_ref(arguments.instance_ref) as instance:
        run = instance.get_run_by_id(arguments.run_id)
        found = of_run(run) if run is not None else None
        if found is not None:
            instance.report_engine_event(f"Loading the definitions of {', '.join(found)} alone.", run)
    return found


def of_run(run: DagsterRun) -> list[str] | None:
    """The tables of a run's assets and checks; None if any of them is of no table."""
    selected = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    found = {keys.table(key) for key in selected}
    return sorted(table for table in found if table) if found and None not in found else None


def _arguments() -> ExecuteExternalJobArgs | None:
    """What Dagster's code server started this process with.

    It says to a worker in no other way what it is for (decision 13). Should a later Dagster start its workers
    differently, nothing is found here, and they load the whole graph, as they would have done anyhow.
    """
    for argument in getattr(multiprocessing.current_process(), "_args", ()):
        if isinstance(argument, str):
            try:
                return deserialize_value(argument, ExecuteExternalJobArgs)
            except (DeserializationError, CheckError, ValueError):
                continue  # something else
    return None
