"""What each fix would have prevented: the recorded evidence replayed under every set of the four fix kinds.

Every recorded attempt is asked again what it would have done with a fix in place, and whether its
warning would still have come. What the evidence does not settle is carried along as an interval.
"""

from __future__ import annotations

from flexkit.analyse.replay.answers import outcomes, ranking, replay
from flexkit.analyse.replay.by_handler import per_handler
from flexkit.analyse.replay.readings import Reach
from flexkit.analyse.replay.status import Reason, ReplayStatus
from flexkit.analyse.replay.study import DELTA_READ, TTL, Recorded, recorded
from flexkit.analyse.replay.table import ASSUMPTIONS, SCHEMA
from flexkit.analyse.replay.tally import shapley
from flexkit.analyse.replay.verify import calibration, predictions

__all__ = [
    "ASSUMPTIONS",
    "DELTA_READ",
    "SCHEMA",
    "TTL",
    "Reach",
    "Reason",
    "Recorded",
    "ReplayStatus",
    "calibration",
    "outcomes",
    "per_handler",
    "predictions",
    "ranking",
    "recorded",
    "replay",
    "shapley",
]
