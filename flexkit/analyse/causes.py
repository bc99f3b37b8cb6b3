"""Why each duplicate happened: named rules on its facts, how sure, on which evidence, and what would settle it."""

from __future__ import annotations

import polars as pl

from flexkit.analyse import renewal
from flexkit.analyse.affected import Overview
from flexkit.analyse.episodes import DUPLICATES, NEEDED
from flexkit.analyse.judging import CAUSES
from flexkit.analyse.rules import BY_ID, RULES
from flexkit.tables.schema import COVERAGE, SIGNALS


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
        found = renewal.judgements(seen, windows)
        return table(found.lazy("judged"), found.lazy("strays")).collect(engine="in-memory")

    return pl.defer(compute, schema=CAUSES)


def table(judged: pl.LazyFrame, strays: pl.LazyFrame) -> pl.LazyFrame:
    """The ``causes`` table: duplicates that were *judged*, and the warnings that lead to none (*strays*)."""
    return _sorted(pl.concat([judged.select(*CAUSES), strays]), "occurred_at", "interaction_sid")


def duplicates(judged: pl.LazyFrame) -> pl.LazyFrame:
    """The duplicates among those that were *judged* (or in a `table`): that table of `flexkit.analyse.episodes`."""
    seen = pl.col("second_evidence_sid").is_not_null()
    return (
        _sorted(judged.filter(pl.col("interaction_sid").is_not_null()), "interaction_sid", "occurred_at")
        .rename({"occurred_at": "second_at"})
        .with_columns(pl.when(seen).then(pl.col(name)).alias(name) for name in ("second_source", "second_handler"))
        .select(*DUPLICATES)
    )


def _sorted(rows: pl.LazyFrame, *by: str) -> pl.LazyFrame:
    order = [*map(pl.col, (*by, "second_evidence_sid")), pl.col("alert_sids").list.first()]
    return rows.sort(order, nulls_last=[False, False, True, True])


__all__ = ["BY_ID", "CAUSES", "RULES", "classify", "duplicates", "table"]
