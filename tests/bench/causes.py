"""Causes against the simulator's labels, scenario by scenario: the README's table of how far a cause can be trusted."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import causes
from flexkit.analyse.evaluate import Evaluation, evaluate
from flexkit.collect.files import import_files
from flexkit.collect.simulate import simulate
from flexkit.locate import evidence_files
from flexkit.tables.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

SCENARIOS = (
    "clean", "noisy", "no_app_log", "no_taskrouter", "no_interactions_webhook", "no_studio", "no_conversations",
    "no_debugger", "alerts_only",
)  # fmt: skip
"""Scenarios of the table, in its order."""


def evaluated(
    folder: Path, scenario: str, *, interactions: int, days: int, seed: int, with_map: bool
) -> tuple[Evaluation, float]:
    """Simulate one centre below *folder*, import its files as a user's, and compare; and seconds to classify."""
    simulate(folder, interactions=interactions, days=days, seed=seed, scenario=scenario)
    store = Store(folder / "store")
    import_files(store, evidence_files(folder))
    if with_map:
        (folder / "store" / "handlers.toml").write_text((folder / "handlers.toml").read_text())
    labels = pl.read_csv(folder / "labels.csv", infer_schema=False)
    begun = time.perf_counter()
    found = causes.classify(
        store.table("signals"), store.table("alerts"), store.coverage(), store.handlers().lazy(),
        configuration=store.table("configuration"),
    ).collect()  # fmt: skip
    seconds = time.perf_counter() - begun
    return evaluate(found, labels, unlisted_is_benign=True), seconds


def row(name: str, told: Evaluation) -> str:
    """One line of the Markdown table."""

    def cell(share: object) -> str:
        rate, count, total = share.rate, share.count, share.total  # type: ignore[attr-defined]
        return "–" if rate is None else f"{100 * rate:.1f} % ({count}/{total})"

    shares = (told.named, told.status["confirmed"], told.status["supported"], told.benign)
    return f"| {name} | {' | '.join(cell(share) for share in shares)} |"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench causes", description=__doc__)
    parser.add_argument("--interactions", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--seed", type=int, default=80906)
    parser.add_argument("--scenario", action="append", help="only these; may be repeated")
    parser.add_argument("--with-map", action="store_true", help="give the analysis the centre's handlers.toml")
    parser.add_argument("--verbose", action="store_true", help="print each confusion matrix")
    chosen = parser.parse_args(argv)
    centre = f"{chosen.interactions} interactions, {chosen.days} days, seed {chosen.seed}"
    print(f"{centre}, {'with' if chosen.with_map else 'without'} a handler map")
    print()
    print(
        "| scenario | duplicates given a cause | confirmed is right | supported is right | benign without duplicate |"
    )
    print("|---|---|---|---|---|")
    for scenario in chosen.scenario or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            told, seconds = evaluated(
                Path(folder), scenario, interactions=chosen.interactions, days=chosen.days, seed=chosen.seed,
                with_map=chosen.with_map,
            )  # fmt: skip
        print(row(scenario, told), flush=True)
        if chosen.verbose:
            print("\n".join(told.lines()), f"\n{seconds:.2f} s", flush=True)
    return 0
