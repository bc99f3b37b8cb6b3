"""The counterfactual pass equals a literal, chronological simulation of the same rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.analyse.replay.rerun import (
    CHECK,
    IDEMPOTENT,
    NEVER,
    OWNER,
    PARTICIPANT,
    SUBSETS,
    Attempts,
    members,
    run,
)

SECOND = 1_000_000
DELTA = 800_000
TTL = 3600 * SECOND


@dataclass(frozen=True)
class Row:
    """One attempt of the literal world."""

    at: float
    key: int = -1
    is_warned: bool = False
    is_guarded: bool = False
    is_removal: bool = False
    is_stray: bool = False
    scope: int = SUBSETS - 1
    stretch: int = 0


def literal(rows: list[Row], subset: int, *, delta: int = DELTA, ttl: int = TTL) -> tuple[list[bool], int]:
    """Warnings that remain, and how many stretches close: the rules, one attempt after another."""
    closed_at: dict[int, int] = {}
    executed: dict[int, int] = {}
    remaining = []
    for row in rows:
        at = int(row.at * SECOND)
        active = row.scope & subset
        closed = closed_at.get(row.stretch)
        warns = False
        is_repeat = row.key in executed and at - executed[row.key] <= ttl
        dropped = bool((active & OWNER and row.is_stray) or (active & IDEMPOTENT and is_repeat))
        if not dropped:
            # The key is taken before the status is read, as an idempotent handler must.
            if row.key >= 0 and not row.is_guarded and row.scope & IDEMPOTENT:
                executed[row.key] = at
            stale = closed is not None and closed < at - delta
            dropped = bool(active & CHECK and stale) or (row.is_guarded and closed is not None)
        if not dropped and not (active & PARTICIPANT and row.is_removal):
            if closed is None:
                closed_at[row.stretch] = at
            else:
                warns = row.is_warned
        if row.is_warned:
            remaining.append(warns)
    return remaining, len(closed_at)


def attempts(worlds: list[list[Row]]) -> Attempts:
    """Several interactions as the arrays of the pass."""
    rows = [(number, row) for number, world in enumerate(worlds) for row in world]
    frame = pl.DataFrame(
        {
            "stretch": [1000 * number + row.stretch for number, row in rows],
            "interaction": [number for number, _ in rows],
            "at": [int(row.at * SECOND) for _, row in rows],
            "key": [row.key for _, row in rows],
            "is_warned": [row.is_warned for _, row in rows],
            "is_guarded": [row.is_guarded for _, row in rows],
            "is_removal": [row.is_removal for _, row in rows],
            "is_stray": [row.is_stray for _, row in rows],
            "scope": [row.scope for _, row in rows],
        },
        schema={
            "stretch": pl.Int64,
            "interaction": pl.Int64,
            "at": pl.Int64,
            "key": pl.Int64,
            "is_warned": pl.Boolean,
            "is_guarded": pl.Boolean,
            "is_removal": pl.Boolean,
            "is_stray": pl.Boolean,
            "scope": pl.UInt8,
        },
    )
    return Attempts.from_frame(frame)


def remaining(*rows: Row) -> list[set[str]]:
    """For each warning of one interaction, the single fix kinds under which it still comes."""
    found = run(attempts([list(rows)]), ttl_us=TTL).remains(DELTA)
    return [{members(kind)[0].value for kind in (1, 2, 4, 8) if line[kind]} for line in found]


def test_the_four_fixes_each_prevent_their_own_mechanism() -> None:
    retry = remaining(Row(0, key=1), Row(15, key=1, is_warned=True))
    direct = remaining(Row(0, key=1), Row(4.5, key=2, is_warned=True))
    removal = remaining(Row(0, is_removal=True), Row(4800, is_warned=True))
    terminal = remaining(Row(0), Row(2, is_warned=True, is_stray=True))

    assert retry == [{"close_participant", "single_terminal_owner"}]
    assert direct == [{"idempotent_handling", "close_participant", "single_terminal_owner"}]
    assert removal == [{"idempotent_handling", "single_terminal_owner"}]
    assert terminal == [{"idempotent_handling", "close_participant"}]


@pytest.mark.parametrize("gap", [0.5, 0.8])
def test_a_race_faster_than_the_status_read_survives_the_check(gap: float) -> None:
    (left,) = remaining(Row(0), Row(gap, is_warned=True))

    assert "check_status_first" in left


def test_an_attempt_after_the_status_was_read_as_closed_does_not() -> None:
    (left,) = remaining(Row(0), Row(0.800001, is_warned=True))

    assert "check_status_first" not in left


def test_a_key_is_forgotten_after_its_time_to_live_and_is_not_kept_alive_by_what_it_silenced() -> None:
    first, second = remaining(Row(0, key=1), Row(2400, key=1, is_warned=True), Row(4200, key=1, is_warned=True))

    assert "idempotent_handling" not in first
    assert "idempotent_handling" in second


def test_dropping_a_stray_first_closer_lets_the_owner_close_without_a_warning() -> None:
    (left,) = remaining(Row(0, is_stray=True), Row(2, is_warned=True))

    assert "single_terminal_owner" not in left


def test_removing_the_wrong_close_can_uncover_a_race_that_the_check_misses() -> None:
    rows = [Row(0, is_removal=True), Row(4800, is_warned=True), Row(4800.5, is_warned=True)]

    found = run(attempts([rows]), ttl_us=TTL).remains(DELTA)

    assert found[:, CHECK].tolist() == [False, False]
    assert found[:, CHECK | PARTICIPANT].tolist() == [False, True]


def test_no_attempts_give_no_outcomes() -> None:
    outcome = run(attempts([]), ttl_us=TTL)

    assert outcome.remains(DELTA).shape == (0, SUBSETS)
    assert outcome.closer.shape == (0, SUBSETS // 2)


def rows_of_a_world() -> st.SearchStrategy[list[Row]]:
    row = st.builds(
        Row,
        at=st.sampled_from([0, 0.3, 0.8, 0.9, 5, 60, 1800, 3600, 3601, 5400, 7200, 7300]),
        key=st.integers(-1, 2),
        is_warned=st.booleans(),
        is_guarded=st.booleans(),
        is_removal=st.booleans(),
        is_stray=st.booleans(),
        scope=st.sampled_from([0, 1, 2, 3, 4, 8, 12, 15, 15, 15]),
        stretch=st.integers(0, 1),
    ).map(lambda row: Row(**{**row.__dict__, "is_warned": row.is_warned and not row.is_guarded}))
    return st.lists(row, max_size=7).map(one_scope_for_each_key)


def one_scope_for_each_key(rows: list[Row]) -> list[Row]:
    """A key belongs to one handler, and a fix reaches a handler wholly or not at all."""
    scopes = {row.key: row.scope for row in rows}
    rows = [Row(**{**row.__dict__, "scope": scopes[row.key] if row.key >= 0 else row.scope}) for row in rows]
    return sorted(rows, key=lambda row: (row.stretch, row.at))


@settings(max_examples=400, deadline=None)
@given(st.lists(rows_of_a_world(), max_size=4))
def test_every_subset_equals_the_literal_simulation(worlds: list[list[Row]]) -> None:
    outcome = run(attempts(worlds), ttl_us=TTL)
    found = outcome.remains(DELTA)

    for subset in range(SUBSETS):
        expected = [literal(world, subset) for world in worlds]
        assert found[:, subset].tolist() == [warns for lines, _ in expected for warns in lines]
        closed = int((outcome.closer[:, subset // 2] != NEVER).sum())
        assert closed == sum(count for _, count in expected)


def test_fixes_limited_to_some_attempts_leave_the_others_alone() -> None:
    world = attempts([[Row(0), Row(5, is_warned=True), Row(9, is_warned=True)]])

    limited = run(world.narrowed(np.array([False, True, False])), ttl_us=TTL).remains(DELTA)

    assert limited[:, CHECK].tolist() == [False, True]
