"""A labelled synthetic contact centre, written in Twilio's formats: what truly happens, and what is seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flexkit.collect.simulate.damage import Degradation
from flexkit.collect.simulate.evidence import Evidence, gather
from flexkit.collect.simulate.frames import Observed, observed_frames
from flexkit.collect.simulate.handlers import handlers_toml
from flexkit.collect.simulate.labels import write_fixes, write_labels, write_truth
from flexkit.collect.simulate.scenarios import scenario, scenario_names
from flexkit.collect.simulate.server import Truth
from flexkit.collect.simulate.world import LAST_DAY, World, build, warnings
from flexkit.collect.simulate.write import write_evidence

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "LAST_DAY",
    "Degradation",
    "Evidence",
    "Observed",
    "Simulated",
    "Truth",
    "World",
    "build",
    "gather",
    "observed_frames",
    "scenario",
    "scenario_names",
    "simulate",
    "warnings",
]

_SMALL = 20_000


@dataclass(frozen=True, slots=True)
class Simulated:
    """What `simulate` wrote: the files of evidence, and the world behind them (None for an empty one)."""

    files: list[Path]
    world: World | None


def simulate(out: Path, *, interactions: int, days: int, seed: int, scenario: str = "sample") -> Simulated:
    """Write a labelled contact centre below *out*.

    ``evidence/`` holds what would be collected, in Twilio's formats; beside it stand ``labels.csv`` and
    ``truth.json``, which no analysis reads, and ``fixes.toml`` and ``handlers.toml``. The same arguments
    give the same bytes. Raises `UsageError` for an unknown scenario or an empty centre.
    """
    out.mkdir(parents=True, exist_ok=True)
    chosen = _scenario(scenario)
    if chosen.is_empty:
        return Simulated([], None)
    world = build(interactions=interactions, days=days, seed=seed, name=scenario)
    evidence = gather(world)
    # Small centres are kept and sent around; large ones are imported once and thrown away.
    level = 9 if interactions <= _SMALL else 4
    files = write_evidence(evidence, out / "evidence", level=level)
    write_labels(evidence, out / "labels.csv")
    write_truth(evidence, out / "truth.json")
    write_fixes(world, out / "fixes.toml")
    (out / "handlers.toml").write_text(handlers_toml(evidence.seen), encoding="utf-8")
    return Simulated(files, world)


_scenario = scenario
