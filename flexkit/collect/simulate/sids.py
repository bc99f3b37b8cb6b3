"""Identifiers of the simulated account: real patterns, invented digits, the same for the same seed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray


def generator(seed: int, label: str) -> np.random.Generator:
    """Random numbers for one purpose, independent of all others."""
    return np.random.default_rng([seed, zlib.crc32(label.encode())])


def sids(seed: int, prefix: str, label: str, count: int) -> pl.Series:
    """*count* SIDs with *prefix*."""
    digits = generator(seed, f"{prefix}/{label}").bytes(16 * count).hex()
    return pl.Series([prefix + digits[at : at + 32] for at in range(0, 32 * count, 32)], dtype=pl.String)


def sid(seed: int, prefix: str, label: str) -> str:
    """One SID with *prefix*."""
    return str(sids(seed, prefix, label, 1)[0])


def tokens(seed: int, label: str, count: int) -> pl.Series:
    """*count* random identifiers of the form of a UUID; the last group has a letter, unlike a telephone number."""
    digits = generator(seed, f"token/{label}").bytes(16 * count).hex()
    parts = [digits[at : at + 32] for at in range(0, 32 * count, 32)]
    return pl.Series([f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:31]}e" for d in parts], dtype=pl.String)


def pick(series: pl.Series, index: NDArray[np.integer]) -> pl.Series:
    """The entries of *series* at *index*; null where the index is negative."""
    at = pl.Series(index.astype(np.int64))
    return series.gather(pl.select(pl.when(at >= 0).then(at)).to_series())
