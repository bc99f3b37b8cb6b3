"""The store's tables in a Spark session: stock Spark reads the Parquet files of a Delta version, without extra jars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexkit.tables.schema import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.tables.schema import Table


def frame(session: Any, files: Sequence[str], *, table: Table = SIGNALS) -> Any:
    """The rows of *files* (`Store.files`) as a frame of the Spark *session*, with the columns of *table*.

    *session* is a `SparkSession` of PySpark, Databricks Connect or Spark Connect; its workers must reach
    the files. Columns that were added later are null where a file has none. ``day`` comes from the
    folder's name. Without files there are no rows.
    """
    if not files:
        fields = ", ".join(f"`{column.name}` {_TYPES.get(str(column.dtype), 'string')}" for column in table.columns)
        return session.createDataFrame([], fields)
    folder = files[0].rsplit("/", 1)[0].rsplit("/day=", 1)[0]
    read = session.read.option("basePath", folder).option("mergeSchema", "true").parquet(*files)
    held = set(read.columns)
    return read.selectExpr(
        *(
            f"`{column.name}`"
            if column.name in held
            else f"cast(null as {_TYPES.get(str(column.dtype), 'string')}) as `{column.name}`"
            for column in table.columns
        )
    )


_TYPES = {
    "Int64": "bigint",
    "Boolean": "boolean",
    "Date": "date",
    "Datetime(time_unit='us', time_zone='UTC')": "timestamp",
    "List(String)": "array<string>",
}
"""Spark's names of the types in the data dictionary; everything else is text."""
