"""Sentences about causes, replay and evidence: the known before the unknown, and what to do next."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from flexkit.analyse import tallies
from flexkit.analyse.replay import SCHEMA
from flexkit.analyse.trusting import Trust
from flexkit.present import frames, words
from flexkit.terms import Cause, Verdict
from flexkit.window import Window

WINDOW = Window(dt.datetime(2026, 9, 24, tzinfo=dt.UTC), dt.datetime(2026, 10, 22, tzinfo=dt.UTC))
C1, C2, UNKNOWN = Cause.DUPLICATE_PROCESSING, Cause.CHANNEL_CLOSED_DIRECTLY, Cause.UNDETERMINED


def causes(*rows: tuple[str, str | None]) -> pl.DataFrame:
    """Rows of the causes table, from cause and second handler."""
    return pl.DataFrame(
        [
            {"interaction_sid": f"KD{at:032x}", "occurred_at": WINDOW.start + dt.timedelta(hours=at), "cause": cause,
             "status": "confirmed", "missing": ["source_not_collected"] if cause == UNKNOWN else [],
             "first_handler": "close-fn", "second_handler": handler, "gap_seconds": 2.0 + at}
            for at, (cause, handler) in enumerate(rows)
        ],
        schema={"interaction_sid": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "cause": pl.String,
                "status": pl.String, "missing": pl.List(pl.String), "first_handler": pl.String,
                "second_handler": pl.String, "gap_seconds": pl.Float64},
    )  # fmt: skip


def answered(*rows: tuple[str, str | None], completed: int = 1000) -> Any:
    found = causes(*rows)
    return words.causes(tallies.by_cause(found), tallies.by_handlers(found), completed=completed, window=WINDOW)


def test_no_evidence_is_no_answer() -> None:
    assert answered(completed=0).verdict == Verdict.UNDECIDED


def test_no_duplicate_needs_no_cause() -> None:
    answer = answered()

    assert answer.verdict == Verdict.OK
    assert answer.headline.startswith("No duplicate among 1,000 completed interactions")


def test_nothing_known_names_no_cause() -> None:
    answer = answered((UNKNOWN, None), (UNKNOWN, None))

    assert answer.verdict == Verdict.UNDECIDED
    assert answer.headline == "Cannot tell why: none of 2 duplicates has a known cause."


def test_the_most_frequent_known_cause_names_its_automation_and_fix() -> None:
    answer = answered((C1, "sweeper"), (C1, "sweeper"), (C2, "crm"), (UNKNOWN, None))

    assert answer.verdict == Verdict.OK
    assert "“Same event processed twice”: 2 of 4 duplicates (50.0 %)" in answer.headline
    assert answer.action == (
        "Start with sweeper, which completed again in 2 of them, most often after close-fn: handle each event once."
    )


def test_a_close_that_came_too_early_is_changed_at_who_closed_not_at_the_agent_after_it() -> None:
    instead = Cause.CLOSED_INSTEAD_OF_PARTICIPANT
    answer = answered((instead, "agent (Flex)"), (instead, "agent (Flex)"), (C1, "sweeper"))

    assert answer.action.startswith("Start with close-fn, which closed first in 2 of them, most often before agent")


def test_with_too_little_known_the_order_is_left_open() -> None:
    answer = answered((C1, "sweeper"), *[(UNKNOWN, None)] * 9)

    assert answer.verdict == Verdict.UNDECIDED
    assert "More than half have no known cause yet" in answer.action


def test_alerts_about_proxy_are_counted_apart() -> None:
    found = causes((C1, "sweeper"), (Cause.PROXY_ORIGIN, None))

    said = words.pareto(tallies.by_cause(found), window=WINDOW, proxies=1)

    assert said.subtitle.endswith("n = 1 duplicate")
    assert "1 further alert is about Proxy" in said.caption


def test_what_is_missing_comes_with_the_cheapest_step() -> None:
    found = causes((UNKNOWN, None), (C1, "x"))

    said = words.missing(frames.named_missing(tallies.open_questions(found)), undetermined=1, window=WINDOW)

    assert said.title == "A source is not collected: 1 of 1 undetermined duplicate"
    assert "flexkit fetch" in said.caption


def test_the_gap_is_told_by_its_median() -> None:
    assert words.gap_times(causes((C1, "x"), (C1, "x"), (C1, "x")), window=WINDOW).title == "Half come within 3.0 s"
    assert words.gap_times(causes(), window=WINDOW).title == "No gap is known"


def test_a_handler_that_nobody_names_is_unknown() -> None:
    found = tallies.by_handlers(causes((UNKNOWN, None), (UNKNOWN, None), (C1, "close-fn")))

    said = words.by_handler(frames.pairs(found), window=WINDOW)

    assert said.title == "Most often close-fn, twice: 1 of 3 duplicates"
    assert "close-fn, then unknown 2" in said.alt


@pytest.mark.parametrize("say", [words.pareto, words.by_handler])
def test_nothing_has_words_too(say: Any) -> None:
    empty = tallies.by_cause(causes()) if say is words.pareto else frames.pairs(tallies.by_handlers(causes()))

    assert say(empty, window=WINDOW).title


def replayed(**changes: Any) -> pl.DataFrame:
    row: dict[str, Any] = dict.fromkeys(SCHEMA) | {
        "fix_id": "check_status_first", "fix_count": 1, "status": "point", "reasons": [], "warnings_window": 26,
        "window_days": 28.0, "prevented": 22.0, "prevented_share": 0.85, "prevented_per_week": 5.5,
        "prevented_per_week_lo": 2.33, "prevented_per_week_hi": 8.87, "bound_lo": 20.0, "bound_hi": 24.0,
        "prevented_premature_closes": 0.0, "seq_rank": 1, "seq_marginal": 22.0, "delta_read": 0.8, "ttl": 3600.0,
    }  # fmt: skip
    return pl.DataFrame([row | changes], schema=SCHEMA)


def test_the_first_fix_is_one_sentence_with_what_it_would_save() -> None:
    assert words.first_fix(replayed()) == (
        "Do first: check the status before closing, which would prevent about 5.5 warnings a week "
        "(90 % interval 2.3 to 8.9), 85.0 % of all."
    )


def test_without_identifiable_fixes_the_reason_stands_there() -> None:
    blind = replayed(prevented=None, prevented_per_week=None, status="not_identifiable", reasons=["no_attempts"])

    assert words.first_fix(blind) == (
        "Which fix to do first cannot be told: no attempt of an affected interaction is recorded."
    )
    assert words.first_fix(replayed(warnings_window=0)).startswith("There is no warning to replay")


def test_fixes_that_prevent_nothing_are_no_step() -> None:
    assert words.in_order(replayed(seq_marginal=0.0), window=WINDOW).title == "No fix would prevent a warning"
    assert words.in_order(replayed(), window=WINDOW).title == "1 fix leaves about 1 a week"


def trust() -> Trust:
    return Trust(
        sources=pl.DataFrame(),
        shortfalls=pl.DataFrame(),
        lateness=pl.DataFrame({"what": ["Alerts written down"], "p95_seconds": [3.0]}),
        rejects=pl.DataFrame({"reason": ["no SID", "no time zone"], "count": [1, 2]}),
    )


def test_incomplete_sources_are_named_with_their_days() -> None:
    days = pl.DataFrame({"source": ["studio", "studio", "debugger", "debugger"],
                         "date": [WINDOW.start.date(), WINDOW.start.date() + dt.timedelta(days=1)] * 2,
                         "state": ["complete", "gap", "complete", "complete"], "rows": [3, 0, 1, 1]})  # fmt: skip

    said = words.coverage(days, window=WINDOW)
    stands_on = words.provenance(days, window=WINDOW, version="1:2", newest=WINDOW.end, trust=trust())

    assert said.title == "Incomplete: Studio on 1 of 2 days"
    assert stands_on.sentence == (
        "Days held completely: Studio 50.0 % and Debugger alerts 100 %. Alerts written down: 95 % within 3.0 s. "
        "3 records did not fit and were set aside, most often because: No time zone."
    )
    assert stands_on.newest == "22 Oct 2026, 00:00 UTC"


def test_no_source_at_all_is_said() -> None:
    nothing = pl.DataFrame(schema={"source": pl.String, "date": pl.Date, "state": pl.String, "rows": pl.Int64})

    assert words.coverage(nothing, window=WINDOW).title == "No source is held"
    assert words.provenance(nothing, window=WINDOW, version="1:n", newest=None).sentence.startswith("No source is held")


def test_the_same_evidence_in_another_order_gives_the_same_tables_and_words() -> None:
    found = causes(*[(cause, handler) for cause in (C1, C2, UNKNOWN) for handler in ("a-fn", "b-fn", None)])

    def told(rows: pl.DataFrame) -> list[Any]:
        counts, handlers = tallies.by_cause(rows), tallies.by_handlers(rows)
        tables = [counts, handlers, tallies.per_day(rows, window=WINDOW), tallies.gaps(rows)]
        said = words.causes(counts, handlers, completed=99, window=WINDOW)
        return [*(table.write_json() for table in tables), said.headline, said.action]

    shuffled = [told(found.sample(fraction=1.0, shuffle=True, seed=seed)) for seed in range(5)]

    assert shuffled == [told(found)] * 5


def test_where_nothing_is_held_no_figure_is_explained() -> None:
    said = words.what_first(replayed(warnings_window=0), window=WINDOW)

    assert said.title == "There is no warning to replay, so no fix to put first"
    assert said.caption == "Fixes are replayed on the warnings that are held."
    assert words.pareto(tallies.by_cause(causes()), window=WINDOW).title == "No duplicate is held"
