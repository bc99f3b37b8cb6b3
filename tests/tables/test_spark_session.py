"""Where Spark is asked for and cannot be had, one sentence says what to install; nothing secret is in it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from flexkit.cli import cli
from flexkit.errors import UsageError
from flexkit.tables import spark

if TYPE_CHECKING:
    from pathlib import Path


class Builder:
    """Stands for `SparkSession.builder`; refuses remote addresses."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def step(*arguments: str) -> Builder:
            self.asked.append((name, *arguments))
            if name == "remote":
                raise ConnectionError(f"no answer from {arguments[0]}")
            return self

        return step


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    module = ModuleType("pyspark.sql")
    module.SparkSession = type("SparkSession", (), {"builder": made})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    return made


def test_without_pyspark_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)

    with pytest.raises(UsageError, match=r"pip install 'flexkit\[spark\]'"):
        spark.session()


def test_a_local_session_without_java_is_refused_with_both_ways_out(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark.shutil, "which", lambda _: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)

    with pytest.raises(UsageError, match=r"Java runtime.*SPARK_REMOTE"):
        spark.session()
    assert ("master", "local[*]") not in builder.asked


def test_a_local_session_uses_all_cores(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.shutil, "which", lambda _: "/usr/bin/java")

    spark.session()

    assert ("master", "local[*]") in builder.asked


def test_a_remote_that_does_not_answer_is_an_error_without_its_token(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://host:15002/;token=secret")

    with pytest.raises(UsageError, match="Cannot reach the Spark of SPARK_REMOTE") as caught:
        spark.session()

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_only_the_pass_is_computed_by_spark(tmp_path: Path) -> None:
    ran = CliRunner().invoke(cli, ["export", "causes", str(tmp_path / "x.csv"), "--engine", "spark"])

    assert isinstance(ran.exception, UsageError)
    assert "Spark computes the table 'daily', not 'causes'" in str(ran.exception)
