"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from flexkit.present import numbers


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0.00 %"), (0.0004, "0.040 %"), (0.0123, "1.23 %"), (0.123, "12.3 %"), (1.0, "100 %"), (math.nan, "–")],
)
def test_a_share_has_as_many_digits_as_it_needs(share: float, said: str) -> None:
    assert numbers.percent(share) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (3.0, "3"), (2.405, "2.4"), (13.84, "13.8"), (1234.5, "1,234"), (0.062, "0.062"), (1e-5, "1e-05"),
     (math.inf, "–")],
)  # fmt: skip
def test_a_number_shows_no_digit_that_says_nothing(value: float, said: str) -> None:
    assert numbers.number(value) == said


def test_a_rough_number_has_two_digits() -> None:
    assert [numbers.rough(value) for value in (5.59, 0.929, 123.0, 0.0)] == ["5.6", "0.93", "120", "0"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.375, "0.4 s"), (21, "21 s"), (59.6, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (97_200, "1 d 3 h"),
     (-75, "-1 min 15 s"), (math.nan, "–")],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds: float, said: str) -> None:
    assert numbers.duration(seconds) == said


def test_an_interval_names_its_unit_once() -> None:
    assert numbers.span(0.012, 0.029) == "1.20 to 2.90 %"
    assert numbers.span(2.33, 8.87, share=False) == "2.3 to 8.9"


def test_an_interval_that_is_not_known_is_a_dash() -> None:
    assert numbers.span(None, 1.0) == "–"
    assert numbers.span(math.nan, 1.0) == "–"


def test_counts_agree_with_their_noun() -> None:
    assert numbers.count(1, "interaction") == "1 interaction"
    assert numbers.count(20_341, "interaction") == "20,341 interactions"
    assert numbers.count(2, "fix", "fixes") == "2 fixes"


def test_lists_and_sentences_read_as_prose() -> None:
    assert numbers.listed(["a", "b", "c"]) == "a, b and c"
    assert numbers.listed(["a"]) == "a"
    assert numbers.listed([]) == ""
    assert numbers.sentence("so far none") == "So far none."
    assert numbers.sentence("really?") == "Really?"
    assert numbers.sentence(" ") == ""
