"""The result tables by name: what `store.table("causes")` computes, from which stored tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from flexkit.analyse import extracts, memory
    from flexkit.window import Window


class Evidence(Protocol):
    """What results are computed from: anything that gives stored tables by name."""

    def table(self, name: str, window: Window | None = None) -> pl.LazyFrame: ...
    def coverage(self) -> pl.LazyFrame: ...
    def fixes(self) -> pl.DataFrame: ...
    def handlers(self) -> pl.DataFrame: ...

    # For the pass over all signals, day by day or on another engine.
    @property
    def spark(self) -> Any: ...
    def days(self, name: str) -> Mapping[str, pl.LazyFrame]: ...
    def parts(self, module: str) -> Any: ...
    def files(self, name: str) -> list[str]: ...
    def in_files(self, name: str, files: Sequence[str]) -> pl.LazyFrame: ...
    @property
    def version(self) -> str: ...
    def at(self, version: str) -> Evidence: ...


@dataclass(frozen=True, slots=True)
class Result:
    """One result table: how it is computed, and the instant that dates its rows.

    A result with a time is computed from all evidence and then cut to a window, so that an interaction
    that spans the border of the window is whole. One without is a statement about the window itself.
    """

    compute: Callable[[Evidence, Window | None], pl.LazyFrame]
    time: str | None = None
    reads: tuple[str, ...] = ("handlers",)
    """What it is computed from beside the tables: methods of the store, whose frames name its state."""
    is_kept: bool = True
    """Whether it is computed once per state of the data; one that keeps its own parts is not kept again."""


def _completions(store: Evidence, _: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import completed, linking, memory
    from flexkit.analyse.nameless import Nameless

    version = store.version

    def found() -> memory.Memory:
        held, names = store.at(version), store.handlers()

        def find(before: memory.Memory | None, changed: pl.LazyFrame | None) -> memory.Memory:
            told = _extracts(held)
            seen = completed.Sources(linking.prepared(held.table("signals")), told, Nameless.kept(told, held), names)
            twice = _judgements(store, version).lazy("judged").rename({"occurred_at": "second_at"})
            return completed.renewed(seen, twice, before, changed)

        return memory.renewed(
            held, completed.__name__, names.write_json(), find, still=lambda: store.handlers().equals(names)
        )

    return memory.served(found, lambda it: it.lazy("completions").select(*completed.COMPLETIONS), completed.COMPLETIONS)


def _duplicates(store: Evidence, _: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import causes, episodes, memory

    return memory.served(
        partial(_judgements, store, store.version), lambda it: causes.duplicates(it.lazy("judged")), episodes.DUPLICATES
    )


def _causes(store: Evidence, _: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import causes, memory

    return memory.served(
        partial(_judgements, store, store.version),
        lambda it: causes.table(it.lazy("judged"), it.lazy("strays")),
        causes.CAUSES,
    )


def _judgements(store: Evidence, version: str) -> memory.Memory:
    """What is found about duplicates in the state *version*."""
    from flexkit.analyse import memory, renewal
    from flexkit.analyse.affected import Overview
    from flexkit.analyse.nameless import Nameless

    held, names = store.at(version), store.handlers()
    settings = held.table("configuration").collect()

    def find(before: memory.Memory | None, changed: pl.LazyFrame | None) -> memory.Memory:
        seen = Overview.of(
            held.table("signals"), held.table("alerts"), names.lazy(), settings,
            told=_extracts(held), nameless=partial(Nameless.kept, store=held),
        )  # fmt: skip
        return renewal.judgements(seen, held.coverage().collect(), before, changed)

    by = names.write_json() + settings.write_json()
    return memory.renewed(held, renewal.__name__, by, find, still=lambda: store.handlers().equals(names))


def _extracts(store: Evidence) -> extracts.Extracts:
    from flexkit.analyse import extracts

    return extracts.kept(store.days("signals"), store.parts(extracts.__name__))


def _rates(store: Evidence, window: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import rates

    counts = rates.daily_counts(
        store.table("completions", window),
        store.table("duplicates", window),
        by=["channel_type"],
        coverage=store.coverage(),
        since=None if window is None else window.start,
        until=None if window is None else window.end,
    )
    return rates.rates_table(counts, unit="channel_type", fixes=store.fixes()).lazy()


def _effects(store: Evidence, window: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import effects

    fixes = store.fixes()
    counts = effects.counts_for_fixes(
        store.table("completions", window),
        store.table("duplicates", window),
        fixes,
        coverage=store.coverage(),
        since=None if window is None else window.start,
        until=None if window is None else window.end,
    )
    return effects.effects(counts, fixes).lazy()


def _daily(store: Evidence, window: Window | None) -> pl.LazyFrame:
    import polars as pl

    from flexkit.analyse import extracts, heavy_pass, increments

    def compute() -> pl.DataFrame:
        if store.spark is None:
            counts = increments.counts(store.days("signals"), store.parts(extracts.__name__))
            return heavy_pass.daily(counts, window)
        from flexkit.tables import spark

        rows = heavy_pass.answer(spark.frame(store.spark, store.files("signals"))).collect()
        counts = pl.DataFrame([tuple(row) for row in rows], schema=increments.COUNTS, orient="row")
        return heavy_pass.daily(counts, window)

    return pl.defer(compute, schema=heavy_pass.DAILY)


def _replay(store: Evidence, window: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import replay

    return replay.replay(
        store.table("signals"),
        store.table("alerts"),
        coverage=store.coverage(),
        handlers=store.handlers(),
        window=window,
    ).lazy()


def _changes(store: Evidence, window: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import replay

    found = replay.per_handler(store.table("signals"), store.table("alerts"), handlers=store.handlers(), window=window)
    return found.lazy()


def _predictions(store: Evidence, _: Window | None) -> pl.LazyFrame:
    from flexkit.analyse import replay

    return replay.predictions(
        store.table("signals"),
        store.table("alerts"),
        fixes=store.fixes(),
        coverage=store.coverage(),
        handlers=store.handlers(),
    ).lazy()


RESULTS: dict[str, Result] = {
    "completions": Result(_completions, "first_closed_at", is_kept=False),
    "duplicates": Result(_duplicates, "second_at", is_kept=False),
    "causes": Result(_causes, "occurred_at", is_kept=False),
    "rates": Result(_rates, reads=("handlers", "fixes")),
    "effects": Result(_effects, reads=("handlers", "fixes")),
    "replay": Result(_replay),
    "changes": Result(_changes),
    "predictions": Result(_predictions, reads=("handlers", "fixes")),
    "daily": Result(_daily, is_kept=False),
}
