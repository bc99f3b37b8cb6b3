"""The ``replay`` table: one row for every set of the four fix kinds, with all that a sentence needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse.replay.rerun import KINDS, SUBSETS, members
from flexkit.analyse.replay.status import Reason, ReplayStatus, judge, obstacles, uncovered
from flexkit.analyse.replay.tally import Z90, adopted, effect, in_sequence, shapley, side_effects, tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flexkit.analyse.replay.study import Study
    from flexkit.analyse.replay.tally import Estimate, SideEffects, Tally
    from flexkit.terms import FixKind

ASSUMPTIONS: dict[str, str] = {
    "others_unchanged": "The other handlers go on as they did; nobody reacts to the fix.",
    "stays_suppressed": "An attempt that the fix suppresses is not made again in another way.",
    "reads_are_right": "A status read is right as of the stated moments before the attempt.",
    "keys_are_shared": "All workers of a handler share one store of handled triggers.",
    "evidence_is_complete": "The logged sources are as complete as their coverage says.",
    "mix_recurs": "The future brings the same mix of attempts as this window.",
}
"""What every prediction takes for granted, by the names in its column ``assumptions``."""

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "fix_id": pl.String,
    "subset": pl.List(pl.String),
    "fix_count": pl.Int64,
    "scope": pl.String,
    "status": pl.String,
    "reasons": pl.List(pl.String),
    "effect": pl.String,
    "warnings_window": pl.Int64,
    "interactions_window": pl.Int64,
    "window_days": pl.Float64,
    "replayable_share": pl.Float64,
    "prevented": pl.Float64,
    "prevented_lo": pl.Float64,
    "prevented_hi": pl.Float64,
    "bound_lo": pl.Float64,
    "bound_hi": pl.Float64,
    "imputed": pl.Float64,
    "prevented_share": pl.Float64,
    "prevented_share_lo": pl.Float64,
    "prevented_share_hi": pl.Float64,
    "prevented_interactions": pl.Float64,
    "prevented_interactions_share": pl.Float64,
    "prevented_interactions_share_lo": pl.Float64,
    "prevented_interactions_share_hi": pl.Float64,
    "prevented_per_30d": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "prevented_per_week": pl.Float64,
    "prevented_per_week_lo": pl.Float64,
    "prevented_per_week_hi": pl.Float64,
    "unique_prevented": pl.Float64,
    "shapley": pl.Float64,
    "shapley_lo": pl.Float64,
    "shapley_hi": pl.Float64,
    "seq_rank": pl.Int64,
    "seq_marginal": pl.Float64,
    "premature_closes": pl.Int64,
    "prevented_premature_closes": pl.Float64,
    "orphans": pl.Float64,
    "legit_suppressed": pl.Float64,
    "adoption": pl.Float64,
    "delta_read": pl.Float64,
    "ttl": pl.Float64,
    "owner": pl.String,
    "assumptions": pl.List(pl.String),
}
"""The columns of the ``replay`` table, in order; `flexkit.analyse.replay.replay` says what they hold."""

_WEEK = 7 / 30


def table(
    study: Study,
    *,
    coverage: pl.DataFrame | None,
    scope: str,
    draws: int,
    replicates: int,
    seed: int,
    unseen: float | None = None,
) -> pl.DataFrame:
    """The table of *study*: single fixes first, then every set of two, three and four.

    *unseen* is the share of warnings that left no alert, by default as the attempts tell; with 1 the
    intervals are those of a share in the long run, not of the recorded warnings.
    """
    mix = adopted(study.terms.adoption)
    rng = np.random.default_rng(seed)
    span = (study.start_us, study.end_us)
    counts = tally(
        study.assessed, study.counted, mix, span=span, draws=draws,
        unseen=study.unseen_share if unseen is None else unseen,
        replicates=replicates, rng=rng,
    )  # fmt: skip
    sets = {subset: members(subset) for subset in sorted(range(1, SUBSETS), key=lambda one: (one.bit_count(), one))}
    effects = side_effects(study.readings, study.assessed, mix, span=span)
    obstacle = obstacles(study.readings, has_warnings=bool(study.counted.any()))
    missing = uncovered(coverage, study.recorded.seen, start_us=span[0], end_us=span[1])
    told = {
        subset: judge(kinds, obstacle, missing, float(counts.prevented.unknown[subset]) / max(counts.warnings, 1))
        for subset, kinds in sets.items()
    }
    known = [player for player in range(len(KINDS)) if not _is_blind(*told[1 << player])]
    alone = _singles(counts, known) if counts.warnings else {}
    rows = []
    for subset, kinds in sets.items():
        status, reasons = told[subset]
        rows.append(
            _named(study, kinds, scope)
            | {"status": status.value, "reasons": reasons, "effect": effect(subset)}
            | _numbers(counts, subset, status, reasons)
            | _side(effects, subset)
            | alone.get(subset, {})
        )
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))


def _named(study: Study, kinds: Sequence[FixKind], scope: str) -> dict[str, object]:
    terms = study.terms
    return {
        "fix_id": "+".join(kinds),
        "subset": [str(kind) for kind in kinds],
        "fix_count": len(kinds),
        "scope": scope,
        "adoption": float(np.mean([terms.adoption.get(kind, 1.0) for kind in kinds])),
        "delta_read": terms.delta_read.total_seconds(),
        "ttl": terms.ttl.total_seconds(),
        "owner": study.readings.owner,
        "assumptions": list(ASSUMPTIONS),
    }


def _numbers(counts: Tally, subset: int, status: ReplayStatus, reasons: Sequence[str]) -> dict[str, object]:
    """Counts, shares and rates of one subset; no point where there is none, no interval but the bounds where blind."""
    held: dict[str, object] = {
        "warnings_window": counts.warnings,
        "interactions_window": counts.interactions,
        "window_days": counts.days,
    }
    if counts.warnings == 0:
        return held
    total, groups = counts.warnings, counts.interactions
    scale = 30 / max(counts.days, 1 / 24)
    is_blind = _is_blind(status, reasons)
    value, low, high = _told(counts.prevented, subset, is_blind=is_blind)
    freed, freed_low, freed_high = _told(counts.freed, subset, is_blind=is_blind)
    ahead = (low * scale, high * scale) if is_blind else (counts.ahead_low[subset], counts.ahead_high[subset])
    point = value if status == ReplayStatus.POINT else None
    free = freed if status == ReplayStatus.POINT else None
    return held | {
        "replayable_share": counts.replayable_share,
        "prevented": point,
        "prevented_lo": low,
        "prevented_hi": high,
        "bound_lo": float(counts.prevented.bound_low[subset]),
        "bound_hi": float(counts.prevented.bound_high[subset]),
        "imputed": value,
        "prevented_share": None if point is None else point / total,
        "prevented_share_lo": low / total,
        "prevented_share_hi": high / total,
        "prevented_interactions": free,
        "prevented_interactions_share": None if free is None else free / groups,
        "prevented_interactions_share_lo": freed_low / groups,
        "prevented_interactions_share_hi": freed_high / groups,
        "prevented_per_30d": None if point is None else point * scale,
        "lo": float(ahead[0]),
        "hi": float(ahead[1]),
        "prevented_per_week": None if point is None else point * scale * _WEEK,
        "prevented_per_week_lo": float(ahead[0]) * _WEEK,
        "prevented_per_week_hi": float(ahead[1]) * _WEEK,
    }


def _told(estimate: Estimate, subset: int, *, is_blind: bool) -> tuple[float, float, float]:
    low, high = (estimate.bound_low, estimate.bound_high) if is_blind else (estimate.low, estimate.high)
    return float(estimate.value[subset]), float(low[subset]), float(high[subset])


def _side(effects: SideEffects, subset: int) -> dict[str, object]:
    return {
        "premature_closes": effects.premature,
        "prevented_premature_closes": float(effects.premature_prevented[subset]),
        "orphans": float(effects.orphans[subset]),
        "legit_suppressed": float(effects.legit_suppressed[subset]),
    }


def _is_blind(status: ReplayStatus, reasons: Sequence[str]) -> bool:
    """Whether only the bounds hold: a source is missing, or nothing at all is known."""
    return status == ReplayStatus.NOT_IDENTIFIABLE or Reason.SOURCE_NOT_COVERED in reasons


def _singles(counts: Tally, known: Sequence[int]) -> Mapping[int, dict[str, object]]:
    """What single fixes have: what nothing else prevents, the fair share, the place in the greedy order.

    Only *known* fixes play: what cannot be told can neither be ranked nor take a share from others.
    """
    games = range(1 << len(known))
    subsets = [sum(1 << player for bit, player in enumerate(known) if game >> bit & 1) for game in games]
    values, draws = counts.prevented.value[subsets], counts.noisy[:, subsets]
    fair, shares = shapley(values), shapley(draws)
    half = Z90 * shares.std(axis=0, ddof=1) if len(shares) > 1 else np.zeros(len(known))
    return {
        1 << known[bit]: {
            "unique_prevented": float(values[-1] - values[len(values) - 1 - (1 << bit)]),
            "shapley": float(fair[bit]),
            "shapley_lo": float(max(fair[bit] - half[bit], 0.0)),
            "shapley_hi": float(min(fair[bit] + half[bit], counts.warnings)),
            "seq_rank": rank,
            "seq_marginal": gain,
        }
        for rank, (bit, gain) in enumerate(in_sequence(values), start=1)
    }
