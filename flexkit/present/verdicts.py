"""What the verdicts on fixes, their reasons and their flags are called on a page."""

from __future__ import annotations

VERDICTS = {
    "helped": "helped",
    "harmed": "made it worse",
    "no_material_change": "no change that matters",
    "too_early": "too early to tell",
    "cannot_tell_data": "the data cannot tell",
    "not_separable": "cannot be told from its neighbour",
    "unclear": "unclear",
}
REASONS = {
    "too_few_days_after": "fewer than 14 days have passed",
    "boundary_not_crossed": "the difference is not beyond what a first look may show by chance",
    "too_few_before": "fewer than 28 usable days stand before it",
    "gaps_dropped": "days with gaps were left out",
    "change_before_data": "it came before the data begin",
    "change_after_data": "it came after the data end",
    "no_data_before": "no day is held before it",
    "no_data_after": "no whole day is held after it",
    "no_events": "there is no duplicate to compare",
    "scope_not_seen": "no channel type or handler that it reaches is in the data: check its names",
    "coverage_fell": "what is held fell by more than ten points",
    "logging_changed": "logging changed in the same weeks",
    "warnings_vanished": "warnings vanished while duplicates stayed: the logging may have changed",
    "truncated": "evidence was cut off",
    "bundled": "another fix came too close to it",
    "placebo_dates_as_large": "dates without any change show steps as large",
    "not_after_multiplicity": "it does not hold up among all fixes tested",
    "volume_may_explain_it": "fewer interactions may explain it",
    "rate_rose": "the share rose",
    "worse:left_open": "more interactions are left open",
    "worse:left_wrapping": "more tasks are left wrapping up",
    "worse:recontact": "more customers come back",
}


def verdict_label(verdict: str) -> str:
    """A verdict on a fix as a page calls it."""
    return VERDICTS.get(verdict, verdict.replace("_", " "))


def reason_label(reason: str) -> str:
    """A reason for a verdict, as part of a sentence."""
    return REASONS.get(reason, reason.replace("_", " "))
