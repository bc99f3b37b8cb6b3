"""Published data: those that travel with the tests, and those that a folder of the reader's may hold."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

OWN = Path(__file__).parents[1] / "data" / "reference"


def own(name: str, **options: object) -> pl.DataFrame:
    """A data set whose licence lets it travel with the tests."""
    return pl.read_csv(OWN / name, **options)


def held(name: str) -> pl.DataFrame:
    """A data set that may not be passed on; skips where FLEXKIT_REFERENCE does not hold it."""
    folder = os.environ.get("FLEXKIT_REFERENCE", "")
    path = Path(folder) / name
    if not folder or not path.exists():
        pytest.skip(f"{name} may not be redistributed; set FLEXKIT_REFERENCE to a folder that holds it")
    return pl.read_csv(path, try_parse_dates=True)


def coal() -> pl.DataFrame:
    """Coal-mining disasters per year, 1851 to 1962."""
    years = own("coal.csv").select(date=pl.col("date").floor().cast(pl.Int64)).group_by("date").len("events")
    return (
        pl.DataFrame({"date": range(1851, 1963)})
        .join(years, on="date", how="left")
        .with_columns(pl.col("events").fill_null(0), exposure=pl.lit(1))
    )
