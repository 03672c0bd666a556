"""Stage 3: which dimension a column joins, side by side with overlap of codes alone.

What belongs here: the tables of results and the verdicts. The labelled set and the ways are in `linking_contenders`;
where the labels come from is said in linking_data/README.md.
"""

from __future__ import annotations

from typing import Any

from benchmarks.measuring import Options, Verdict, run, table

PRECISION, RECALL = 0.95, 0.90
JUDGED = ("all", "held-out")


def run_stage(options: Options) -> list[Verdict]:
    """Measure, print, judge. The set is small and nothing is timed, so that rounds and quick make no difference."""
    del options
    results, _ = run("benchmarks.linking_contenders")
    print(f"\nlinks proposed, of labelled columns\n{_figures(results)}\n", flush=True)
    for way, result in results.items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in result["match_types"].items())
        print(f"{way} has {len(result['wrong'])} wrong{f'; links: {kinds}' if kinds else ''}", flush=True)
    print(f"\nwhat ours has wrong\n{_wrong(results['ours'])}\n", flush=True)
    parts = results["ours"]["parts"]
    return [
        Verdict(f"linking {name}, {part}", f"{parts[part][name]:.3f}", f">= {wanted:.2f}", parts[part][name] >= wanted)
        for part in JUDGED
        for name, wanted in (("precision", PRECISION), ("recall", RECALL))
    ]


def _figures(results: dict[str, Any]) -> str:
    rows = [
        [f"{way}, {part}"]
        + [f"{found[key]}" for key in ("pairs", "linked", "proposed", "right")]
        + [f"{found[key]:.3f}" for key in ("precision", "recall", "f1")]
        for way, result in results.items()
        for part, found in result["parts"].items()
    ]
    return table(["way, part", "pairs", "linked", "proposed", "right", "precision", "recall", "F1"], rows)


def _wrong(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{one['column']} ({one['split']})",
            one["wanted"] or "none",
            one["dimension"] or "none",
            "" if one["score"] is None else f"{one['score']:.2f}",
            one["best"] or "no candidate",
        ]
        for one in result["wrong"]
    ]
    return table(["column", "wanted", "proposed", "score", "best candidate"], rows) if rows else "nothing"
