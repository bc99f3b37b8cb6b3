"""Fixes as the estimates need them: checked, on the contact centre's own days, with what each reaches."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flexkit.analyse.rates.calendar import check_zone
from flexkit.errors import SchemaError, UsageError
from flexkit.terms import Cause, FixKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

EPOCH = dt.date(1970, 1, 1)
DEFAULT_TARGET = 0.8

ADDRESSES: Mapping[FixKind, tuple[Cause, ...]] = {
    FixKind.CHECK_STATUS_FIRST: (
        Cause.DUPLICATE_PROCESSING,
        Cause.CHANNEL_CLOSED_DIRECTLY,
        Cause.CLOSED_INSTEAD_OF_PARTICIPANT,
        Cause.UNCOORDINATED_TERMINAL,
    ),
    FixKind.IDEMPOTENT_HANDLING: (Cause.DUPLICATE_PROCESSING,),
    FixKind.CLOSE_PARTICIPANT: (Cause.CLOSED_INSTEAD_OF_PARTICIPANT,),
    FixKind.SINGLE_TERMINAL_OWNER: (Cause.UNCOORDINATED_TERMINAL,),
}
"""The causes that a kind of fix is meant to remove; the others are its built-in negative control."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One fix. `day` is the local day that it came, `settled` the first whole day after its ramp (days since 1970)."""

    fix_id: str
    title: str
    kind: FixKind
    deployed_at: dt.datetime
    day: int
    settled: int
    channel_types: frozenset[str]
    handlers: frozenset[str]
    triggered_by_spike: bool | None
    target_rr: float

    @property
    def washout(self) -> int:
        """Days that are left out: the day of the change, and those that its ramp touches."""
        return self.settled - self.day

    @property
    def scope(self) -> str:
        """What it reaches, in words."""
        parts = [", ".join(sorted(names)) for names in (self.channel_types, self.handlers) if names]
        return "; ".join(parts) or "all"


def parse_fixes(fixes: pl.DataFrame, *, tz: str) -> list[Fix]:
    """The fixes of a frame with `fix_id` (or `id`) and `deployed_at`, in order of time.

    Optional columns: title, kind, ramp_hours or rollout_end, channel_types, handlers, triggered_by_spike, target_rr.
    Raises `SchemaError` for absent columns, `UsageError` for instants without a zone, repeated ids and
    unknown kinds.
    """
    frame = fixes.rename({"id": "fix_id"}) if "id" in fixes.columns and "fix_id" not in fixes.columns else fixes
    if missing := [name for name in ("fix_id", "deployed_at") if name not in frame.columns]:
        msg = f"The fixes have no column {', '.join(missing)}. They have: {', '.join(frame.columns) or 'none'}."
        raise SchemaError(msg)
    zone = check_zone(tz)
    found: list[Fix] = []
    for row in frame.sort("deployed_at", "fix_id").iter_rows(named=True):
        deployed = _instant(row, "deployed_at")
        if row["fix_id"] in {fix.fix_id for fix in found}:
            msg = f"Two fixes have the id {row['fix_id']!r}. Give each its own."
            raise UsageError(msg)
        ends = deployed + dt.timedelta(hours=row.get("ramp_hours") or 0)
        if row.get("rollout_end") is not None:
            ends = _instant(row, "rollout_end")
        if ends < deployed:
            msg = f"Fix {row['fix_id']!r} is rolled out until {ends}, before it was deployed at {deployed}. Mend one."
            raise UsageError(msg)
        found.append(
            Fix(
                fix_id=str(row["fix_id"]),
                title=str(row.get("title") or row["fix_id"]),
                kind=_kind(row),
                deployed_at=deployed,
                day=(deployed.astimezone(zone).date() - EPOCH).days,
                settled=(ends.astimezone(zone).date() - EPOCH).days + 1,
                channel_types=frozenset(row.get("channel_types") or ()),
                handlers=frozenset(row.get("handlers") or ()),
                triggered_by_spike=row.get("triggered_by_spike"),
                target_rr=_target(row),
            )
        )
    return found


def _instant(row: dict[str, object], name: str) -> dt.datetime:
    given = row[name]
    if given is None:
        msg = f"Fix {row['fix_id']!r} has no {name}. Say when it came, with a time zone: 2026-10-14T09:00:00Z."
        raise UsageError(msg)
    if not isinstance(given, dt.datetime) or given.tzinfo is None:
        msg = f"Fix {row['fix_id']!r}: {name} {given} has no time zone, so it may be off by a day. Add one."
        raise UsageError(msg)
    return given


def _kind(row: dict[str, object]) -> FixKind:
    name = str(row.get("kind") or row.get("fix_kind") or FixKind.OTHER)
    if name not in list(FixKind):
        msg = f"Fix {row['fix_id']!r} has the unknown kind {name!r}. Use one of: {', '.join(FixKind)}."
        raise UsageError(msg)
    return FixKind(name)


def _target(row: dict[str, object]) -> float:
    value = row.get("target_rr")
    target = DEFAULT_TARGET if value is None else float(str(value))
    if not 0 < target < 1 or math.isnan(target):
        msg = f"Fix {row['fix_id']!r} has the target ratio {value}. It is between 0 and 1: 0.8 for a fall by 20 %."
        raise UsageError(msg)
    return target
