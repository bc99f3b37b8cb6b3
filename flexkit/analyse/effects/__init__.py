"""Effects: by how much a fix changed a rate, how sure that is, and what would settle it."""

from __future__ import annotations

from flexkit.analyse.effects.analysis import Analysis
from flexkit.analyse.effects.balancing import balancing_counts
from flexkit.analyse.effects.counterfactual import COUNTERFACTUAL, counterfactual
from flexkit.analyse.effects.evidence import counts_for_fixes
from flexkit.analyse.effects.model import estimate
from flexkit.analyse.effects.multiplicity import benjamini_hochberg
from flexkit.analyse.effects.options import Estimate
from flexkit.analyse.effects.panel import PanelEffect, did_2x2, synthetic_control
from flexkit.analyse.effects.table import EFFECTS, analyse_all, effects, effects_of
from flexkit.analyse.effects.verdict import FixVerdict

__all__ = [
    "COUNTERFACTUAL",
    "EFFECTS",
    "Analysis",
    "Estimate",
    "FixVerdict",
    "PanelEffect",
    "analyse_all",
    "balancing_counts",
    "benjamini_hochberg",
    "counterfactual",
    "counts_for_fixes",
    "did_2x2",
    "effects",
    "effects_of",
    "estimate",
    "synthetic_control",
]
