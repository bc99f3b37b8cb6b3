"""A fix as the simulated centre deploys it: what changes, when, for whom, and how completely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.centre import CHANNEL_TYPES, HOUR, Role
from flexkit.terms import FixKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

TITLES: dict[FixKind, str] = {
    FixKind.CHECK_STATUS_FIRST: "Read the channel's status before closing it",
    FixKind.IDEMPOTENT_HANDLING: "Handle each trigger once",
    FixKind.CLOSE_PARTICIPANT: "Close the participant, not the channel, when only the agent leaves",
    FixKind.SINGLE_TERMINAL_OWNER: "One owner for terminal task events",
}

FOUR: tuple[FixKind, ...] = tuple(TITLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One fix: its kind, its place in the window (0 to 1), the roles and channel types it reaches.

    *adoption* is the share of attempts that run the new code once the ramp has ended; None for *roles* or
    *channel_types* means all.
    """

    fix_id: str
    kind: FixKind
    at: float
    ramp_hours: float = 6.0
    adoption: float = 0.95
    roles: tuple[Role, ...] | None = None
    channel_types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A deployment in a world: its instant in microseconds since 1970 UTC."""

    deployment: Deployment
    at_us: int


def reach(
    deployed: Deployed,
    *,
    served: NDArray[np.int64],
    role: NDArray[np.int8],
    channel_type: NDArray[np.int8],
    luck: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which attempts run the new code: linear ramp, then *adoption*, within the fix's scope."""
    fix = deployed.deployment
    ramp = max(fix.ramp_hours * HOUR, 1.0)
    share = np.clip((served - deployed.at_us) / ramp, 0.0, 1.0) * fix.adoption
    within = luck < share
    if fix.roles is not None:
        within &= np.isin(role, fix.roles)
    if fix.channel_types is not None:
        within &= np.isin(channel_type, [CHANNEL_TYPES.index(name) for name in fix.channel_types])
    return within


def fixes_toml(deployed: Iterable[Deployed], names: Mapping[Role, str]) -> str:
    """The text of ``fixes.toml`` for these deployments."""
    blocks = ["# What was deployed, when, and for whom. Times are UTC.\n"]
    for each in deployed:
        fix = each.deployment
        instant = np.datetime64(each.at_us // 1_000_000, "s")
        lines = [
            "[[fix]]",
            f'id = "{fix.fix_id}"',
            f'title = "{TITLES[fix.kind]}"',
            f'kind = "{fix.kind}"',
            f"deployed_at = {instant}Z",
            f"ramp_hours = {fix.ramp_hours:g}",
        ]
        if fix.channel_types is not None:
            lines.append(f"channel_types = [{', '.join(repr(name) for name in fix.channel_types)}]".replace("'", '"'))
        if fix.roles is not None:
            lines.append(f"handlers = [{', '.join(repr(names[role]) for role in fix.roles)}]".replace("'", '"'))
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)
