"""Simulated contact centres and the reports about them, made once for all workers of a test session."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from flexkit.collect.files import import_files
from flexkit.collect.simulate import simulate
from flexkit.locate import evidence_files
from flexkit.report.run import run_reports
from flexkit.tables.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SIZES = {"calm": (1500, 35), "breach": (1500, 35), "fixed": (3000, 63), "empty": (1, 1)}
"""Interactions and days of each scenario: as few as its verdicts need."""

FAIL_ABOVE = 0.03


def shared(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all workers of this session share."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "scenarios" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def store_of(scenario: str, factory: pytest.TempPathFactory) -> Path:
    """The store of a simulated contact centre."""
    folder = shared(factory, scenario)
    with FileLock(f"{folder}.lock"):
        if not (folder / "meta.json").exists():
            interactions, days = SIZES[scenario]
            simulate(folder, interactions=interactions, days=days, seed=7, scenario=scenario)
            import_files(Store(folder), evidence_files(folder))
    return folder


def reports_of(scenario: str, factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of all reports about a simulated contact centre, and what ``--json`` says of them."""
    store, out = store_of(scenario, factory), shared(factory, f"reports-{scenario}")
    with FileLock(f"{out}.lock"):
        told = out / "summary.json"
        if not told.exists():
            summary = run_reports([], data=store, out=out, fail_above=FAIL_ABOVE)
            told.write_text(json.dumps(summary.to_dict(), default=str))
    return out, json.loads(told.read_text())
