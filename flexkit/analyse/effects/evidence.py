"""From completed interactions and duplicates to what the effects of fixes need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse.rates.daily import daily_counts
from flexkit.analyse.rates.series import collected

if TYPE_CHECKING:
    import datetime as dt


def counts_for_fixes(
    completions: pl.DataFrame | pl.LazyFrame,
    duplicates: pl.DataFrame | pl.LazyFrame,
    fixes: pl.DataFrame | pl.LazyFrame,
    *,
    tz: str = "UTC",
    causes: pl.DataFrame | pl.LazyFrame | None = None,
    coverage: pl.DataFrame | pl.LazyFrame | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> pl.DataFrame:
    """Daily counts (`rates.daily_counts`) by just those dimensions that the scopes of *fixes* speak of.

    With *causes* also by cause, so that a fix can be held against the causes that it addresses.
    """
    held = set(completions.lazy().collect_schema().names())
    frame = collected(fixes)
    by = []
    if _names(frame, "channel_types") and "channel_type" in held:
        by.append("channel_type")
    if _names(frame, "handlers"):
        by += [name for name in ("first_handler",) if name in held] + ["handler"]
    if causes is not None:
        by.append("cause")
    return daily_counts(
        completions, duplicates, tz=tz, by=by, causes=causes, coverage=coverage, since=since, until=until
    )


def _names(fixes: pl.DataFrame, column: str) -> bool:
    if column not in fixes.columns or fixes.is_empty():
        return False
    column_type = fixes.schema[column]
    return isinstance(column_type, pl.List) and bool((fixes[column].list.len().fill_null(0) > 0).any())
