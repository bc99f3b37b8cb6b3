"""The promises of the methods, simulated small: the same code as ``python -m tests.bench effects``."""

from __future__ import annotations

import pytest

from tests.bench import effects as bench


def test_intervals_cover_the_truth_in_hard_regimes() -> None:
    worlds = [
        bench.World("short", 3, 28, 14, 0.5, 0.4),
        bench.World("autocorrelated", 30, 28, 28, 0.8, 0.4),
        bench.World("harm", 3, 56, 28, 0.8, 0.4, 1.5),
        bench.World("incidents", 30, 56, 28, 0.5, 0.4, incidents=1.0),
    ]
    for row in bench.coverage(60, 7, worlds):
        # Sixty fixes per regime tell 0.92 from less only roughly: three standard errors are 0.10.
        assert row["coverage"] >= row["to reach"] - 0.1
        assert row["fixes"] == 60


def test_the_smallest_detectable_effect_is_seen_about_four_times_in_five() -> None:
    rows = bench.power(40, 7)

    # Forty fixes a row, 200 in all: three standard errors are 0.09.
    assert sum(row["seen"] for row in rows) / len(rows) == pytest.approx(0.8, abs=0.09)
    # Where days vary much it said that nothing under a fall of 60 % could be seen; a fall of half can.
    assert rows[2]["smallest detectable ratio"] > 0.45


def test_a_spike_does_not_make_a_success() -> None:
    rows = bench.spikes(12, 7)

    assert sum(row["verdict helped"] for row in rows) / len(rows) <= 0.15
    assert max(row["week before against after"] for row in rows) > 0.5


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--reps", "4", "--only", "power"]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith("**Power")
    assert printed.count("\n|") >= 7
