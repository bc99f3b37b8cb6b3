"""Replay of evidence: what each fix would have prevented, from the contract's columns alone."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from flexkit.analyse import replay
from flexkit.analyse.replay import Reach
from flexkit.errors import SchemaError, UsageError
from flexkit.tables.declared import HANDLERS
from flexkit.terms import FixKind
from flexkit.window import Window
from tests.analyse.replay_world import START, World, sid, typical

CHECK, IDEMPOTENT, PARTICIPANT, OWNER = list(FixKind)[:4]


def single(told: pl.DataFrame, kind: FixKind) -> dict[str, object]:
    """The row of one fix kind alone."""
    return told.row(by_predicate=pl.col("fix_id") == kind.value, named=True)


def test_signals_without_a_needed_column_are_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="interaction_sid"):
        replay.replay(typical(1).signals().drop("interaction_sid"))


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"delta_read": dt.timedelta(seconds=-1)}, "delta_read is -1 s"),
        ({"ttl": dt.timedelta(seconds=-1)}, "ttl is -1 s"),
        ({"adoption": {CHECK: 0.0}}, "adoption of check_status_first is 0"),
        ({"adoption": {CHECK: 1.2}}, "above 0, up to 1"),
        ({"adoption": {FixKind.OTHER: 0.5}}, "other cannot be replayed"),
        ({"reach": {FixKind.OTHER: Reach()}}, "other cannot be replayed"),
    ],
)
def test_terms_that_make_no_sense_are_refused_with_what_to_do(terms: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replay.replay(typical(1).signals(), **terms)  # type: ignore[arg-type]


def test_without_warnings_there_is_nothing_to_predict_and_no_number_says_otherwise() -> None:
    world = World()
    world.close(1, 0, "close-fn")

    told = replay.replay(world.signals())

    assert told["status"].unique().to_list() == ["not_identifiable"]
    assert told["reasons"].to_list() == [["no_warnings"]] * 15
    assert told["warnings_window"].unique().to_list() == [0]
    for name in ("prevented", "imputed", "prevented_lo", "prevented_share", "lo", "shapley", "replayable_share"):
        assert told[name].null_count() == 15, name


def test_no_signals_at_all_are_answered_likewise() -> None:
    told = replay.replay(World().signals())

    assert told["reasons"].to_list() == [["no_warnings"]] * 15
    assert replay.per_handler(World().signals()).is_empty()
    assert replay.outcomes(World().signals()).is_empty()


def test_alerts_alone_identify_no_fix_and_bound_nothing() -> None:
    world = World()
    for number in range(20):
        world.warn(number, 10)

    told = replay.replay(world.signals())

    assert told["reasons"].to_list() == [["no_attempts"]] * 15
    assert told["prevented"].null_count() == 15
    assert told["bound_lo"].to_list() == [0.0] * 15
    assert told["bound_hi"].to_list() == [20.0] * 15


def test_every_mechanism_is_prevented_by_its_own_fix() -> None:
    told = replay.replay(typical().signals())

    prevented = dict(told.filter(pl.col("fix_count") == 1).select("fix_id", "prevented").iter_rows())
    assert prevented == {CHECK: 48.0, IDEMPOTENT: 12.0, PARTICIPANT: 12.0, OWNER: 12.0}
    assert told["status"].unique().to_list() == ["point"]
    assert told["replayable_share"].unique().to_list() == [1.0]
    assert told["owner"].unique().to_list() == ["janitor"]
    together = told.row(by_predicate=pl.col("fix_id") == f"{IDEMPOTENT}+{PARTICIPANT}+{OWNER}", named=True)
    assert together["prevented"] == 36.0


def test_there_is_a_row_for_every_set_of_fixes_and_every_column_of_the_schema() -> None:
    told = replay.replay(typical(2).signals())

    assert told.height == 15
    assert dict(told.schema) == replay.SCHEMA
    assert told["fix_count"].to_list() == [1] * 4 + [2] * 6 + [3] * 4 + [4]
    assert set(told["assumptions"][0]) == set(replay.ASSUMPTIONS)


def test_only_closing_the_participant_removes_the_premature_close_though_a_check_silences_its_warning() -> None:
    told = replay.replay(typical().signals())

    check, participant = single(told, CHECK), single(told, PARTICIPANT)
    assert check["premature_closes"] == 12
    assert (check["prevented_premature_closes"], check["effect"]) == (0.0, "suppresses_symptom")
    assert participant["prevented_premature_closes"] == 12.0
    assert participant["effect"] == "removes_first_wrong_close"


def test_an_owner_that_did_not_act_leaves_interactions_open() -> None:
    world = typical()
    for number in range(100, 103):
        world.event(number, 0, "task_canceled", sid("EV", number))
        world.close(number, 90, "sweeper", trigger_id=sid("EV", number), intent="end")

    told = replay.replay(world.signals())

    assert single(told, OWNER)["orphans"] == 3.0
    assert single(told, CHECK)["orphans"] == 0.0


def test_a_named_owner_changes_what_is_dropped() -> None:
    told = replay.replay(typical().signals(), owner="sweeper")

    row = single(told, OWNER)
    assert row["owner"] == "sweeper"
    assert row["prevented"] == 12.0
    assert row["orphans"] == 12.0


def test_bounds_hold_the_interval_and_the_interval_the_point() -> None:
    told = replay.replay(typical().signals())

    assert told.select((pl.col("bound_lo") <= pl.col("prevented_lo")).all()).item()
    assert told.select((pl.col("prevented_lo") <= pl.col("prevented")).all()).item()
    assert told.select((pl.col("prevented") <= pl.col("prevented_hi")).all()).item()
    assert told.select((pl.col("prevented_hi") <= pl.col("bound_hi")).all()).item()
    assert told.select((pl.col("lo") <= pl.col("hi")).all()).item()


def test_shapley_shares_sum_to_what_all_fixes_prevent_together() -> None:
    told = replay.replay(typical().signals())

    singles = told.filter(pl.col("fix_count") == 1)
    assert singles["shapley"].sum() == pytest.approx(told["imputed"][-1])
    assert singles.sort("seq_rank")["seq_marginal"].sum() == pytest.approx(told["imputed"][-1])
    assert sorted(singles["seq_rank"]) == [1, 2, 3, 4]


def test_the_rank_is_by_what_is_prevented_and_by_effort_where_efforts_are_given() -> None:
    told = replay.replay(typical().signals())

    assert replay.ranking(told)["fix_id"][0] == CHECK
    cheap = replay.ranking(told, efforts={CHECK: 30, IDEMPOTENT: 1, PARTICIPANT: 2})
    assert cheap["fix_id"].to_list()[:2] == [IDEMPOTENT, PARTICIPANT]
    assert cheap["value_per_effort"].to_list() == [12.0, 6.0, pytest.approx(48 / 30, abs=0.01), None]
    with pytest.raises(UsageError, match="check_status_first is not above 0"):
        replay.ranking(told, efforts={CHECK: 0})


def test_half_adoption_prevents_half() -> None:
    told = replay.replay(typical().signals(), adoption={IDEMPOTENT: 0.5, PARTICIPANT: 0.5})

    assert single(told, IDEMPOTENT)["imputed"] == pytest.approx(6.0)
    both = told.row(by_predicate=pl.col("fix_id") == f"{IDEMPOTENT}+{PARTICIPANT}", named=True)
    assert both["imputed"] == pytest.approx(12.0)
    assert both["adoption"] == 0.5


def test_a_fix_reaches_only_the_handlers_and_channel_types_that_it_is_given() -> None:
    signals = typical().signals()

    narrow = replay.replay(signals, reach={CHECK: Reach(handlers=("idle-job",))})
    elsewhere = replay.replay(signals, reach={CHECK: Reach(channel_types=("sms",))})

    assert single(narrow, CHECK)["prevented"] == 12.0
    assert single(narrow, CHECK)["scope"] == "check_status_first: idle-job"
    assert single(elsewhere, CHECK)["prevented"] == 0.0


def test_only_warnings_of_the_window_and_channel_types_count() -> None:
    signals = typical().signals()
    early = Window(START, START + dt.timedelta(hours=3 * 6))

    assert replay.replay(signals, window=early)["warnings_window"][0] == 4
    assert replay.replay(signals, channel_types=["sms"])["warnings_window"][0] == 0


def test_a_window_that_reaches_beyond_the_evidence_is_as_long_as_the_evidence() -> None:
    signals = typical().signals()
    wide = Window(START - dt.timedelta(days=50), START + dt.timedelta(days=50))

    told = replay.replay(signals, window=wide)

    assert told["window_days"][0] == pytest.approx(9, abs=0.2)
    assert single(told, CHECK)["prevented_per_week"] == pytest.approx(48 * 7 / 9, rel=0.03)


def test_alerts_in_their_own_table_count_once_and_those_of_proxy_do_not() -> None:
    world = typical(3)
    signals = world.signals()
    warned = signals.filter(pl.col("kind") == "warning").collect()
    alerts = warned.select(
        alert_sid="evidence_sid", error_code=pl.lit("80906"), generated_at="occurred_at", origin=pl.lit("flex"),
        resource_sid="interaction_sid", interaction_sid="interaction_sid",
    )  # fmt: skip
    proxy = alerts.with_columns(alert_sid=pl.lit(sid("NO", 9999)), origin=pl.lit("proxy")).head(1)

    both = replay.replay(signals, pl.concat([alerts, proxy]))
    apart = replay.replay(signals.filter(pl.col("kind") != "warning"), alerts.lazy())

    assert both["warnings_window"][0] == apart["warnings_window"][0] == 12
    assert both["imputed"].to_list() == apart["imputed"].to_list()


def test_a_source_that_a_fix_needs_but_nobody_held_leaves_bounds_only() -> None:
    signals = typical().signals()
    end = START + dt.timedelta(days=9)
    held = pl.DataFrame(
        {
            "source": ["debugger", "app_log", "taskrouter"],
            "start": [START, START, START],
            "end": [end, end, START + dt.timedelta(days=3)],
            "state": ["complete"] * 3,
        },
        schema_overrides={"start": pl.Datetime("us", "UTC"), "end": pl.Datetime("us", "UTC")},
    )

    told = replay.replay(signals, coverage=held, window=Window(START, end))

    assert single(told, CHECK)["status"] == "point"
    owner = single(told, OWNER)
    assert (owner["status"], owner["reasons"]) == ("bounds_only", ["source_not_covered"])
    assert owner["prevented"] is None
    assert (owner["prevented_lo"], owner["prevented_hi"]) == (owner["bound_lo"], owner["bound_hi"])
    assert (owner["seq_rank"], owner["shapley"]) == (None, None), "what cannot be told is not ranked"
    assert sorted(told["seq_rank"].drop_nulls()) == [1, 2, 3]


def test_each_handler_is_told_what_to_change() -> None:
    changes = replay.per_handler(typical().signals())

    top = {(row["handler"], row["fix_kind"]): row["prevented"] for row in changes.iter_rows(named=True)}
    assert top["close-fn", IDEMPOTENT] == 12.0
    assert top["park-fn", PARTICIPANT] == 12.0
    assert top["sweeper", OWNER] == 12.0
    assert top["idle-job", CHECK] == 12.0
    assert ("janitor", OWNER) not in top
    park = changes.filter((pl.col("handler") == "park-fn") & (pl.col("fix_kind") == PARTICIPANT)).row(0, named=True)
    assert (park["prevented_premature_closes"], park["closed_first"], park["warned"]) == (12, 12, 0)
    assert changes["imputed"].is_sorted(descending=True)


def test_who_closes_too_early_is_told_to_stop_also_where_a_guard_silences_the_warnings() -> None:
    world = typical()
    for number in range(200, 205):
        world.close(number, 0.0, "leave-fn", intent="remove_agent")
        world.close(number, 4000.0, "idle-job", outcome="skipped", status_before="closed")

    changes = replay.per_handler(world.signals())

    leave = changes.filter((pl.col("handler") == "leave-fn") & (pl.col("fix_kind") == PARTICIPANT)).row(0, named=True)
    assert (leave["prevented"], leave["prevented_premature_closes"]) == (0.0, 5)
    assert (leave["closed_first"], leave["warned"]) == (0, 0)


def test_each_warning_tells_what_would_prevent_it() -> None:
    world = typical(1)
    world.closed_again(50, 5, "close-fn", trigger_id=None)

    found = replay.outcomes(world.signals())

    retry = found.filter(pl.col("interaction_sid") == sid("KD", 0)).row(0, named=True)
    assert (retry["first_handler"], retry["second_handler"], retry["gap_seconds"]) == ("close-fn", "close-fn", 15.0)
    assert [retry[f"prevents_{kind}"] for kind in list(FixKind)[:4]] == [True, True, False, False]
    assert f"{IDEMPOTENT}" in retry["prevented_by"]
    alone = found.filter(pl.col("interaction_sid") == sid("KD", 50)).row(0, named=True)
    assert alone["is_replayable"] is False
    assert alone[f"prevents_{IDEMPOTENT}"] is None


def test_causes_stand_beside_the_warnings_that_they_explain() -> None:
    causes = pl.DataFrame({"interaction_sid": [sid("KD", 0)], "cause": ["duplicate_processing"]})

    found = replay.outcomes(typical(1).signals(), causes=causes)

    assert found.filter(pl.col("cause") == "duplicate_processing")["interaction_sid"].to_list() == [sid("KD", 0)]


def test_the_same_evidence_gives_the_same_numbers() -> None:
    world = typical(4)
    world.closed_again(90, 5, "close-fn")
    shuffled = world.signals().collect().sample(fraction=1.0, shuffle=True, seed=3)

    assert replay.replay(world.signals()).equals(replay.replay(shuffled))


def test_a_handler_map_gives_names_and_intents() -> None:
    world = typical()
    lines = world.signals().with_columns(intent=pl.lit(None, pl.String))
    entries = [("park", "^park-fn$", "remove_agent"), ("close", "^(close-fn|janitor|sweeper|idle-job)$", "end")]
    handlers = pl.DataFrame(
        [
            {"handler": name, "logged": pattern, "intent": intent, "order": order}
            for order, (name, pattern, intent) in enumerate(entries)
        ],
        schema=HANDLERS,
    )

    unknown = replay.replay(lines)
    told = replay.replay(lines, handlers=handlers)

    assert single(unknown, PARTICIPANT)["reasons"] == ["no_intent"]
    assert single(told, PARTICIPANT)["imputed"] == pytest.approx(12.0)
