"""The result tables by name: what `store.table("causes")` computes, from which stored tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from flexkit.window import Window


class Evidence(Protocol):
    """What results are computed from: anything that gives stored tables by name."""

    def table(self, name: str, window: Window | None = None) -> pl.LazyFrame: ...
    def coverage(self) -> pl.LazyFrame: ...
    def fixes(self) -> pl.DataFrame: ...
    def handlers(self) -> pl.DataFrame: ...


@dataclass(frozen=True, slots=True)
class Result:
    """One result table: how it is computed from all evidence, and the instant that dates its rows."""

    compute: Callable[[Evidence], pl.LazyFrame]
    time: str


def _completions(store: Evidence) -> pl.LazyFrame:
    from flexkit.analyse import episodes

    return episodes.completions(store.table("signals"))


def _duplicates(store: Evidence) -> pl.LazyFrame:
    from flexkit.analyse import episodes

    return episodes.duplicates(store.table("signals"), store.table("alerts"))


def _causes(store: Evidence) -> pl.LazyFrame:
    from flexkit.analyse import causes

    return causes.classify(
        store.table("signals"), store.table("alerts"), store.coverage().lazy(), store.handlers().lazy()
    )


RESULTS: dict[str, Result] = {
    "completions": Result(_completions, "first_closed_at"),
    "duplicates": Result(_duplicates, "second_at"),
    "causes": Result(_causes, "occurred_at"),
}
