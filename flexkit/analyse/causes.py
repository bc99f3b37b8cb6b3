"""Why each duplicate happened: named rules on its facts, how sure, on which evidence, and what would settle it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import judging, renewal
from flexkit.analyse.affected import Overview
from flexkit.analyse.episodes import DUPLICATES, NEEDED
from flexkit.analyse.judging import CAUSES
from flexkit.analyse.rules import BY_ID, RULES
from flexkit.tables.schema import COVERAGE, SIGNALS

if TYPE_CHECKING:
    from flexkit.analyse.memory import Memory


def classify(
    signals: pl.LazyFrame,
    alerts: pl.LazyFrame | None = None,
    coverage: pl.LazyFrame | None = None,
    handlers: pl.LazyFrame | None = None,
    *,
    configuration: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """One row per duplicate (`flexkit.analyse.episodes.duplicates`), and one per alert that leads to none.

    ``cause`` is the best supported one: a confirmed cause before a supported one, then in the order of
    `flexkit.analyse.rules.RULES`; ``also`` holds the others that hold. Where no rule holds the cause is
    ``undetermined`` with status ``not_assessable``, and ``missing`` says what would settle it, the
    cheapest first (`flexkit.analyse.missing`); a named cause may have something missing too. A duplicate
    that no alert shows is never confirmed. Alerts about Proxy have the cause ``proxy_origin``, alerts
    that lead nowhere ``undetermined``; neither has an interaction.

    *coverage* tells where the absence of a signal counts; without it only interactions that have signals
    of a source are taken to be covered by it. *handlers* is the user's handler map, *configuration* the
    table of that name. Nothing is computed before the result is collected.
    """
    SIGNALS.require(signals, *NEEDED)

    def compute() -> pl.DataFrame:
        windows = None if coverage is None else COVERAGE.conform(coverage).collect()
        settings = None if configuration is None else configuration.collect()
        seen = Overview.of(signals, alerts, handlers, settings)
        return table(seen, renewal.judgements(seen, windows))

    return pl.defer(compute, schema=CAUSES)


def table(seen: Overview, found: Memory) -> pl.DataFrame:
    """The ``causes`` table from what was *found* about duplicates, and the warnings that lead to none."""
    rows = pl.concat([found.frame("judged").select(*CAUSES), judging.stray(seen.strays)])
    order = ("occurred_at", "interaction_sid", "second_evidence_sid", pl.col("alert_sids").list.first())
    return rows.sort(*order, nulls_last=[False, False, True, True])


def duplicates(classified: pl.LazyFrame) -> pl.LazyFrame:
    """The duplicates among the rows of *classified* (`classify`): that table of `flexkit.analyse.episodes`."""
    seen = pl.col("second_evidence_sid").is_not_null()
    return (
        classified.filter(pl.col("interaction_sid").is_not_null())
        .rename({"occurred_at": "second_at"})
        .with_columns(pl.when(seen).then(pl.col(name)).alias(name) for name in ("second_source", "second_handler"))
        .select(*DUPLICATES)
        .sort("interaction_sid", "second_at", maintain_order=True)
    )


__all__ = ["BY_ID", "CAUSES", "RULES", "classify", "duplicates", "table"]
