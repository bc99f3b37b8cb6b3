"""Values that were checked: instants with a zone, SIDs with the right prefix, and what is wrong with the rest."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flexkit.tables.schema import INSTANT

PROBLEM = "problem"

EARLIEST = dt.datetime(2008, 1, 1, tzinfo=dt.UTC)
"""Before this there was no Twilio: an older time is a wrong one."""

# How each way of writing an instant looks, and its resolution in microseconds.
_EPOCH_S, _EPOCH_MS, _EPOCH_US = r"^\d{9,10}$", r"^\d{12,13}$", r"^\d{15,16}$"
_EPOCH_FRACTION = r"^\d{9,10}\.\d+$"
_ISO = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?"
_RFC2822 = r"^[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$"


def instant(column: str) -> pl.Expr:
    """*column* of text as an instant in UTC, null where it is no instant with a zone.

    Understands ISO 8601 with ``Z`` or an offset, with or without a fraction, epoch seconds,
    milliseconds and microseconds, and RFC 2822 (Twilio's older resources).
    """
    text = pl.col(column).str.strip_chars()
    micro = pl.coalesce(
        pl.when(text.str.contains(_EPOCH_S)).then(text.cast(pl.Int64, strict=False) * 1_000_000),
        pl.when(text.str.contains(_EPOCH_MS)).then(text.cast(pl.Int64, strict=False) * 1_000),
        pl.when(text.str.contains(_EPOCH_US)).then(text.cast(pl.Int64, strict=False)),
        pl.when(text.str.contains(_EPOCH_FRACTION)).then(
            (text.cast(pl.Float64, strict=False) * 1_000_000).round().cast(pl.Int64, strict=False)
        ),
    )
    iso = (
        text.str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T")
        .str.replace(r"^(.{10}T\d\d:\d\d)(Z|[+-]\d\d:?\d\d)$", "${1}:00${2}")
        .str.replace(",", ".", literal=True)
        .str.replace("[Zz]$", "+00:00")
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False)
    )
    mail = text.str.to_datetime("%a, %d %b %Y %H:%M:%S %z", time_unit="us", time_zone="UTC", strict=False)
    return pl.coalesce(micro.cast(INSTANT), iso, pl.when(text.str.contains(_RFC2822)).then(mail))


def precision(column: str) -> pl.Expr:
    """Resolution of the instant written in *column*, in microseconds; null where there is none."""
    text = pl.col(column).str.strip_chars()
    digits = text.str.extract(r"^\d+\.(\d+)$|:\d\d[.,](\d+)", 1).fill_null(text.str.extract(r":\d\d[.,](\d+)", 1))
    width = digits.str.len_chars().clip(0, 6)
    return (
        pl.when(text.is_null())
        .then(None)
        .when(text.str.contains(_EPOCH_MS))
        .then(1_000)
        .when(text.str.contains(_EPOCH_US))
        .then(1)
        .when(digits.is_not_null())
        .then(pl.lit(10, pl.Int64).pow(6 - width.cast(pl.Int64)))
        .when(text.str.contains(r"T\d\d:\d\d(Z|[+-]\d\d:?\d\d)$"))
        .then(60_000_000)
        .otherwise(1_000_000)
        .cast(pl.Int64)
    )


def instant_problem(column: str, value: str, *, name: str, required: bool = True) -> pl.Expr:
    """What is wrong with the instant written in *column* and read into *value*; null where it is right.

    *name* is what Twilio calls the field. The frame's ``horizon`` is the latest instant to believe.
    """
    text, read = pl.col(column), pl.col(value)
    shown = text.str.slice(0, 40)
    return (
        pl.when(text.is_null())
        .then(pl.lit(f"{name} is missing") if required else None)
        .when(read.is_null() & text.str.contains(_ISO))
        .then(
            pl.when(text.str.contains(r"([Zz]|[+-]\d\d:?\d\d)$"))
            .then(pl.format(name + " '{}' is not a valid time", shown))
            .otherwise(
                pl.format(
                    name + " '{}' has no time zone: write it in UTC with a Z, or with an offset such as +02:00", shown
                )
            )
        )
        .when(read.is_null())
        .then(pl.lit(f"{name} is not a time: expected ISO 8601 with a zone, or epoch seconds or milliseconds"))
        .when(read > pl.col("horizon"))
        .then(
            pl.format(name + " '{}' is more than a day in the future: check the clock or the zone of its source", shown)
        )
        .when(read < EARLIEST)
        .then(pl.format(name + " '{}' is before 2008: check its unit (seconds or milliseconds)", shown))
    )


def sid_pattern(prefix: str) -> str:
    """The pattern of a SID of one kind; several prefixes are separated by ``|``."""
    return rf"^(?:{prefix})[0-9a-fA-F]{{32}}$"


def sid(column: str, prefix: str) -> pl.Expr:
    """*column* where it is a SID with *prefix*, null elsewhere."""
    return pl.when(pl.col(column).str.contains(sid_pattern(prefix))).then(pl.col(column))


def sid_problem(column: str, prefix: str, *, name: str | None = None, required: bool = False) -> pl.Expr:
    """What is wrong with the SID in *column*; null where it is right, or absent and not required."""
    text, field = pl.col(column), name or column
    # A value that only looks a little like a SID is shown; anything else might be personal data.
    shown = (
        pl.when(text.str.contains(r"^[A-Z]{2}[0-9A-Fa-fXx]{0,60}$"))
        .then(pl.format(" '{}'", text.str.slice(0, 40)))
        .otherwise(pl.lit(""))
    )
    expected = prefix.replace("|", " or ")
    return (
        pl.when(text.is_null())
        .then(pl.lit(f"{field} is missing") if required else None)
        .when(~text.str.contains(sid_pattern(prefix)))
        .then(
            pl.concat_str(
                pl.lit(f"malformed {field}"), shown, pl.lit(f": expected {expected} and 32 hexadecimal digits")
            )
        )
    )


def first_problem(*problems: pl.Expr) -> pl.Expr:
    """The first of *problems* that holds, as the column ``problem``."""
    return pl.coalesce(pl.lit(None, pl.String), *problems).alias(PROBLEM)
