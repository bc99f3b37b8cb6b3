"""Intervals: published limits, and answers that say nothing where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flexkit.analyse import rates
from flexkit.analyse.rates.intervals import KINDS, bounds
from flexkit.errors import UsageError


@pytest.mark.parametrize(
    ("events", "exposure", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_newcombe_1998(events: int, exposure: int, low: float, high: float) -> None:
    assert rates.interval(events, exposure) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "expected"), [((56, 70, 48, 80), (0.0524, 0.3339)), ((10, 10, 0, 10), (0.6075, 1.0))]
)
def test_difference_agrees_with_newcombe_1998(counts: tuple[int, int, int, int], expected: tuple[float, float]) -> None:
    assert rates.difference_interval(*counts) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("events", "low", "high"), [(0, 0, 3.6889), (1, 0.0253, 5.5716), (5, 1.6235, 11.6683), (10, 4.7954, 18.3904)]
)
def test_exact_poisson_agrees_with_garwood(events: int, low: float, high: float) -> None:
    assert rates.interval(events, 1, kind="poisson_exact") == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("kind", "method"), [("wilson", "wilson"), ("jeffreys", "jeffreys"), ("beta", "beta")])
@pytest.mark.parametrize(("events", "exposure"), [(1, 10), (7, 19), (50, 1000)])
def test_shares_agree_with_statsmodels(kind: str, method: str, events: int, exposure: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(events, exposure, method=method)

    assert rates.interval(events, exposure, kind=kind) == pytest.approx(expected, abs=1e-12)


def test_counts_per_exposure_scale_with_the_exposure() -> None:
    low, high = rates.interval(5, 10, kind="poisson_exact")

    assert (low * 10, high * 10) == pytest.approx(rates.interval(5, 1, kind="poisson_exact"))


@pytest.mark.parametrize("kind", KINDS)
def test_without_exposure_nothing_is_known(kind: str) -> None:
    low, high = rates.interval(0, 0, kind=kind)

    assert low == 0
    assert high == (math.inf if kind == "poisson_exact" else 1)


def test_zero_of_something_is_never_zero_percent() -> None:
    assert all(rates.interval(0, 312, kind=kind)[1] > 0.005 for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_count_gives_a_missing_interval(kind: str) -> None:
    assert all(math.isnan(bound) for bound in rates.interval(math.nan, 10, kind=kind))


@pytest.mark.parametrize(
    ("events", "exposure", "options", "words"),
    [
        (-1, 10, {}, "at least zero"),
        (1, -10, {}, "at least zero"),
        (11, 10, {}, "more events than exposure"),
        (1, 10, {"level": 95}, "between 0 and 1"),
        (1, 10, {"kind": "wald"}, "Use one of"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(
    events: float, exposure: float, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        rates.interval(events, exposure, **options)


def test_more_warnings_than_interactions_are_fine_as_counts() -> None:
    low, high = rates.interval(12, 10, kind="poisson_exact")

    assert low < 1.2 < high


def test_a_difference_without_exposure_is_open() -> None:
    assert rates.difference_interval(1, 10, 0, 0) == (-1.0, 1.0)


def test_many_intervals_at_once_equal_one_by_one() -> None:
    events, exposure = np.array([0.0, 3.0, 10.0]), np.array([5.0, 20.0, 10.0])
    for kind in ("wilson", "jeffreys", "beta"):
        low, high = bounds(events, exposure, kind=kind)
        singly = [rates.interval(x, n, kind=kind) for x, n in zip(events, exposure, strict=True)]
        assert np.allclose(np.column_stack([low, high]), singly)
