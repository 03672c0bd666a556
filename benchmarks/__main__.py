"""`python -m benchmarks`: every stage, or those named, and one list of verdicts at the end.

A stage is a function from `Options` to verdicts; a new one is added to `STAGES`. The exit code is 1 if a figure was
missed, so that a job can notice; a test runs the quick mode, which judges exactness and no speed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import bulk_to_parquet, documents, linking_quality, postgres_load
from benchmarks.measuring import Options, Verdict

STAGES: dict[str, Callable[[Options], list[Verdict]]] = {
    "bulk": bulk_to_parquet.run_stage,
    "load": postgres_load.run_stage,
    "linking": linking_quality.run_stage,
    "documents": documents.run_stage,
}
ROUNDS = {"bulk": 5, "load": 3, "linking": 1, "documents": 1}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Side-by-side measurements.")
    parser.add_argument("stages", nargs="*", help=f"which of {', '.join(STAGES)}; all if none is named")
    parser.add_argument("--rounds", type=int, help="how often each way runs")
    parser.add_argument("--quick", action="store_true", help="small data, one round: does it run, is it exact")
    parser.add_argument("--folder", type=Path, help="where to make the scratch folder (3 GB; default: the system's)")
    arguments = parser.parse_args()
    if unknown := set(arguments.stages) - STAGES.keys():
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    verdicts: list[Verdict] = []
    for name in arguments.stages or STAGES:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="varro-bench-", dir=arguments.folder) as folder:
            rounds = arguments.rounds or (1 if arguments.quick else ROUNDS[name])
            verdicts += STAGES[name](Options(rounds, arguments.quick, Path(folder)))
        print(f"stage {name}: {time.perf_counter() - start:.0f} s\n", flush=True)
    print("\n".join(map(str, verdicts)))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
