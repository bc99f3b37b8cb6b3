"""How much more than chance a series varies, and how long its deviations last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flexkit.analyse.rates.series import Booleans, Floats, Integers


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Over-dispersion `phi`, autocorrelation `rho`, variance inflation `vif`, effective degrees of freedom `df`."""

    phi: float
    rho: float
    vif: float
    df: float


def lag_one(residuals: Floats, index: Integers, segment: Integers | Booleans | None = None) -> float:
    """Autocorrelation of *residuals* between neighbouring buckets of one segment; pairs across a gap are left out."""
    neighbours = np.diff(index) == 1
    if segment is not None:
        neighbours &= segment[1:] == segment[:-1]
    total = float(np.square(residuals).sum())
    if total <= 0:
        return 0.0
    return float((residuals[1:] * residuals[:-1])[neighbours].sum()) / total


def share_dispersion(events: Floats, exposure: Floats, index: Integers, *, binomial: bool) -> Dispersion:
    """Dispersion of counts around one common rate: for a rate over a window, without a model.

    `df` is that of the rate's interval: buckets over `vif`, less one, at least two.
    """
    size = len(events)
    rate = float(events.sum() / exposure.sum()) if size and exposure.sum() > 0 else 0.0
    variance = exposure * rate * (1 - rate if binomial else 1.0)
    if size < 2 or rate <= 0 or (binomial and rate >= 1):
        return Dispersion(1.0, 0.0, 1.0, float(max(size - 1, 2)))
    residuals = (events - exposure * rate) / np.sqrt(variance)
    phi = max(1.0, float(np.square(residuals).sum()) / (size - 1))
    rho = 0.0
    if phi > 1:
        # The estimate of an autocorrelation from few days is too small; (1 + 4 r) / n is its bias.
        first = lag_one(residuals, index)
        rho = float(np.clip(first + (1 + 4 * first) / size, 0.0, 0.9))
    vif = (1 + rho) / (1 - rho)
    return Dispersion(phi, rho, vif, max(size / vif - 1, 2.0))


def model_dispersion(
    residuals: Floats, index: Integers, segment: Integers | Booleans, parameters: int, *, floor: float = 1.0
) -> Dispersion:
    """Dispersion of the Pearson *residuals* of a fitted model with that many *parameters*."""
    size = len(residuals)
    spare = size - parameters
    phi = max(floor, float(np.square(residuals).sum()) / spare) if spare > 0 else 1.0
    first = lag_one(residuals, index, segment)
    rho = float(np.clip(first + (1 + 4 * first) / size + 0.5 * parameters / size, 0.0, 0.95)) if size else 0.0
    vif = (1 + rho) / (1 - rho)
    return Dispersion(phi, rho, vif, max(size / vif - 3, 2.0))
