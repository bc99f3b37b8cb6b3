"""Several fixes in one report: false discoveries, and shrinking estimates that look too good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Floats

MIN_SHRUNKEN = 3


def benjamini_hochberg(p_values: Floats) -> Floats:
    """q values (Benjamini, Hochberg 1995), in the order given; NaN stays NaN and does not count."""
    values = np.asarray(p_values, dtype=np.float64)
    known = np.isfinite(values)
    adjusted = np.full(len(values), np.nan)
    count = int(known.sum())
    if not count:
        return adjusted
    order = np.argsort(values[known])
    ranked = values[known][order] * count / np.arange(1, count + 1)
    monotone = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    back = np.empty(count)
    back[order] = monotone
    adjusted[known] = back
    return adjusted


def shrink(log_rr: Floats, error: Floats) -> Floats:
    """Estimates drawn towards their common mean (normal-normal, DerSimonian-Laird), against the winner's curse.

    NaN unless at least three are known.
    """
    known = np.isfinite(log_rr) & np.isfinite(error) & (error > 0)
    shrunken = np.full(len(log_rr), np.nan)
    if known.sum() < MIN_SHRUNKEN:
        return shrunken
    value, variance = log_rr[known], np.square(error[known])
    weight = 1 / variance
    mean = (weight * value).sum() / weight.sum()
    spread = (weight * np.square(value - mean)).sum()
    between = max(0.0, (spread - (len(value) - 1)) / (weight.sum() - np.square(weight).sum() / weight.sum()))
    outer = 1 / (variance + between)
    centre = (outer * value).sum() / outer.sum()
    shrunken[known] = centre + between / (between + variance) * (value - centre)
    return shrunken
