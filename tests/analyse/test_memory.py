"""Frames kept in layers hold what a frame written whole would hold, whatever is changed, lost or read between."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flexkit.analyse import memory
from flexkit.analyse.memory import Layer, Memory
from flexkit.tables.parts import Parts
from flexkit.tables.schema import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class Held:
    """A store of one file per state of a dictionary: keys, and a value of each."""

    folder: Path
    now: dict[int, int] = field(default_factory=dict)
    version: str = "0"
    states: dict[str, dict[int, int]] = field(default_factory=dict)
    found_in: list[bool] = field(default_factory=list)

    def files(self, _: str) -> list[str]:
        return ["signals.parquet"]

    def in_files(self, _: str, __: Sequence[str]) -> pl.LazyFrame:
        return SIGNALS.empty().lazy()

    def parts(self, _: str) -> Parts:
        return Parts(self.folder / "cache" / "values-1")

    def change(self, number: int, rng: random.Random) -> None:
        """Another state: some keys get another value, some come, some go."""
        self.now = dict(self.now)
        for key in rng.choices(range(60), k=rng.choice([0, 1, 2, 30])):
            if rng.random() < 0.3:
                self.now.pop(key, None)
            else:
                self.now[key] = number
        self.go_to(str(number))

    def go_to(self, version: str) -> None:
        self.now, self.version = self.states.setdefault(version, self.now), version

    def renewed(self) -> Memory:
        return memory.renewed(self, "tests.values", "", self._find)

    def _find(self, before: Memory | None, _: pl.LazyFrame | None) -> Memory:
        self.found_in.append(before is not None)
        rows = frame(self.now)
        if before is None:
            return Memory({"of": self.version}, {"values": [Layer(rows.lazy())]})
        then = self.states[before.facts["of"]]
        gone = [key for key in {*then, *self.now} if then.get(key) != self.now.get(key)]
        keys = pl.DataFrame({"ikey": gone}, schema={"ikey": pl.Int64})
        fresh = rows.join(keys, on="ikey", how="semi")
        return Memory({"of": self.version}, {"values": memory.changed(before, "values", keys, fresh)})

    def check(self) -> None:
        found = self.renewed()
        assert found.facts["of"] == self.version
        assert found.frame("values").sort("ikey").equals(frame(self.now))


def frame(values: dict[int, int]) -> pl.DataFrame:
    return pl.DataFrame(sorted(values.items()), schema={"ikey": pl.Int64, "value": pl.Int64}, orient="row")


@pytest.fixture(params=[0, 1, 4])
def held(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    """With layers that are never merged, sometimes, and as they are."""
    monkeypatch.setattr(memory, "_SMALL", request.param)
    monkeypatch.setattr(memory, "_FEW", 1)
    return Held(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_every_state_is_as_if_written_whole(held: Held, seed: int) -> None:
    rng = random.Random(seed)

    for number in range(1, 25):
        held.change(number, rng)
        held.check()
        if rng.random() < 0.3:
            held.go_to(str(rng.randint(1, number)))
            held.check()

    assert held.found_in.count(False) == 1


def test_what_is_remembered_is_not_found_again(held: Held) -> None:
    rng = random.Random(1)
    for number in (1, 2, 3):
        held.change(number, rng)
        held.check()

    for version in ("2", "3", "1"):
        held.go_to(version)
        held.check()

    assert len(held.found_in) == 3


@pytest.mark.parametrize("damage", ["deleted", "cut", "middle"])
def test_a_part_that_is_lost_costs_time_only(held: Held, damage: str) -> None:
    rng = random.Random(2)
    for number in range(1, 12):
        held.change(number, rng)
        held.check()
        path = rng.choice(sorted(held.parts("").folder.glob("*.parquet")))
        match damage:
            case "deleted":
                path.unlink()
            case "cut":
                path.write_bytes(path.read_bytes()[:-3])
            case "middle":
                held.parts("").folder.joinpath("states.json").write_bytes(b"{")
        held.check()


def test_parts_that_no_state_names_are_dropped(held: Held) -> None:
    rng = random.Random(3)
    for number in range(1, 20):
        held.change(number, rng)
        held.check()

    kept = {path.stem for path in held.parts("").folder.glob("*.parquet")}
    states = held.parts("").note("states")
    assert states is not None
    named = {layer[0] for state in states["states"] for layer in state["frames"]["values"]}
    assert len(states["states"]) == 3
    assert named <= kept <= named | {f"{name}-gone" for name in named}


def test_declarations_that_change_meanwhile_keep_nothing(held: Held) -> None:
    held.change(1, random.Random(4))

    found = memory.renewed(held, "tests.values", "", held._find, still=lambda: False)

    assert found.frame("values").sort("ikey").equals(frame(held.now))
    assert held.parts("").note("states") is None


def test_a_folder_that_cannot_be_written_changes_nothing(held: Held) -> None:
    (held.folder / "cache").write_text("")
    rng = random.Random(5)

    for number in (1, 2):
        held.change(number, rng)
        held.check()
