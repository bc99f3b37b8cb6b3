"""What the simulated server decides, against a literal reading of the rules, one attempt after the other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from flexkit.collect.simulate import World, build, warnings
from flexkit.collect.simulate.attempts import Attempts, Operation
from flexkit.collect.simulate.centre import SECOND, TERMINAL_ROLES, Role
from flexkit.collect.simulate.fixes import FOUR
from flexkit.collect.simulate.server import NEVER, Fate, Resolution, resolve
from flexkit.terms import FixKind

ALL_SUBSETS = [frozenset(some) for size in range(len(FOUR) + 1) for some in combinations(FOUR, size)]


def attempts_at(*seconds: float, **columns: object) -> Attempts:
    """Attempts of one interaction that arrive at *seconds*; each is another trigger unless told otherwise."""
    count = len(seconds)
    given: dict[str, object] = {
        "interaction": 0, "role": Role.END_BUTTON, "operation": Operation.CLOSE_CHANNEL, "feed": 1,
        "trigger": list(range(count)), "try_number": 1, "cause": 0, "removes_agent": False, "guarded": False,
        "deduped": False, "refused": 0, "silent": False, "reply_lost": False, "luck": 0.0,
    } | columns  # fmt: skip
    served = np.array([round(at * SECOND) for at in seconds])
    arrays = {name: np.broadcast_to(np.asarray(value), (count,)) for name, value in given.items()}
    return Attempts(sent=served, served=served, **arrays)  # type: ignore[arg-type]


def fates(attempts: Attempts, *fixes: FixKind, ttl: float = 3600.0) -> list[Fate]:
    everywhere = np.ones(len(attempts), dtype=bool)
    resolved = resolve(attempts, dict.fromkeys(fixes, everywhere), interactions=1, ttl=ttl)
    return [Fate(fate) for fate in resolved.fate]


def test_a_completion_on_a_closed_channel_is_warned_about() -> None:
    assert fates(attempts_at(0, 5, 9)) == [Fate.COMPLETED, Fate.WARNED, Fate.WARNED]


def test_a_refused_request_completes_nothing_and_its_retry_does() -> None:
    tries = attempts_at(0, 5, trigger=[7, 7], refused=[503, 0])

    assert fates(tries) == [Fate.REFUSED, Fate.COMPLETED]
    assert fates(tries, FixKind.IDEMPOTENT_HANDLING) == [Fate.REFUSED, Fate.COMPLETED]


def test_the_loser_of_a_race_that_was_told_it_succeeded_is_not_warned_about() -> None:
    assert fates(attempts_at(0, 0.02, silent=True)) == [Fate.COMPLETED, Fate.SILENT]


def test_closing_only_the_participant_leaves_the_channel_open() -> None:
    park = attempts_at(0, 60, operation=[Operation.CLOSE_PARTICIPANT, Operation.CLOSE_CHANNEL])

    assert fates(park) == [Fate.PARTICIPANT_ONLY, Fate.COMPLETED]


def test_a_check_just_before_the_request_misses_a_close_in_between() -> None:
    close_in_between = attempts_at(0, 0.7, 0.9)

    assert fates(close_in_between, FixKind.CHECK_STATUS_FIRST) == [Fate.COMPLETED, Fate.WARNED, Fate.SAW_CLOSED]


def test_a_trigger_is_forgotten_after_its_time_to_live() -> None:
    tries = attempts_at(0, 9, 11, trigger=[3, 3, 3])

    assert fates(tries, FixKind.IDEMPOTENT_HANDLING, ttl=10.0) == [Fate.COMPLETED, Fate.SEEN_BEFORE, Fate.WARNED]


def test_removing_the_agent_closes_the_participant_once_that_is_fixed() -> None:
    parked = attempts_at(0, 3600, removes_agent=[True, False])

    assert fates(parked) == [Fate.COMPLETED, Fate.WARNED]
    assert fates(parked, FixKind.CLOSE_PARTICIPANT) == [Fate.PARTICIPANT_ONLY, Fate.COMPLETED]


def test_only_the_owner_acts_on_terminal_events_once_there_is_one() -> None:
    listeners = attempts_at(0, 1, 2, role=[Role.STUDIO, Role.OWNER, Role.SWEEPER])

    assert fates(listeners, FixKind.SINGLE_TERMINAL_OWNER) == [Fate.NOT_SENT, Fate.COMPLETED, Fate.NOT_SENT]


def literally(world: World, fixes: frozenset[FixKind]) -> Resolution:
    """The rules once more, as loops over interactions and their attempts."""
    a = world.attempts
    fate = np.zeros(len(a), dtype=np.int8)
    closer = np.full(len(world.interactions), -1)
    closed_at = np.full(len(world.interactions), NEVER)

    def has(kind: FixKind, k: int) -> bool:
        return kind in fixes or (kind in world.fixed and bool(world.fixed[kind][k]))

    seen: dict[int, int] = {}
    for k in range(len(a)):
        i = a.interaction[k]
        leaves = a.removes_agent[k] and has(FixKind.CLOSE_PARTICIPANT, k)
        rival = a.role[k] in TERMINAL_ROLES and a.role[k] != Role.OWNER
        remembers = a.deduped[k] or has(FixKind.IDEMPOTENT_HANDLING, k)
        recently = a.trigger[k] in seen and a.served[k] - seen[a.trigger[k]] <= 3600 * SECOND
        if rival and has(FixKind.SINGLE_TERMINAL_OWNER, k):
            fate[k] = Fate.NOT_SENT
        elif a.refused[k]:
            fate[k] = Fate.REFUSED
        elif leaves or a.operation[k] == Operation.CLOSE_PARTICIPANT:
            fate[k] = Fate.PARTICIPANT_ONLY
        elif remembers and recently:
            fate[k] = Fate.SEEN_BEFORE
        else:
            seen[a.trigger[k]] = a.served[k]
            sees = a.guarded[k] or has(FixKind.CHECK_STATUS_FIRST, k)
            if closer[i] < 0:
                closer[i], closed_at[i] = k, a.served[k]
            elif sees and a.served[k] - closed_at[i] > 0.8 * SECOND:
                fate[k] = Fate.SAW_CLOSED
            else:
                fate[k] = Fate.SILENT if a.silent[k] else Fate.WARNED
    return Resolution(fate, closer, closed_at)


@pytest.mark.parametrize("name", ["random", "sample"])
def test_every_subset_of_fixes_gives_what_the_rules_say(name: str) -> None:
    world = build(interactions=4_000, days=40, seed=17, name=name)

    for fixes in ALL_SUBSETS:
        expected, found = literally(world, fixes), warnings(world, fixes)
        assert (found.warned == expected.warned).all(), fixes
        assert found.completed == (expected.closer >= 0).sum()
        assert found.orphans == ((world.resolution.closer >= 0) & (expected.closer < 0)).sum()


def test_the_recorded_world_is_the_one_without_further_fixes() -> None:
    world = build(interactions=3_000, days=42, seed=5, name="sample")

    assert (warnings(world).warned == world.resolution.warned).all()
    assert warnings(world).orphans == 0


def test_each_fix_removes_what_it_is_meant_to_remove() -> None:
    world = build(interactions=20_000, days=42, seed=8, name="breach")
    by_cause = {
        kind: np.bincount(world.attempts.cause[warnings(world, frozenset({kind})).warned], minlength=4) for kind in FOUR
    }
    now = np.bincount(world.attempts.cause[world.resolution.warned], minlength=4)

    assert (now > 50).all()
    assert by_cause[FixKind.IDEMPOTENT_HANDLING][0] < 0.1 * now[0]
    assert (by_cause[FixKind.IDEMPOTENT_HANDLING][1:] == now[1:]).all()
    assert by_cause[FixKind.CLOSE_PARTICIPANT][2] == 0
    assert by_cause[FixKind.SINGLE_TERMINAL_OWNER][3] == 0
    assert by_cause[FixKind.CHECK_STATUS_FIRST].sum() < 0.2 * now.sum()
    assert warnings(world, frozenset({FixKind.CLOSE_PARTICIPANT})).premature_closes == 0
    assert warnings(world, frozenset({FixKind.CHECK_STATUS_FIRST})).premature_closes == warnings(world).premature_closes
