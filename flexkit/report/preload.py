"""What notebooks use, imported by a kernel while the report's own tools are being loaded beside it."""

from __future__ import annotations

import flexkit.analyse.causes
import flexkit.analyse.effects
import flexkit.analyse.rates
import flexkit.analyse.replay
import flexkit.locate
import flexkit.present.charts
import flexkit.present.figure
import flexkit.present.words
import flexkit.tables.store  # noqa: F401 - importing them is all that this module is for
