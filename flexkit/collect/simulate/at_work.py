"""Which mechanisms are at work in which interaction: what goes wrong, and what only looks as if it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flexkit.collect.simulate.arrivals import Interactions, Mode
from flexkit.collect.simulate.centre import CHANNEL_TYPES, Centre, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Marks = NDArray[np.bool_]

WHATSAPP = CHANNEL_TYPES.index("whatsapp")


@dataclass(frozen=True, slots=True)
class AtWork:
    """Which mechanisms are at work in which interaction.

    `one` to `four` are the four causes in the order of the contract, `mixed` adds a repeat to the third or
    fourth. `handled`, `refused`, `coordinated` and `race` only look like trouble.
    """

    one: Marks
    two: Marks
    three: Marks
    four: Marks
    mixed: Marks
    parked_wrongly: Marks
    handled: Marks
    refused: Marks
    coordinated: Marks
    race: Marks


def lucky(rng: np.random.Generator, count: int, share: float) -> Marks:
    """A draw for each of *count* interactions that hits *share* of them."""
    marks: Marks = rng.random(count) < share
    return marks


def draw_at_work(centre: Centre, these: Interactions, primary: NDArray[np.int8], rng: np.random.Generator) -> AtWork:
    """Draw the mechanisms; incidents hit repeated handling and terminal events. *primary* is who acts first."""
    count, mode = len(these), these.mode

    def luck(share: float) -> Marks:
        return lucky(rng, count, share)

    def active(eligible: Marks, share: float, weight: NDArray[np.float64]) -> Marks:
        """A draw that hits *share* of all interactions on average, within the eligible, by *weight*."""
        total = float(weight[eligible].sum())
        chance = np.clip(weight * (share * count / total if total else 0.0), 0.0, 0.9)
        marks: Marks = eligible & (rng.random(count) < chance)
        return marks

    one, two, three, four = (centre.rate * share for share in centre.cause_mix)
    stressed = these.factor * these.incident
    by_flow = np.where(these.flow == 0, 2.5, 1.0)
    by_channel = np.where(these.channel_type == WHATSAPP, 2.0, 1.0)
    has_four = active(mode == Mode.TERMINAL, four, stressed * by_flow)
    has_two = active(mode == Mode.BUTTON, two, these.factor)
    # Six in ten jobs that come upon a conversation that was cut off do not look before they close.
    wrongly = active(mode == Mode.PARK, three / 0.6, these.factor)
    has_three = wrongly & luck(0.6)
    free = ~(has_four | has_two | wrongly)
    retriable = np.isin(mode, (Mode.BUTTON, Mode.CUSTOMER, Mode.TERMINAL, Mode.JOB)) & free
    has_one = active(retriable, one, stressed * by_channel)
    plain = retriable & ~has_one
    handled = plain & luck(0.03 * centre.benign)
    refused = plain & ~handled & luck(0.01 * centre.benign)
    quiet: Marks = plain & ~handled & ~refused
    return AtWork(
        one=has_one,
        two=has_two,
        three=has_three,
        four=has_four,
        mixed=(has_four | has_three) & luck(centre.mixture),
        parked_wrongly=wrongly,
        handled=handled,
        refused=refused,
        coordinated=(primary == Role.OWNER) & quiet & luck(0.10 * centre.benign),
        race=(mode == Mode.BUTTON) & quiet & luck(0.004 * centre.benign),
    )
