"""flexkit: how often Twilio Flex Interactions are completed twice (warning 80906), why, and whether a fix worked.

An analyst needs little more than::

    import flexkit as fk

    store = fk.open()                     # the data folder, or the embedded sample
    window = store.window("28d")          # the last 28 days that the data hold
    store.table("causes", window).collect()

Names below are loaded when they are first used, so importing flexkit costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexkit import analyse as analyse
    from flexkit import terms as terms
    from flexkit.analyse import causes as causes
    from flexkit.analyse import effects as effects
    from flexkit.analyse import episodes as episodes
    from flexkit.analyse import explain as explain
    from flexkit.analyse import quality as quality
    from flexkit.analyse import rates as rates
    from flexkit.analyse import replay as replay
    from flexkit.analyse import standout as standout
    from flexkit.analyse import tallies as tallies
    from flexkit.analyse import timeline as timeline
    from flexkit.locate import open_store as open  # noqa: A004 - the contract's name
    from flexkit.present import charts as charts
    from flexkit.present import frames as frames
    from flexkit.present import words as words
    from flexkit.present.figure import figure as figure
    from flexkit.present.table import table as table
    from flexkit.window import Window as Window

__version__ = "0.1.0"

_LAZY = {
    "Window": "flexkit.window:Window",
    "analyse": "flexkit.analyse",
    "causes": "flexkit.analyse.causes",
    "charts": "flexkit.present.charts",
    "effects": "flexkit.analyse.effects",
    "episodes": "flexkit.analyse.episodes",
    "explain": "flexkit.analyse.explain",
    "figure": "flexkit.present.figure:figure",
    "frames": "flexkit.present.frames",
    "open": "flexkit.locate:open_store",
    "quality": "flexkit.analyse.quality",
    "rates": "flexkit.analyse.rates",
    "replay": "flexkit.analyse.replay",
    "standout": "flexkit.analyse.standout",
    "table": "flexkit.present.table:table",
    "tallies": "flexkit.analyse.tallies",
    "terms": "flexkit.terms",
    "timeline": "flexkit.analyse.timeline",
    "words": "flexkit.present.words",
}

__all__ = [
    "Window",
    "__version__",
    "analyse",
    "causes",
    "charts",
    "effects",
    "episodes",
    "explain",
    "figure",
    "frames",
    "open",
    "quality",
    "rates",
    "replay",
    "standout",
    "table",
    "tallies",
    "terms",
    "timeline",
    "words",
]


def __getattr__(name: str) -> Any:
    if (target := _LAZY.get(name)) is None:
        msg = f"module 'flexkit' has no attribute {name!r}"
        raise AttributeError(msg)
    module, _, attribute = target.partition(":")
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
