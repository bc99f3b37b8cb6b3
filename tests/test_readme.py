"""The README is true: its commands run as they are printed, and the two that set up work from nothing."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flexkit.cli import cli

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (?P<how>command|by hand): (?P<name>[^>]*?) -->\n```bash\n(?P<text>.*?)```", re.DOTALL)
COMMANDS = {block["name"]: block["text"].strip() for block in BLOCK.finditer(README) if block["how"] == "command"}
SET_UP = ("run", "test")


def test_every_command_in_the_readme_is_run_or_says_why_not() -> None:
    assert len(BLOCK.findall(README)) == README.count("```bash")
    assert set(SET_UP) <= COMMANDS.keys()


def test_the_two_commands_are_one_line_each() -> None:
    assert all("\n" not in COMMANDS[name] for name in SET_UP)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git would hand out, in an empty folder; the two commands follow each other in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: there is no list of what belongs to it")
    top = tmp_path_factory.mktemp("fresh")
    for name in listed.stdout.decode().split("\0"):
        if name and (TOP / name).is_file():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TOP / name, top / name)
    return top


def environment(**extra: str) -> dict[str, str]:
    """An environment in which pip finds every package installed already and asks no index."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages")),
        "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),  # Page templates lie beside the packages.
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this one as its opposite: "0" switches isolation off.
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "FLEXKIT_NESTED": "1",
        **extra,
    }


def run(command: str, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.slow
def test_the_main_command_sets_up_and_reports(fresh: Path) -> None:
    done = run(COMMANDS["run"], fresh)

    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.endswith("reports/index.html")
    assert (fresh / last).is_file()


@pytest.mark.slow
def test_the_test_command_sets_up_and_tests(fresh: Path) -> None:
    """A few tests stand for all: the whole suite inside itself would not end."""
    done = run(COMMANDS["test"], fresh, PYTEST_ADDOPTS="tests/test_window.py -p no:cacheprovider")

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


SCHEDULED = re.findall(
    r"flexkit ((?:fetch|report) [^\n;>|]*)",
    "".join(re.findall(r"```(?:crontab|ini|yaml)\n(.*?)```", README, re.DOTALL)),
)


@pytest.mark.parametrize("line", SCHEDULED)
def test_what_the_examples_schedule_is_a_command_of_this_version(line: str) -> None:
    name, *arguments = shlex.split(line)

    context = cli.commands[name].make_context(name, arguments)

    assert context.params["data"] == Path("data/store")


def test_the_examples_are_three_and_well_formed() -> None:
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0])
    units = re.findall(r"```ini\n(.*?)```", README, re.DOTALL)[0]

    assert any("flexkit report" in str(step.get("run")) for step in workflow["jobs"]["report"]["steps"])
    assert [part.split("\n")[0] for part in units.split("# /etc/systemd/system/")[1:]] == [
        "flexkit.service",
        "flexkit.timer",
    ]
    assert len(SCHEDULED) == 6


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in SET_UP])
def test_the_other_commands_run_as_printed(name: str, tmp_path: Path) -> None:
    bin_folder = str(Path(sys.executable).parent)
    done = run(COMMANDS[name], tmp_path, PATH=bin_folder + os.pathsep + os.environ["PATH"])

    assert done.returncode == 0, done.stderr
