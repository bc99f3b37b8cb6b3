"""The verdict on one fix, by rules in a fixed order: the first that holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from flexkit.analyse.effects.quality import VOLUME_BAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.analyse.effects.balancing import Balance
    from flexkit.analyse.effects.looks import Look
    from flexkit.analyse.effects.options import Estimate

MAX_Q = 0.10
MAX_PLACEBO_RANK = 0.10
MIN_PLACEBOS = 9
IMMATERIAL = (0.8, 1.25)
MIN_DAYS_AFTER = 14


class FixVerdict(StrEnum):
    """What can be said about a fix, in the order in which the rules are tried."""

    CANNOT_TELL_DATA = "cannot_tell_data"
    NOT_SEPARABLE = "not_separable"
    TOO_EARLY = "too_early"
    HELPED = "helped"
    HARMED = "harmed"
    NO_MATERIAL_CHANGE = "no_material_change"
    UNCLEAR = "unclear"


DECIDED = frozenset({FixVerdict.HELPED, FixVerdict.HARMED, FixVerdict.NO_MATERIAL_CHANGE})


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that the verdict on one fix depends on; *estimate* is that of the look."""

    estimate: Estimate
    look: Look | None
    q_value: float
    placebo_rank: float
    placebo_count: int
    is_bundle: bool
    target_rr: float
    is_last_look: bool
    blocking: Sequence[str] = field(default_factory=tuple)
    counts_only: bool = False
    balances: Sequence[Balance] = field(default_factory=tuple)


def decide(case: Case) -> tuple[FixVerdict, list[str]]:
    """The verdict and the reasons for it, as codes."""
    worse = [f"worse:{balance.measure}" for balance in case.balances if balance.is_worse]
    found = case.estimate
    if case.blocking:
        return FixVerdict.CANNOT_TELL_DATA, [*case.blocking, *worse]
    if case.is_bundle:
        return FixVerdict.NOT_SEPARABLE, ["bundled", *worse]
    if early := _too_little(case):
        return early[0], [*early[1], *worse]
    crossed = found["p_value"] <= (case.look.p_value if case.look is not None else 0.0)
    if worse:
        return FixVerdict.HARMED, worse
    if not crossed and not case.is_last_look and _sees_less_than(found["mde"], case.target_rr):
        return FixVerdict.TOO_EARLY, ["boundary_not_crossed"]
    return _by_interval(case, crossed=crossed)


def _too_little(case: Case) -> tuple[FixVerdict, list[str]] | None:
    """The verdict where there is too little data for any, and why; None where there is enough."""
    found = case.estimate
    impossible = {"change_before_data", "change_after_data", "no_data_before", "no_data_after", "no_events"}
    reasons = [flag for flag in found["flags"] if flag in impossible]
    if found["model"] == "undecided" and reasons:
        return _without_data(reasons)
    if case.look is None or found["buckets_after"] < MIN_DAYS_AFTER:
        return FixVerdict.TOO_EARLY, ["too_few_days_after"]
    if found["model"] == "undecided" or "too_few_before" in found["flags"]:
        return FixVerdict.CANNOT_TELL_DATA, [flag for flag in found["flags"] if flag != "undecided"]
    return None


def _without_data(reasons: list[str]) -> tuple[FixVerdict, list[str]]:
    early = {"change_after_data", "no_data_after"}
    if set(reasons) & early and "change_before_data" not in reasons:
        return FixVerdict.TOO_EARLY, reasons
    return FixVerdict.CANNOT_TELL_DATA, reasons


def _sees_less_than(mde: float, target: float) -> bool:
    """Whether an effect of *target* is smaller than what the data could show."""
    return math.isnan(mde) or mde < target


def _by_interval(case: Case, *, crossed: bool) -> tuple[FixVerdict, list[str]]:
    found = case.estimate
    low, high = found["rr_low"], found["rr_high"]
    if case.counts_only:
        # Counts may have fallen because there was less to count.
        low, high = low / VOLUME_BAND[1], high / VOLUME_BAND[0]
    discovered = math.isnan(case.q_value) or case.q_value <= MAX_Q
    placebo_agrees = (
        case.placebo_count < MIN_PLACEBOS or math.isnan(case.placebo_rank) or case.placebo_rank <= MAX_PLACEBO_RANK
    )
    if crossed and high < 1:
        if discovered and placebo_agrees:
            return FixVerdict.HELPED, []
        return FixVerdict.UNCLEAR, ["placebo_dates_as_large" if discovered else "not_after_multiplicity"]
    if crossed and low > 1 and discovered:
        return FixVerdict.HARMED, ["rate_rose"]
    if low >= IMMATERIAL[0] and high <= IMMATERIAL[1]:
        return FixVerdict.NO_MATERIAL_CHANGE, []
    reasons = ["boundary_not_crossed"] if not crossed else ["volume_may_explain_it"] if case.counts_only else []
    return FixVerdict.UNCLEAR, reasons
