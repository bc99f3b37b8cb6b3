"""Effects: by how much a fix changed a rate, how sure that is, and what would settle it."""

from __future__ import annotations

from flexkit.analyse.effects.balancing import balancing_counts
from flexkit.analyse.effects.model import estimate
from flexkit.analyse.effects.multiplicity import benjamini_hochberg
from flexkit.analyse.effects.options import Estimate
from flexkit.analyse.effects.table import EFFECTS, analyse_all, effects
from flexkit.analyse.effects.verdict import FixVerdict

__all__ = [
    "EFFECTS",
    "Estimate",
    "FixVerdict",
    "analyse_all",
    "balancing_counts",
    "benjamini_hochberg",
    "effects",
    "estimate",
]
