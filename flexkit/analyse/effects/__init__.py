"""Effects: by how much a fix changed a rate, how sure that is, and what would settle it."""

from __future__ import annotations

from flexkit.analyse.effects.model import estimate
from flexkit.analyse.effects.options import Estimate

__all__ = ["Estimate", "estimate"]
