"""Frames that are made piece by piece as they are read, so that not all of their rows are in memory at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import polars as pl


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
            rows = piece if predicate is None else piece.filter(predicate)
            rows = rows if with_columns is None else rows.select(with_columns)
            yield rows if left is None else rows.head(left)
            left = None if left is None else left - rows.height
            if left is not None and left <= 0:
                return

    return register_io_source(source, schema=dict(schema), is_pure=True)
