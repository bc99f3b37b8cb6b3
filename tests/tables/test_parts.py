"""Kept parts are read alike, whether each lies in a file of its own or many in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from flexkit.tables import parts as module
from flexkit.tables.parts import Parts

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"links-2026-03-{day:02}" for day in range(1, 7)]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr(module, "_LONE", 2)
    monkeypatch.setattr(module, "_READ_SECONDS", -1)
    held = Parts(tmp_path / "extracts-1")
    for place, name in enumerate(NAMES):
        held.keep(name, pl.DataFrame({"ikey": [place, place + 1, 100 + place], "of": name}))
    held.keep("loose-2026-03-01", pl.DataFrame({"ikey": [7]}))
    return held


def later(parts: Parts) -> Parts:
    """As another process finds them."""
    return Parts(parts.folder)


def told(parts: Parts) -> list[object]:
    """Everything that can be asked of them."""
    keys = pl.DataFrame({"ikey": [3, 105]})
    some = [NAMES[4], NAMES[1]]
    either = parts.read(*some)
    assert either is not None
    return [
        parts.scan(NAMES).collect().sort("ikey", "of").rows(),
        parts.scan(NAMES, is_whole=True).select("of").collect().sort("of").rows(),
        either.collect().sort("ikey", "of").rows(),
        parts.scan(some[:1]).filter(pl.col("ikey") > 50).collect().rows(),
        sorted(parts.having(NAMES, keys)),
        sorted(parts.having(NAMES[:3], keys)),
        [parts.has(name) for name in (*NAMES, "links-2026-04-01")],
        parts.scan(NAMES).collect_schema().names(),
    ]


def test_parts_in_one_file_are_read_as_those_alone(parts: Parts) -> None:
    alone = told(parts)

    parts.join("links", NAMES, fresh=2)

    assert told(parts) == alone
    later(parts).drop_copies()
    assert not any((parts.folder / f"{name}.parquet").exists() for name in NAMES[:4])
    assert told(parts) == told(later(parts)) == alone


def test_who_put_parts_in_one_file_leaves_those_that_others_read(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_SECONDS", 60)
    planned = parts.scan(NAMES)

    parts.join("links", NAMES, fresh=0)
    later(parts).drop_but(NAMES)
    later(parts).drop_copies()

    assert planned.collect().height == 3 * len(NAMES)


def test_few_parts_stay_alone(parts: Parts) -> None:
    parts.join("links", NAMES, fresh=4)

    assert not list(parts.folder.glob("joined.json"))


def test_more_parts_come_to_those_in_one_file(parts: Parts) -> None:
    alone = told(parts)
    parts.join("links", NAMES, fresh=3)
    later(parts).drop_copies()
    later(parts).join("links", NAMES, fresh=0)
    last = later(parts)

    last.drop_but(NAMES)

    assert len(list(parts.folder.glob("*.parquet"))) == 1
    assert told(last) == alone


def test_what_lies_in_one_file_is_not_lost_where_it_becomes_one_of_the_last(parts: Parts) -> None:
    parts.join("links", NAMES[:3], fresh=0)
    later(parts).drop_copies()

    later(parts).join("links", [*NAMES[3:], *NAMES[:3]], fresh=2)
    last = later(parts)
    last.drop_but(NAMES)

    assert all(map(last.has, NAMES))
    assert last.scan(NAMES).collect()["of"].n_unique() == len(NAMES)


def test_a_part_that_is_not_wanted_any_more_is_not_read(parts: Parts) -> None:
    parts.join("links", NAMES, fresh=0)

    left = later(parts).scan(NAMES[2:], is_whole=True).collect()

    assert left["of"].unique().sort().to_list() == NAMES[2:]


def test_parts_of_a_damaged_file_are_not_kept(parts: Parts) -> None:
    parts.join("links", NAMES, fresh=0)
    later(parts).drop_copies()
    (file,) = parts.folder.glob("links-*.parquet")
    file.write_bytes(file.read_bytes()[:-3])
    found = later(parts)

    assert not any(found.has(name) for name in NAMES)
    found.keep(NAMES[0], pl.DataFrame({"ikey": [1], "of": "anew"}))
    assert found.scan(NAMES[:1]).collect()["of"].to_list() == ["anew"]
    assert found.has("loose-2026-03-01")


def test_a_folder_that_cannot_be_written_stays_as_it_is(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = told(parts)
    monkeypatch.setattr(Parts, "_replace", lambda *_: False)

    parts.join("links", NAMES, fresh=0)

    assert told(parts) == alone
