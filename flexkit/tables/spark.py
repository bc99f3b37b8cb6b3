"""The store's tables in a Spark session: stock Spark reads the Parquet files of a Delta version, without extra jars."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from flexkit.errors import UsageError
from flexkit.tables.schema import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flexkit.tables.table import Table


def session() -> Any:
    """A Spark session: the one that ``SPARK_REMOTE`` names (Spark Connect), else one on all cores of this machine.

    Raises `UsageError` where pyspark, or the Java that a local session needs, is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        msg = "Spark needs pyspark, which is not installed. Install it: pip install 'flexkit[spark]'."
        raise UsageError(msg) from None
    builder = SparkSession.builder.appName("flexkit")
    if remote := os.environ.get("SPARK_REMOTE"):
        try:
            return builder.remote(remote).getOrCreate()
        except Exception as error:  # noqa: BLE001 - gRPC and Spark raise many kinds
            # Its text may hold the address, and that a token.
            msg = (
                f"Cannot reach the Spark of SPARK_REMOTE ({type(error).__name__}). Check its address, and that it runs."
            )
            raise UsageError(msg) from None
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        msg = (
            "Spark on this machine needs a Java runtime, which is not installed. Install one (Debian: "
            "default-jre-headless), or name a running Spark with SPARK_REMOTE=sc://host:15002."
        )
        raise UsageError(msg)
    return builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate()


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
    "Int8": "tinyint",
    "Boolean": "boolean",
    "Date": "date",
    "Datetime(time_unit='us', time_zone='UTC')": "timestamp",
    "List(String)": "array<string>",
}
"""Spark's names of the types in the data dictionary; everything else is text."""
