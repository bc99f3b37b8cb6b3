"""The evidence of interactions that may have been completed twice: from all signals to a few small frames."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import clocks, extracts, linking
from flexkit.analyse.abreast import both
from flexkit.analyse.attempts import attempts
from flexkit.analyse.extracts import IS_WARNING
from flexkit.analyse.handlers import named, no_map
from flexkit.analyse.heavy_pass import REPEATABLE, SKEW_US, places
from flexkit.analyse.nameless import Nameless
from flexkit.analyse.pairing import PAIRS, pairs
from flexkit.terms import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flexkit.analyse.extracts import Extracts

PIECE = 25_000
"""Interactions whose evidence is looked at together: some hundred megabytes."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What all signals tell that must be known before the evidence of some interactions is looked at."""

    signals: pl.LazyFrame
    """All of them (as `flexkit.analyse.linking.prepared` gives them)."""
    extracts: Extracts
    names: pl.DataFrame
    """The user's handler map."""
    configuration: pl.DataFrame | None
    nameless: Nameless
    warned: pl.DataFrame
    """Warnings of interactions, one row each."""
    strays: pl.DataFrame
    """Warnings about Proxy, and warnings that lead to no interaction: ``interaction_sid`` is null.

    ``is_bare``: events of the task that it names are held, but none of them says of which interaction.
    """
    habits: pl.DataFrame
    """For each handler that logs its intent, how often it ``said_end`` and ``said_removal``."""
    has_alerts: bool
    """Whether alerts were read at all, so that the absence of one means something."""

    @classmethod
    def of(
        cls,
        signals: pl.LazyFrame,
        alerts: pl.LazyFrame | None,
        handlers: pl.LazyFrame | None = None,
        configuration: pl.DataFrame | None = None,
        *,
        told: Extracts | None = None,
        nameless: Callable[[Extracts], Nameless] = Nameless.of,
    ) -> Overview:
        """Of all *signals*, of which *told* are the extracts, where they are known; *nameless* makes those of them.

        Handlers get the names and intents that the map *handlers* gives them; *configuration* tells which
        Studio widgets can close.
        """
        known = linking.prepared(signals)
        told = extracts.of(known) if told is None else told
        told = replace(told, loose=linking.at_once(told.loose))
        names = no_map() if handlers is None else handlers.collect()
        whose, (warned, strays) = both(partial(nameless, told), partial(_warnings, told, alerts))
        has_alerts = not (warned.is_empty() and strays.is_empty()) or (
            alerts is not None and not alerts.select("alert_sid").head(1).collect().is_empty()
        )
        return cls(
            known, told, names, configuration, whose, warned, strays, _habits(told.intents, names),
            has_alerts=has_alerts,
        )  # fmt: skip

    def keys(self, among: pl.DataFrame | None = None) -> pl.DataFrame:
        """Keys of the affected interactions (*among* some): warned, or with a request that went through again."""
        moments, owned, warned = self.extracts.moments, self.nameless.owned(among), self.warned
        if among is not None:
            moments, warned = linking.of_interactions(moments, among), warned.join(among, on="ikey", how="semi")
        late = pl.col("late_us") > pl.col("closed_us") + SKEW_US
        again = (
            moments.filter((pl.col("request_count") > 0) | pl.col("closed_us").is_not_null())
            .group_by("ikey")
            .agg(pl.col("request_count").sum(), pl.col("late_us").max(), pl.col("closed_us").min())
            .filter((pl.col("request_count") > 1) | late)
            .select("ikey")
        )
        asked = owned.filter(pl.col("ending").is_in(places(REPEATABLE))).select("ikey")
        found = pl.collect_all([again, asked], engine="streaming")
        return pl.concat([warned.select("ikey"), *found]).unique().sort("ikey")

    def has_others(self, keys: pl.LazyFrame) -> bool:
        """Whether an interaction is held that came to an end and is none of *keys*: what is normal can be told."""
        links = self.extracts.links
        # Most are others: some of them tell, else all.
        return any(
            not some.filter("has_ended", pl.col("ikey").is_not_null())
            .join(keys, on="ikey", how="anti")
            .head(1)
            .collect()
            .is_empty()
            for some in (links.head(999), links)
        )

    def evidence(self, keys: pl.DataFrame) -> pl.DataFrame:
        """All signals of the interactions with ``ikey`` in *keys*, warnings and parts included."""
        having = self.extracts.having
        if having is None:
            return self._evidence(linking.whole(self._others, keys), keys)
        return self._evidence(linking.of_interactions(having("links", keys).filter(~IS_WARNING), keys), keys)

    def pieces(self, keys: pl.DataFrame, folder: Path, *, size: int) -> Iterator[pl.DataFrame]:
        """`evidence` in pieces of about *size* interactions; signals are read once, and put aside in *folder*."""
        count = -(-keys.height // size)
        if count <= 1:
            yield self.evidence(keys)
            return
        piece = pl.col("ikey").reinterpret(signed=False) % count
        linking.of_interactions(self._others, keys).with_columns(piece=piece).sink_parquet(
            pl.PartitionBy(folder, key="piece", include_key=False), compression="lz4", mkdir=True
        )
        for number in range(count):
            if not (some := keys.filter(piece == number)).is_empty():
                files = sorted((folder / f"piece={number}").glob("*.parquet"))
                held = pl.scan_parquet(files, hive_partitioning=False) if files else self._others.limit(0)
                yield self._evidence(held, some)

    @property
    def _others(self) -> pl.LazyFrame:
        return self.signals.filter(~IS_WARNING)

    def _evidence(self, held: pl.LazyFrame, keys: pl.DataFrame) -> pl.DataFrame:
        # Together they would be read without the filter: of all rows forty columns.
        rows, owned = (some.collect(engine="streaming") for some in (held, self.nameless.owned(keys)))
        rows = pl.concat([rows, owned.select(rows.columns)]).with_columns(origin=pl.lit(None, dtype=pl.String))
        own = self.warned.join(keys, on="ikey", how="semi")
        return named(pl.concat([rows, own.select(rows.columns)]).lazy(), self.names).collect()


@dataclass(frozen=True, slots=True)
class Affected:
    """What is known about some of the interactions that may have been completed twice."""

    rows: pl.DataFrame
    """Every signal of theirs, warnings included (`flexkit.tables.schema.SIGNALS`, plus ``origin``)."""
    attempts: pl.DataFrame
    """Their attempts to complete (`flexkit.analyse.attempts.attempts`)."""
    pairs: pl.DataFrame
    """Their duplicates (`flexkit.analyse.pairing.pairs`)."""

    @classmethod
    def of(cls, seen: Overview, rows: pl.DataFrame, errors: clocks.Errors) -> Affected:
        """From *rows*, their evidence (`Overview.evidence`), with the *errors* of clocks taken off."""
        right = clocks.corrected(rows, errors)
        tried = attempts(right, seen.configuration)
        return cls(right, tried, pairs(right, tried, has_alerts=seen.has_alerts))


@dataclass(frozen=True, slots=True)
class Gathered:
    """Evidence put aside, in pieces, until all clocks can be held against each other."""

    seen: Overview
    keys: pl.DataFrame
    aside: Sequence[pl.DataFrame | Path]
    timed: pl.DataFrame
    """What tells of clocks (`flexkit.analyse.clocks.timed`)."""
    days: pl.DataFrame
    """The days whose clocks bear on them (`flexkit.analyse.clocks.days`)."""

    @classmethod
    def of(cls, seen: Overview, keys: pl.DataFrame, folder: Path, *, size: int | None = None) -> Gathered:
        """The evidence of *keys*; more than a piece of it lies in *folder*."""
        aside: list[pl.DataFrame | Path] = []
        timed, days = [], []
        for rows in seen.pieces(keys, folder, size=size or PIECE):
            timed.append(clocks.timed(rows))
            days.append(clocks.days(rows))
            aside.append(rows if keys.height <= (size or PIECE) else _put_aside(rows, folder / f"{len(aside)}.arrow"))
        return cls(seen, keys, aside, pl.concat(timed), pl.concat(days))

    def affected(self, errors: clocks.Errors) -> Iterator[Affected]:
        """What it tells, piece by piece, with the *errors* of clocks taken off."""
        for kept in self.aside:
            rows = kept if isinstance(kept, pl.DataFrame) else pl.read_ipc(kept)
            yield Affected.of(self.seen, rows, errors)


def pieces(seen: Overview, *, size: int | None = None) -> Iterator[Affected]:
    """All affected interactions in pieces of about *size* (`PIECE`); there is at least one piece.

    Memory stays bounded however many they are.
    """
    with tempfile.TemporaryDirectory(prefix="flexkit-") as folder:
        gathered = Gathered.of(seen, seen.keys(), Path(folder), size=size)
        yield from gathered.affected(clocks.errors(gathered.timed))


def evidence_of(signals: pl.LazyFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Every signal of the interactions with ``ikey`` in *keys*, those included that name only a part of it."""
    rows = linking.of_interactions(signals, keys).collect(engine="streaming")
    return pl.concat([rows, Nameless.of(extracts.of(signals)).owned(keys).select(rows.columns).collect()])


def cases(signals: pl.LazyFrame, alerts: pl.LazyFrame | None) -> pl.LazyFrame:
    """The duplicates (`pairs`) in *signals*, computed when the frame is collected and not before."""

    def compute() -> pl.DataFrame:
        found = pl.concat([piece.pairs for piece in pieces(Overview.of(signals, alerts))])
        return found.sort("interaction_sid", maintain_order=True)

    return pl.defer(compute, schema=PAIRS)


def _put_aside(rows: pl.DataFrame, path: Path) -> Path:
    rows.write_ipc(path, compression="lz4")
    return path


def _warnings(told: Extracts, alerts: pl.LazyFrame | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The warnings of interactions, and those that lead to none (`Overview`)."""
    found = linking.warnings(told.loose, alerts, links=told.links)
    is_proxy, has_one = pl.col("origin") == Origin.PROXY, pl.col("interaction_sid").is_not_null()
    strays = found.filter(is_proxy | ~has_one).with_columns(interaction_sid=pl.lit(None, dtype=pl.String))
    return linking.keyed(found.filter(~is_proxy, has_one)), _with_bare(strays, told.links)


def _with_bare(strays: pl.DataFrame, links: pl.LazyFrame) -> pl.DataFrame:
    """*strays* with ``is_bare``: Twilio gives the attributes that name the interaction for 30 days only."""
    named_ones = strays["task_sid"].drop_nulls().unique()
    held = (
        named_ones.to_frame()
        if named_ones.is_empty()
        else links.filter("is_routed", pl.col("task_sid").is_in(named_ones.implode()))
        .select("task_sid")
        .unique()
        .collect(engine="streaming")
    )
    return strays.join(held.with_columns(is_bare=pl.lit(value=True)), on="task_sid", how="left").with_columns(
        pl.col("is_bare").fill_null(value=False)
    )


def _habits(intents: pl.LazyFrame, names: pl.DataFrame) -> pl.DataFrame:
    """What each handler says that it means, over all its requests to close a channel."""
    said = named(intents, names).drop_nulls("handler")
    return said.group_by("handler").agg(pl.col("said_end", "said_removal").sum()).collect()
