"""The pass on a real Spark: a standalone master and two workers on loopback, reading the store's own files."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flexkit.analyse import heavy_pass
from flexkit.analyse.results import RESULTS
from flexkit.collect.simulate import build, observed_frames
from flexkit.tables import spark as on_spark
from flexkit.tables.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.java, pytest.mark.slow]

WAIT_SECONDS = 120
QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Six Java machines that live for a minute: half the processor time without the compiler for long runs."""


def absent() -> str:
    """Why Spark cannot run here; empty where it can."""
    if shutil.which("java") is None:
        return "there is no Java runtime (Debian: openjdk-17-jre-headless)"
    if importlib.util.find_spec("pyspark") is None:
        return "there is no pyspark (pip install 'flexkit[spark]')"
    return ""


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def until(condition: Any, what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.3)
    pytest.fail(f"Spark did not come up: {what}")


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a master with two workers, each a process of its own; all are ended afterwards."""
    if why := absent():
        if os.environ.get("CI") == "true":
            pytest.fail(f"In CI Spark must run, but {why}.")
        pytest.skip(why)
    import pyspark

    work = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", QUICK_JVM)
        yield from _master(Path(pyspark.__file__).parent, work)


def _master(home: Path, work: Path) -> Iterator[str]:
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_DAEMON_MEMORY": "384m",
        "PYSPARK_PYTHON": sys.executable,
    }
    port, page = free_port(), free_port()
    address = f"spark://127.0.0.1:{port}"

    def begun(*arguments: str, log: str) -> subprocess.Popen[bytes]:
        with (work / log).open("wb") as file:
            return subprocess.Popen(
                [str(home / "bin" / "spark-class"), *arguments],
                env=environment,
                cwd=work,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def workers() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
                return answer.read().decode().count('"ALIVE"') - 1
        except OSError:
            return -1

    with ExitStack() as ending:
        here = ("--host", "127.0.0.1")
        processes = [
            begun(
                "org.apache.spark.deploy.master.Master", *here, "--port", str(port), "--webui-port", str(page),
                log="master.log",
            )
        ]  # fmt: skip

        def end() -> None:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait(30)

        ending.callback(end)
        until(lambda: workers() >= 0, "the master does not answer")
        processes += [
            begun(
                "org.apache.spark.deploy.worker.Worker", *here, "--cores", "1", "--memory", "512m",
                "--webui-port", str(free_port()), "--work-dir", str(work / f"worker-{number}"), address,
                log=f"worker-{number}.log",
            )
            for number in (1, 2)
        ]  # fmt: skip
        until(lambda: workers() == 2, "the two workers do not join")
        yield address


@pytest.fixture(scope="module")
def session(master: str) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    made = (
        SparkSession.builder.master(master)
        .appName("flexkit")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.executor.memory", "512m")
        .config("spark.executor.cores", "1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "America/New_York")
        .getOrCreate()
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    world = build(interactions=500, days=5, seed=11, name="sample")
    made = Store(tmp_path_factory.mktemp("store"))
    made.add({"signals": observed_frames(world).signals})
    return made


def test_both_workers_take_part_and_the_answer_is_that_of_polars(session: Any, store: Store) -> None:
    rows = on_spark.frame(session, store.files("signals"))

    found = [tuple(row) for row in heavy_pass.answer(rows).collect()]

    assert len(session.sparkContext._jsc.sc().getExecutorMemoryStatus().keySet().toString().split(",")) == 3
    assert found == heavy_pass.answer(store.table("signals")).collect().rows()
    assert sum(row[2] for row in found) > 400


def test_every_interaction_is_the_same_row(session: Any, store: Store) -> None:
    rows = on_spark.frame(session, store.files("signals"))

    found = heavy_pass.completed(heavy_pass.partials(rows)).collect()
    own = heavy_pass.completed(heavy_pass.partials(store.table("signals"))).collect()

    assert sorted(map(tuple, found)) == sorted(own.rows())


def test_a_store_given_a_session_lets_it_count_the_days(session: Any, store: Store) -> None:
    own = Store(store.path, results=RESULTS)
    given = Store(store.path, results=RESULTS, spark=session)
    window = own.window("2d")

    assert given.table("daily").collect().equals(own.table("daily").collect())
    assert given.table("daily", window).collect().equals(own.table("daily", window).collect())
    assert given.at(given.version).spark is session


def test_a_store_without_signals_is_an_empty_frame(session: Any, tmp_path: Path) -> None:
    rows = on_spark.frame(session, Store(tmp_path).files("signals"))

    assert heavy_pass.answer(rows).collect() == []
