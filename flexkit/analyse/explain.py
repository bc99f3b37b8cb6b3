"""Why a rule holds for a duplicate or does not: the first fact that is missing, false or against it."""

from __future__ import annotations

import polars as pl

from flexkit.analyse import linking
from flexkit.analyse.affected import Overview, evidence_of, pieces
from flexkit.analyse.facts import facts
from flexkit.analyse.rules import FACTS, RULES, Rule
from flexkit.tables.lookup import LINKS
from flexkit.tables.schema import COVERAGE, INSTANT

EXPLAINED: dict[str, pl.DataType | type[pl.DataType]] = {
    "occurred_at": INSTANT,
    "rule": pl.String,
    "cause": pl.String,
    "status": pl.String,
    "holds": pl.Boolean,
    "sentence": pl.String,
    "because": pl.String,
}
"""One row per duplicate and rule: ``because`` says which fact decides against a rule that does not hold."""


def explain(
    signals: pl.LazyFrame,
    interaction_sid: str,
    *,
    alerts: pl.LazyFrame | None = None,
    coverage: pl.LazyFrame | None = None,
    handlers: pl.LazyFrame | None = None,
    configuration: pl.LazyFrame | None = None,
    causes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every rule for every duplicate of one interaction (columns `EXPLAINED`), rules that hold first.

    Only the evidence of this interaction is read. *causes*, its rows of that table, tell how far its clocks
    were found to be off; what handlers usually do is not known here, so `classify` may name a little more.
    """
    known = linking.prepared(signals)
    rows = evidence_of(known, pl.DataFrame({"interaction_sid": [interaction_sid]}).select(linking.key()))
    if causes is not None:
        rows = _on_time(rows, causes)
    settings = None if configuration is None else configuration.collect()
    seen = Overview.of(rows.lazy(), alerts_of(alerts, rows), handlers, settings)
    told = facts(
        next(pieces(seen, size=rows.height + 1)),
        seen.habits,
        coverage=None if coverage is None else COVERAGE.conform(coverage).collect(),
        configuration=settings,
    ).filter(pl.col("interaction_sid") == interaction_sid)
    lines = [
        {"occurred_us": row["second_us"], "rule": rule.id, "cause": rule.cause.value, "status": rule.status.value,
         "sentence": rule.sentence, **_judged(rule, row)}
        for row in told.iter_rows(named=True)
        for rule in RULES
    ]  # fmt: skip
    schema = {"occurred_us": pl.Int64, **{name: kind for name, kind in EXPLAINED.items() if name != "occurred_at"}}
    frame = pl.DataFrame(lines, schema=schema)
    return frame.select(
        pl.col("occurred_us").cast(INSTANT).alias("occurred_at"), *(name for name in EXPLAINED if name != "occurred_at")
    ).sort("occurred_at", pl.col("holds"), descending=[False, True], maintain_order=True)


def _on_time(rows: pl.DataFrame, causes: pl.DataFrame) -> pl.DataFrame:
    """*rows* with each source's times moved as far as those of the two completions were moved in *causes*."""
    sides = [("first_evidence_sid", "first_closed_at"), ("second_evidence_sid", "occurred_at")]
    dated = pl.concat(causes.select(evidence_sid=sid, used=pl.col(at).dt.timestamp("us")) for sid, at in sides)
    errors = (
        rows.join(dated.drop_nulls(), on="evidence_sid")
        .group_by("source")
        .agg(error_us=(pl.col("occurred_us") - pl.col("used")).median().cast(pl.Int64))
    )
    return (
        rows.join(errors, on="source", how="left", maintain_order="left")
        .with_columns(occurred_us=pl.col("occurred_us") - pl.col("error_us").fill_null(0))
        .drop("error_us")
    )


def alerts_of(alerts: pl.LazyFrame | None, rows: pl.DataFrame) -> pl.LazyFrame | None:
    """Those of *alerts* that name anything that *rows*, the evidence of one interaction, name."""
    if alerts is None:
        return None
    named = pl.concat([rows[name] for name in ("interaction_sid", *LINKS)]).drop_nulls().unique().implode()
    columns = ("resource_sid", "interaction_sid", "channel_sid", "task_sid", "conversation_sid")
    held = alerts.collect_schema().names()
    return alerts.filter(pl.any_horizontal(pl.col(name).is_in(named) for name in columns if name in held))


def _judged(rule: Rule, row: dict[str, object]) -> dict[str, object]:
    for fact in rule.contradicted_by:
        if row[fact]:
            return {"holds": False, "because": f"against it: {FACTS[fact]}"}
    for fact in rule.needs:
        if row[fact] is None:
            return {"holds": False, "because": f"cannot tell whether {FACTS[fact]}"}
        if not row[fact]:
            return {"holds": False, "because": f"not the case: {FACTS[fact]}"}
    return {"holds": True, "because": "all that it needs is so"}
