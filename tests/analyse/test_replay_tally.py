"""Counting: fair shares, orders, adoption, and intervals that widen with what is unknown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexkit.analyse.replay import shapley
from flexkit.analyse.replay.rerun import KINDS, SUBSETS
from flexkit.analyse.replay.tally import adopted, in_sequence


def test_the_airport_game_has_its_published_shares() -> None:
    # Littlechild and Owen (1973): runways of 8, 11, 13 and 18; a set needs its longest.
    lengths = (8, 11, 13, 18)
    values = [max((lengths[bit] for bit in range(4) if subset >> bit & 1), default=0) for subset in range(16)]

    assert shapley(np.array(values, dtype=float)) == pytest.approx([2, 3, 4, 9], abs=1e-9)


@given(st.lists(st.floats(-100, 100), min_size=16, max_size=16))
def test_shares_and_the_sequence_both_add_up_to_the_whole(values: list[float]) -> None:
    worth = np.array([0.0, *values[1:]])

    assert shapley(worth).sum() == pytest.approx(worth[-1], abs=1e-6)
    assert sum(gain for _, gain in in_sequence(worth)) == pytest.approx(worth[-1], abs=1e-6)


def test_the_sequence_takes_what_adds_most_and_the_first_of_equals() -> None:
    # Two fixes that prevent the same, and one that prevents the rest.
    values = np.array([0, 6, 6, 6, 4, 10, 10, 10], dtype=float)

    assert in_sequence(values) == [(0, 6.0), (2, 4.0), (1, 0.0)]


def test_shares_of_many_draws_are_those_of_each_draw() -> None:
    draws = np.random.default_rng(1).random((5, 16))

    assert shapley(draws)[3] == pytest.approx(shapley(draws[3]))


def test_full_adoption_mixes_nothing() -> None:
    assert adopted({}) == pytest.approx(np.eye(SUBSETS))


def test_partial_adoption_mixes_the_subsets_that_run() -> None:
    mix = adopted({KINDS[0]: 0.8, KINDS[1]: 0.5})

    assert mix.sum(axis=1) == pytest.approx(np.ones(SUBSETS))
    assert mix[3] == pytest.approx([0.1, 0.4, 0.1, 0.4] + [0] * 12)
