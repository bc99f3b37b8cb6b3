"""Two things found at the same time, where neither needs the other and much of both is waiting for files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_One = TypeVar("_One")
_Other = TypeVar("_Other")


def both(one: Callable[[], _One], other: Callable[[], _Other]) -> tuple[_One, _Other]:
    """What *one* and *other* give; an error of either is raised when both have ended."""
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(one)
        second = other()
        return begun.result(), second
