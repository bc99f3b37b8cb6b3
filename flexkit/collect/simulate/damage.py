"""How evidence is damaged, as knobs; `degrade` applies them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.terms import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How the evidence is damaged. Shares are 0 to 1; the default damages nothing.

    `outages` are spans as shares of the window. `skew` is the standard deviation, in seconds, of each
    own clock's error (the completion log's and the webhook receiver's); `drift` is seconds a day on top.
    `truncated` sources write whole seconds. `naive` is the share of a source's records without a time
    zone. `max_rows` and `rest_days` are how much Twilio's REST lists give; `retention_days` cuts all.
    """

    loss: Mapping[Source, float] = field(default_factory=dict)
    missing: frozenset[Source] = frozenset()
    outages: Mapping[Source, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    duplicates: float = 0.0
    late: float = 0.0
    skew: float = 0.0
    drift: float = 0.0
    truncated: frozenset[Source] = frozenset()
    missing_key: float = 0.0
    missing_actor: float = 0.0
    naive: Mapping[Source, float] = field(default_factory=dict)
    max_rows: int = 10_000
    rest_days: int = 30
    retention_days: int | None = None
