"""What a notebook decided, as one value: shown as a bold sentence, read by reports as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from flexkit.present.numbers import joined
from flexkit.terms import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_MIME = "application/vnd.flexkit.run+json"
"""What a report takes into run.json; it parses no page."""

LABELS: dict[str, str] = {
    Verdict.OK: "OK",
    Verdict.BREACH: "Threshold breached",
    Verdict.UNDECIDED: "Cannot tell",
    Verdict.FAILED: "Failed",
}
UNTESTED = "Answered"
"""What an answer is called that is held against no threshold: “OK” would promise a test that nobody asked for."""


def label(verdict: str, *, is_tested: bool = True) -> str:
    """A verdict as pages and logs call it."""
    return LABELS[verdict] if is_tested or verdict != Verdict.OK else UNTESTED


@dataclass(frozen=True, slots=True)
class Tile:
    """One number that a reader looks for first: its name, its text, and what it is out of."""

    label: str
    text: str
    note: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON takes it."""
        return {"label": self.label, "text": self.text, "note": self.note}


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, the sentence that says it, what to do next, and its numbers with their denominators.

    *is_tested* says whether a threshold or a target was applied: without one, ok means no more than "answered".
    """

    verdict: Verdict
    headline: str
    action: str = ""
    tiles: tuple[Tile, ...] = ()
    metrics: Mapping[str, float | int | None] = field(default_factory=dict)
    is_tested: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: numbers that are not finite become null."""
        return {
            "verdict": str(self.verdict),
            "is_tested": self.is_tested,
            "headline": self.headline,
            "action": self.action,
            "tiles": [tile.to_dict() for tile in self.tiles],
            "metrics": {name: _finite(value) for name, value in self.metrics.items()},
        }

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {RUN_MIME: self.to_dict(), "text/html": self._html(), "text/plain": self._text()}

    def _html(self) -> str:
        action = f"<p>{escape(self.action)}</p>" if self.action else ""
        tiles = "".join(
            f"<li>{escape(tile.label)}: <strong>{escape(tile.text)}</strong> {escape(tile.note)}</li>"
            for tile in self.tiles
        )
        verdict = label(self.verdict, is_tested=self.is_tested)
        return joined(f"<p><strong>{verdict}: {escape(self.headline)}</strong></p>{action}<ul>{tiles}</ul>")

    def _text(self) -> str:
        return f"{label(self.verdict, is_tested=self.is_tested)}: {self.headline} {self.action}".rstrip()


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a notebook worked on: the window, the exact data, and what of each source was held."""

    window: tuple[str, str]
    data_version: str
    coverage: tuple[Mapping[str, Any], ...]
    sentence: str
    newest: str = ""

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        fields = {
            "window": {"start": self.window[0], "end": self.window[1]},
            "data_version": self.data_version,
            "coverage": [dict(row) for row in self.coverage],
            "quality": self.sentence,
            "newest": self.newest,
        }
        return {RUN_MIME: fields, "text/html": f"<p>{escape(self.sentence)}</p>", "text/plain": self.sentence}


def _finite(value: float | int | None) -> float | int | None:
    return value if value is not None and math.isfinite(value) else None
