"""One interaction in the terminal: lanes, marks, folds, holes, rules, and nothing that a terminal obeys."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from flexkit.analyse import causes as causes_of
from flexkit.analyse import timeline as lines_of
from flexkit.analyse.explain import explain
from flexkit.errors import UsageError
from flexkit.present import timeline
from flexkit.tables.declared import HANDLERS
from flexkit.tables.parts import Parts
from flexkit.tables.schema import COVERAGE, TABLES
from tests.analyse.worlds import World, at, sid


class Memory:
    """A store without a folder, results included."""

    version = ""

    def __init__(self, world: World, coverage: pl.DataFrame | None = None) -> None:
        self.world, self.held = world, COVERAGE.empty() if coverage is None else coverage

    def table(self, name: str, window: object = None) -> pl.LazyFrame:  # noqa: ARG002
        known: dict[str, Any] = {
            "signals": self.world.signals,
            "alerts": self.world.alerts,
            "causes": lambda: causes_of.classify(self.world.signals(), self.world.alerts(), self.held.lazy()),
        }
        return known.get(name, lambda: TABLES[name].empty().lazy())()

    def at(self, version: str) -> Memory:  # noqa: ARG002
        return self

    def days(self, name: str) -> dict[str, pl.LazyFrame]:  # noqa: ARG002
        return {}

    def parts(self, module: str) -> Parts:
        return Parts(Path(module))

    def around(self, interaction_sid: str, told: object) -> pl.LazyFrame:  # noqa: ARG002
        return self.world.signals()

    def coverage(self) -> pl.LazyFrame:
        return self.held.lazy()

    def handlers(self) -> pl.DataFrame:
        return pl.DataFrame(schema=HANDLERS)


def shown(world: World, kd: str, *, width: int = 140, coverage: pl.DataFrame | None = None) -> str:
    out = io.StringIO()
    timeline.show(Memory(world, coverage), kd, console=Console(file=out, width=width))  # type: ignore[arg-type]
    return out.getvalue()


def line_with(text: str, part: str) -> str:
    return next(line for line in text.splitlines() if part in line)


def a_retry(world: World, number: int = 1) -> str:
    story = world.interaction(number).task("created", -300).log("close_channel", 0, "fn", "tok").closed(0.4)
    story.log("close_channel", 15.2, "fn", "tok", outcome="rejected").warned(15)
    return story.kd


def test_what_is_no_interaction_is_refused() -> None:
    with pytest.raises(UsageError, match="KD and 32 hexadecimal"):
        shown(World(), "UO123")


def test_an_interaction_of_which_nothing_is_held_is_said_to_be_so() -> None:
    with pytest.raises(UsageError, match="Nothing is held"):
        shown(World(), sid("KD", 404))


def test_the_first_close_and_the_duplicate_are_marked_with_cause_and_rules() -> None:
    world = World()

    text = shown(world, a_retry(world))

    assert "◆" in line_with(text, "12:00:00.000")
    assert "✕" in line_with(text, "12:00:15.200")
    assert "duplicate processing (confirmed)" in text
    assert "✓  same-trigger-again" in text
    assert "not the case: the first handler meant to remove the agent only" in text
    assert sid("NO", 1) in text


def test_three_signals_are_enough() -> None:
    world = World()
    kd = world.interaction().closed(0).task("completed", 5, actor="worker").warned(5).kd

    text = shown(world, kd)

    assert "undetermined" in text
    assert "would settle it:" in text


def test_hundreds_of_signals_are_folded_but_never_what_decides() -> None:
    world = World()
    kd = a_retry(world)
    for number in range(300):
        world.interaction().signal("channel_active", 60 + number, "interactions_webhook")

    text = shown(world, kd)

    assert "300 × channel active" in text
    assert len(text.splitlines()) < 80
    assert "◆" in text
    assert "✕" in text


def test_a_pause_is_a_line_with_its_length() -> None:
    world = World()
    world.interaction().closed(7200)

    assert "⋮ 2.0 h" in shown(world, a_retry(world))


def test_a_span_that_is_not_held_is_named() -> None:
    world = World()
    kd = a_retry(world)
    window = {"coverage_id": "a", "source": "taskrouter", "start": at(-600), "end": at(5), "state": "complete"}
    held = pl.DataFrame([window], schema=COVERAGE.dtypes)

    assert "Not held: TaskRouter from +5.0 s" in shown(world, kd, coverage=held)


def test_an_interaction_completed_once_is_said_to_be_so() -> None:
    world = World()
    kd = world.interaction().log("close_channel", 0, "plugin").served(closed=0).kd

    assert "no duplicate is known" in shown(world, kd)


def test_a_narrow_terminal_leaves_the_evidence_out() -> None:
    world = World()
    kd = a_retry(world)

    assert sid("EV", 1001) in shown(world, kd, width=120)
    assert sid("EV", 1001) not in shown(world, kd, width=90)
    assert max(map(len, shown(world, kd, width=90).splitlines())) <= 90


def test_nothing_that_a_terminal_obeys_comes_through() -> None:
    world = World()
    hostile = "fn\x1b]0;title\x07\x1b[31m[bold]\u202e\x9b2J"
    story = world.interaction().log("close_channel", 0, hostile, "t\x1b[2J").closed(0.4)
    story.log("close_channel", 15, hostile, "t\x1b[2J").warned(15).signal("x\x1b[1mkind", 20, "studio\x1b[5m")

    text = shown(world, story.kd)

    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "[bold]" in text


def test_rules_are_explained_for_the_same_clock_as_the_cause() -> None:
    world = World()
    for number in range(1, 9):
        story = world.interaction(number).task("created", 60 * number - 30)
        story.log("close_channel", 60 * number - 20, "fn", f"t{number}").closed(60 * number + 0.5)
        story.signal("conversation_closed", 60 * number + 0.3, "conversations", reason="API")
        story.log("close_channel", 60 * number - 5, "fn", f"t{number}").warned(60 * number + 15)
    kd = sid("KD", 3)
    causes = causes_of.classify(world.signals(), world.alerts()).filter(interaction_sid=kd).collect()

    told = explain(world.signals(), kd, alerts=world.alerts(), causes=causes)

    assert told.filter("holds")["rule"].to_list() == causes["rules"].to_list()[0] == ["same-trigger-again"]


def test_the_timeline_marks_by_the_signals_that_the_cause_names() -> None:
    world = World()
    kd = a_retry(world)
    causes = causes_of.classify(world.signals(), world.alerts()).collect()

    lines = lines_of.timeline(world.signals(), kd, alerts=world.alerts(), causes=causes)

    roles = dict(lines.filter(pl.col("source") == "app_log").select("seconds", "role").iter_rows())
    assert roles == {0.0: "first close", 15.2: "duplicate"}
    assert lines.filter(kind="channel_closed")["role"].to_list() == ["same completion"]
    assert lines.filter(kind="warning")["role"].to_list() == ["warning"]


def test_a_clock_that_was_put_right_is_named() -> None:
    world = World()
    for number in range(1, 9):
        story = world.interaction(number).log("close_channel", 60 * number + 20, "fn", f"t{number}")
        story.signal("conversation_closed", 60 * number + 0.3, "conversations", reason="API")
        story.log("close_channel", 60 * number + 35, "fn", f"t{number}").warned(60 * number + 15)

    assert "The clock of completion log was 20 s ahead of Twilio's" in shown(world, sid("KD", 3))
