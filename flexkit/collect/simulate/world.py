"""What truly happens in a simulated contact centre: the one value that everything else is derived from."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.arrivals import Calendar, Interactions, draw_calendar, draw_interactions
from flexkit.collect.simulate.centre import Centre, draw_centre
from flexkit.collect.simulate.fixes import Deployed, reach
from flexkit.collect.simulate.mechanisms import Plan, draw_attempts
from flexkit.collect.simulate.scenarios import Scenario, scenario
from flexkit.collect.simulate.server import DELTA_READ, TTL, Resolution, Truth, resolve, truth_of
from flexkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from flexkit.collect.simulate.attempts import Attempts
    from flexkit.terms import FixKind

LAST_DAY = dt.date(2026, 11, 15)


@dataclass(frozen=True, slots=True)
class World:
    """A centre over a window: its interactions, every attempt to complete them, and what the server did.

    `fixed` marks, for each kind of fix that the centre deployed, the attempts that ran its code.
    """

    seed: int
    name: str
    scenario: Scenario
    centre: Centre
    calendar: Calendar
    interactions: Interactions
    attempts: Attempts
    plan: Plan
    deployed: tuple[Deployed, ...]
    fixed: Mapping[FixKind, NDArray[np.bool_]]
    resolution: Resolution

    @property
    def start(self) -> int:
        """First instant of the window, microseconds since 1970 UTC."""
        return self.calendar.start

    @property
    def end(self) -> int:
        """End of the window, exclusive."""
        return self.calendar.end


def build(
    *,
    interactions: int,
    days: int,
    seed: int,
    name: str = "clean",
    traits: Mapping[str, object] | None = None,
    last_day: dt.date = LAST_DAY,
) -> World:
    """A world of *interactions* over *days* local days; *name* is its scenario, *traits* override its centre.

    The same arguments give the same world, to the last random number.
    """
    if interactions < 1 or days < 1:
        msg = f"A centre needs at least one interaction and one day; got {interactions} and {days}."
        raise UsageError(msg)
    chosen = scenario(name)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    centre = chosen.shape(draw_centre(streams[0])).but(**(traits or {}))
    calendar = draw_calendar(centre, streams[1], days=days, last_day=last_day)
    these = draw_interactions(centre, calendar, streams[2], count=interactions)
    attempts, plan = draw_attempts(centre, these, streams[3], end=calendar.end)
    span = calendar.end - calendar.start
    deployed = tuple(
        # To the minute, as people write it down.
        Deployed(deployment=fix, at_us=calendar.start + round(fix.at * span / 60_000_000) * 60_000_000)
        for fix in chosen.deployments
    )
    fixed = _fixed(attempts, these, deployed)
    resolution = resolve(attempts, fixed, interactions=interactions, delta_read=centre.delta_read)
    return World(seed, name, chosen, centre, calendar, these, attempts, plan, deployed, fixed, resolution)


def _fixed(attempts: Attempts, these: Interactions, deployed: Iterable[Deployed]) -> dict[FixKind, NDArray[np.bool_]]:
    fixed: dict[FixKind, NDArray[np.bool_]] = {}
    for each in deployed:
        reached = reach(
            each, served=attempts.served, role=attempts.role, luck=attempts.luck,
            channel_type=these.channel_type[attempts.interaction],
        )  # fmt: skip
        kind = each.deployment.kind
        fixed[kind] = fixed[kind] | reached if kind in fixed else reached
    return fixed


def warnings(
    world: World, fixes: frozenset[FixKind] = frozenset(), *, delta_read: float = DELTA_READ, ttl: float = TTL
) -> Truth:
    """What would have happened with *fixes* in place everywhere and always, on the same random numbers.

    Fixes that the centre itself deployed stay as they are. With no fixes this is the recorded world.
    """
    everywhere = np.ones(len(world.attempts), dtype=np.bool_)
    fixed = {**world.fixed, **dict.fromkeys(fixes, everywhere)}
    now = resolve(world.attempts, fixed, interactions=len(world.interactions), delta_read=delta_read, ttl=ttl)
    return truth_of(world.attempts, now, world.resolution, fixes)
