"""Causes in a contact centre that another author wrote, in many dialects: precision first, whatever is written down."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest

from flexkit.analyse import causes
from flexkit.analyse.evaluate import Evaluation, evaluate
from tests.analyse.other_centre import Centre, Dialect

FULL = {
    "tokens": Dialect(),
    "events": Dialect(trigger="event", tasks="rest", answer="http", offset="+02:00"),
    "stream": Dialect(tasks="stream", alerts="stream", log_names="UO", reads_status=True),
    "names-little": Dialect(alert_names="WT", log_names="CH", alerts="debugger"),
    "silent": Dialect(answer="silent", trigger="event", alert_names="UO"),
    "skewed": Dialect(log_skew=4.0, receiver_skew=-3.0),
    "slow-clock": Dialect(log_skew=-5.0, receiver_skew=2.0, trigger="event", tasks="stream"),
    "agents-unlogged": Dialect(logs_agents=False, tasks="rest", trigger="event"),
}
POOR = {
    "no-ids": Dialect(trigger="none"),
    "opaque-ids": Dialect(trigger="opaque", tasks="rest"),
    "no-intent": Dialect(intent=False),
    "nothing": Dialect(trigger="none", intent=False, answer="silent", logs_agents=False),
    "whole-seconds": Dialect(whole_seconds=True, trigger="opaque", intent=False, log_skew=2.0),
}


@cache
def evidence(dialect: Dialect, count: int = 500) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    centre = Centre(dialect, 7)
    centre.run(count)
    tables = centre.tables()
    assert "rejects" not in tables
    return tables, centre.label_frame()


def told(dialect: Dialect, *, without: tuple[str, ...] = ()) -> Evaluation:
    tables, labels = evidence(dialect)
    signals = tables["signals"].filter(~pl.col("source").is_in(without))
    alerts = None if "debugger" in without else tables["alerts"].lazy()
    found = causes.classify(signals.lazy(), alerts).collect()
    return evaluate(found, labels, unlisted_is_benign=True)


def right(told: Evaluation, status: str) -> float:
    rate = told.status[status].rate
    return 1.0 if rate is None else rate


@pytest.mark.parametrize("dialect", FULL.values(), ids=FULL.keys())
def test_where_enough_is_written_down_causes_are_named_and_right(dialect: Dialect) -> None:
    evaluation = told(dialect)

    assert right(evaluation, "confirmed") >= 0.98
    assert right(evaluation, "supported") >= 0.9
    assert (evaluation.named.rate or 0) >= 0.85
    assert (evaluation.benign.rate or 0) >= 0.995
    assert evaluation.found.rate == 1.0


@pytest.mark.parametrize("dialect", POOR.values(), ids=POOR.keys())
def test_where_little_is_written_down_less_is_named_but_still_right(dialect: Dialect) -> None:
    evaluation = told(dialect)

    assert right(evaluation, "confirmed") >= 0.98
    assert right(evaluation, "supported") >= 0.9
    assert (evaluation.benign.rate or 0) >= 0.995


@pytest.mark.parametrize("source", ["app_log", "taskrouter", "studio", "conversations", "interactions_webhook"])
def test_without_a_source_less_is_named_but_still_right(source: str) -> None:
    evaluation = told(Dialect(), without=(source,))

    assert right(evaluation, "confirmed") >= 0.98
    assert right(evaluation, "supported") >= 0.9
    assert (evaluation.benign.rate or 0) >= 0.995


def test_with_alerts_only_nothing_is_named() -> None:
    every = ("app_log", "taskrouter", "studio", "conversations", "interactions_webhook")

    assert told(Dialect(), without=every).named.count == 0
