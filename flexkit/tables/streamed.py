"""Frames that are made when they are read, at once or piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl


@dataclass(frozen=True, slots=True)
class Scans(Mapping[str, "pl.LazyFrame"]):
    """Frames by name, each scanned where it is asked for: of a hundred most readers want a few, or only the names."""

    files: Mapping[str, Sequence[str]]
    scan: Callable[[Sequence[str]], pl.LazyFrame]

    def __getitem__(self, name: str) -> pl.LazyFrame:
        return self.scan(self.files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def streamed(
    make: Callable[[], Iterator[pl.DataFrame]], schema: Mapping[str, pl.DataType | type[pl.DataType]]
) -> pl.LazyFrame:
    """The rows of the pieces that *make* gives, each of that *schema*; it is called when rows are asked for."""

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        del batch_size
        left = n_rows
        for piece in make():
            rows = asked(piece.lazy(), with_columns, predicate, left).collect()
            yield rows
            left = None if left is None else left - rows.height
            if left is not None and left <= 0:
                return

    return register_io_source(source, schema=dict(schema), is_pure=True)


def deferred(make: Callable[[], pl.LazyFrame], schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.LazyFrame:
    """The rows that *make* gives, of that *schema*; filters and columns of the reader reach its files."""

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        del batch_size
        # What is read whole is sorted in memory in a quarter of the time.
        yield asked(make(), with_columns, predicate, n_rows).collect(engine="in-memory")

    return register_io_source(source, schema=dict(schema), is_pure=True)


def asked(
    rows: pl.LazyFrame, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None
) -> pl.LazyFrame:
    """Of *rows* what the reader of a source asks for."""
    if predicate is not None:
        rows = rows.filter(predicate)
    if with_columns is not None:
        rows = rows.select(with_columns)
    return rows if n_rows is None else rows.head(n_rows)
