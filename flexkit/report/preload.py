"""What notebooks use, imported by a kernel while the report's own tools are being loaded beside it."""

from __future__ import annotations

import gc
from importlib import import_module

_USED = (
    "flexkit.analyse.causes",
    "flexkit.analyse.effects",
    "flexkit.analyse.rates",
    "flexkit.analyse.replay",
    "flexkit.locate",
    "flexkit.present.charts",
    "flexkit.present.figure",
    "flexkit.present.words",
    "flexkit.tables.store",
)


def load() -> None:
    """Import it all, and leave the checking of charts to Vega, which draws each of them a moment later."""
    # What imports make stays: looking for garbage among it costs a tenth of their time.
    gc.disable()
    try:
        for name in _USED:
            import_module(name)
        # Altair would check each part of a chart when it is made, and the whole again when it is shown.
        import_module("altair.utils.schemapi").disable_debug_mode()
        gc.freeze()
    finally:
        gc.enable()
