"""Signals that name no interaction, and whose they are as other signals tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import linking
from flexkit.analyse.extracts import IS_WARNING
from flexkit.analyse.memory import Layer, Memory, renewed
from flexkit.tables.lookup import LINKS
from flexkit.terms import Source

if TYPE_CHECKING:
    from flexkit.analyse.extracts import Extracts
    from flexkit.analyse.memory import Evidence

_BARE = pl.all_horizontal(pl.col("interaction_sid", *LINKS).is_null())
_IS_STEP = pl.col("source") == Source.STUDIO


@dataclass(frozen=True, slots=True)
class Nameless:
    """Signals without an interaction, warnings left out, and the two ways in which others tell of theirs."""

    rows: pl.LazyFrame
    owners: pl.DataFrame
    """`LINKS` as they stand together, and the interaction that they lead to (``interaction_sid``, ``ikey``).

    ``is_direct``: signals that name one of them tell so.
    """
    runs: pl.DataFrame
    """Executions of Studio flows (``trigger_id``) some of whose steps name nothing else, and theirs.

    Twilio's lists of steps leave the context out that would name the conversation.
    """

    @classmethod
    def of(cls, extracts: Extracts, before: Memory | None = None, changed: pl.LazyFrame | None = None) -> Nameless:
        """Those among the signals that *extracts* are of; where they are few they are read once.

        *before* is what is `kept` of other signals, and *changed* are those that came since or went.
        """
        rows = linking.at_once(extracts.loose.filter(pl.col("interaction_sid").is_null(), ~IS_WARNING))
        parts = rows.filter(~_BARE).select("interaction_sid", *LINKS).unique().collect(engine="streaming")
        return cls(rows, *_told(rows, extracts, _owners(parts, extracts.links, before, changed)))

    @classmethod
    def kept(cls, extracts: Extracts, store: Evidence) -> Nameless:
        """`of` the signals of *store*, found once per state of the data."""

        def find(before: Memory | None, changed: pl.LazyFrame | None) -> Memory:
            now = cls.of(extracts, before, changed)
            frames = {"rows": now.rows, "owners": now.owners.lazy(), "runs": now.runs.lazy()}
            return Memory({}, {name: [Layer(rows)] for name, rows in frames.items()})

        found = renewed(store, __name__, "", find)
        return cls(linking.at_once(found.lazy("rows")), found.frame("owners"), found.frame("runs"))

    def owned(self, keys: pl.DataFrame | None = None) -> pl.LazyFrame:
        """Those that belong to an interaction (with ``ikey`` in *keys*, where given), which they then name."""
        owners, runs = self.owners, self.runs
        if keys is not None:
            owners, runs = (held.join(keys, on="ikey", how="semi") for held in (owners, runs))
        linked = _joined(self.rows, owners, LINKS)
        if runs.is_empty():
            return linked
        return pl.concat([linked, _joined(self.rows.filter(_BARE), runs, ["trigger_id"])])


def _owners(
    parts: pl.DataFrame, links: pl.LazyFrame, before: Memory | None, changed: pl.LazyFrame | None
) -> pl.DataFrame:
    """The ``owners`` of `Nameless`: of *parts* that nothing *changed* names, those of *before*."""
    still = []
    if before is not None and changed is not None:
        new = changed.filter(~IS_WARNING).select(LINKS).unique().collect(engine="streaming")
        is_same = (~pl.col(link).is_in(new[link].drop_nulls().implode(), nulls_equal=True) for link in LINKS)
        known = before.lazy("owners").filter("is_direct", *is_same).collect()
        still = [known.join(parts, on=LINKS, how="semi", nulls_equal=True)]
        parts = parts.join(known, on=LINKS, how="anti", nulls_equal=True)
    direct, found = linking.resolved_in_steps(parts, links)
    owners = found.with_columns(linking.key(), is_direct=direct["interaction_sid"].is_not_null())
    return pl.concat([owners.filter(pl.col("interaction_sid").is_not_null()), *still])


def _told(rows: pl.LazyFrame, extracts: Extracts, owners: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The ``owners`` and ``runs`` of `Nameless`."""
    steps = rows.filter(_BARE, _IS_STEP).select("trigger_id").drop_nulls().unique().collect(engine="streaming")
    if steps.is_empty():
        return owners, pl.DataFrame(schema=_RUNS)
    led = _joined(rows.filter(_IS_STEP), owners, LINKS).select(*_RUNS)
    runs = (
        pl.concat([extracts.runs.select(*_RUNS), led])
        .join(steps.lazy(), on="trigger_id", how="semi")
        .group_by("trigger_id")
        .agg(pl.col("interaction_sid", "ikey").first(), owners=pl.col("ikey").n_unique())
        .filter(pl.col("owners") == 1)
        .select(*_RUNS)
    )
    return owners, runs.collect(engine="streaming")


def _joined(rows: pl.LazyFrame, owners: pl.DataFrame, on: tuple[str, ...] | list[str]) -> pl.LazyFrame:
    names = rows.collect_schema().names()
    found = rows.drop("interaction_sid", "ikey").join(owners.lazy(), on=on, nulls_equal=on is LINKS)
    return found.select(names)


_RUNS = {"trigger_id": pl.String, "interaction_sid": pl.String, "ikey": pl.Int64}
