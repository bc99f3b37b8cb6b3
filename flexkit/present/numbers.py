"""Numbers as people read them: percents, counts, durations, intervals."""

from __future__ import annotations

import math
import re

NONE = "–"
"""What stands for a number that is not known."""


_UNIT = re.compile(r"(?<=\d) (?=(?:%|s|min|h|d|points)(?!\w))|(?<=\bn) (?== \d)|(?<=\bn =) (?=\d)")


def joined(text: str) -> str:
    """*text* in which no line ends between a number and its unit."""
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


def percent(share: float) -> str:
    """A share of 0 to 1 in percent, with as many digits as it needs to be told from its neighbours."""
    if not math.isfinite(share):
        return NONE
    points = abs(share) * 100
    digits = 0 if points >= 99.95 else 1 if points >= 10 else 2 if points >= 0.1 or points == 0 else 3
    return f"{share * 100:.{digits}f} %"


def number(value: float) -> str:
    """A number with up to three significant digits, without an exponent where people do not expect one."""
    if not math.isfinite(value):
        return NONE
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    if size < 0.001:
        return f"{value:.2g}"
    return f"{value:.{1 if size >= 10 else 2 if size >= 0.1 else 3}f}".rstrip("0").rstrip(".")


def rough(value: float) -> str:
    """A number with two significant digits, for what is not known better."""
    if not math.isfinite(value) or value == 0:
        return number(value)
    return number(round(value, 1 - math.floor(math.log10(abs(value)))))


def duration(seconds: float) -> str:
    """A length of time in its two largest units: ``0.4 s``, ``2 min 5 s``, ``1 d 3 h``."""
    if not math.isfinite(seconds):
        return NONE
    sign, left = ("-" if seconds < 0 else ""), abs(seconds)
    if left < 10:
        return f"{sign}{left:.1f} s"
    whole = round(left)
    for unit, size, smaller, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{sign}{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{sign}{whole} s"


def span(low: float | None, high: float | None, *, share: bool = True) -> str:
    """An interval, ``1.2 to 2.9 %``; a dash where it is not known."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    if not share:
        return f"{rough(low)} to {rough(high)}"
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"


def count(amount: float, singular: str, plural: str | None = None) -> str:
    """A count with its noun: ``1 interaction``, ``2,345 interactions``."""
    return f"{amount:,.0f} {singular if amount == 1 else plural or singular + 's'}"


def listed(words: list[str], *, last: str = "and") -> str:
    """Words as a list in a sentence: ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def sentence(text: str) -> str:
    """*text* with a capital at its start and a full stop at its end."""
    words = text.strip()
    if not words:
        return ""
    return words[0].upper() + words[1:] + ("" if words.endswith((".", "?", "!", ":")) else ".")
