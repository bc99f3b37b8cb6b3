"""The shell: help at once, usage errors as one sentence and exit code 2, results on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flexkit.cli import main
from flexkit.errors import ExitCode, UsageError
from flexkit.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

NO_STORE = "There is no flexkit data in"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    code = 0
    try:
        main(list(arguments))
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_the_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")

    assert code == ExitCode.OK
    commands = ("report", "fetch", "import", "simulate", "export", "status", "evaluate", "init", "show")
    assert all(f"\n  {name} " in out for name in commands)
    assert "3 report written, threshold breached" in " ".join(out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("rport",),
        ("report", "--fail-above", "7"),
        ("report", "-p", "no-equals-sign"),
        ("report", "no_such_notebook"),
        ("report", "--since", "yesterday"),
        ("export", "no_such_table", "out.csv"),
        ("show", "not-a-sid"),
        ("simulate", "--days", "0"),
        ("evaluate", "--labels", "missing.csv"),
        ("fetch",),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_a_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = run(capsys, *arguments)

    assert code == ExitCode.USAGE, err
    assert not out
    assert "Traceback" not in err
    assert "unexpected" not in err


@pytest.mark.parametrize(
    "command", [("report",), ("status",), ("export", "alerts", "a.csv"), ("show", "KD" + "0" * 32)]
)
def test_a_named_folder_without_data_says_how_to_fill_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, _, err = run(capsys, *command, "--data", str(tmp_path / "nothing"))

    assert code == ExitCode.FAILED
    assert NO_STORE in err
    assert "flexkit import FILE" in err


def test_fetching_without_an_account_names_the_variables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "fetch", "--data", str(tmp_path / "store"))

    assert code == ExitCode.USAGE
    assert "TWILIO_ACCOUNT_SID" in err


def test_a_malformed_setting_is_named_but_its_value_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "ACsecret-looking-value")

    code, _, err = run(capsys, "fetch", "--data", str(tmp_path / "store"))

    assert code == ExitCode.USAGE
    assert "TWILIO_ACCOUNT_SID" in err
    assert "secret-looking" not in err


def test_simulating_into_a_store_with_data_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = ("simulate", "--data", str(tmp_path / "s"), "--interactions", "200", "--days", "7")
    assert run(capsys, *small)[0] == ExitCode.OK

    code, _, err = run(capsys, *small)

    assert code == ExitCode.USAGE
    assert "must not mix" in err


def test_init_copies_the_notebooks_and_overwrites_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "init", str(tmp_path / "lab"))

    assert code == ExitCode.OK
    assert "overview.ipynb" in out
    (tmp_path / "lab" / "overview.ipynb").write_text("mine")
    _, out, err = run(capsys, "init", str(tmp_path / "lab"))
    assert not out
    assert "left as it is" in err
    assert (tmp_path / "lab" / "overview.ipynb").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--json", "--no-such"), "No such option '--no-such'"),
        (("report", "--json", "--fail-above", "7"), "'--fail-above'"),
        (("import", "--json"), "Missing argument 'FILE...'"),
        (("rport", "--json"), "No such command 'rport'"),
        (("show", "KD1", "--json"), "No such option '--json'"),
    ],
)
def test_with_json_a_wrong_option_is_one_json_object_too(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, *arguments)

    told = json.loads(out)
    assert (code, told["exit_code"]) == (ExitCode.USAGE, ExitCode.USAGE)
    assert said in told["error"]
    assert err.startswith("Usage: flexkit")
    assert f"Error: {told['error']}" in err


def test_with_json_a_failure_is_one_json_object_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "export", "no_such_table", "out.csv")
    assert (code, out) == (ExitCode.USAGE, "")

    code, out, err = run(capsys, "status", "--json", "--data", str(tmp_path / "nowhere"))
    told = json.loads(out)

    assert told["exit_code"] == code != ExitCode.OK
    assert told["error"] in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value", "shape"),
    [
        ("TWILIO_ACCOUNT_SID", "AC12", "AC and 32 hexadecimal digits"),
        ("TWILIO_API_KEY", "hunter2", "SK and 32 hexadecimal digits"),
        ("TWILIO_REGION", "Ireland", "such as ie1"),
        ("TWILIO_EDGE", "0", "such as dublin"),
    ],
)
def test_a_malformed_setting_is_named_with_its_shape_and_never_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, shape: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=rf"{name} .*{shape}") as caught:
        read_settings()

    assert repr(value) not in str(caught.value)
    capsys.readouterr()


def test_status_of_the_sample_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "status", "--json")

    assert code == ExitCode.OK
    assert {"alerts", "signals"} <= {row["table"] for row in json.loads(out)["tables"]}


def test_an_export_of_the_sample_holds_every_row_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import polars as pl

    code, out, _ = run(capsys, "export", "causes", str(tmp_path / "causes.parquet"))

    causes = pl.read_parquet(tmp_path / "causes.parquet")
    assert code == ExitCode.OK
    assert f"{causes.height} rows of causes" in out
    assert causes.select("interaction_sid", "occurred_at").is_unique().all()


def test_a_crash_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: object = None) -> None:
        raise ZeroDivisionError("first line\nsecond line with secrets")

    monkeypatch.setattr("flexkit.locate.open_store", crash)

    code, out, err = run(capsys, "status")

    assert (code, out) == (ExitCode.FAILED, "")
    assert "unexpected ZeroDivisionError: first line" in err
    assert "secrets" not in err


def test_the_installed_script_and_the_module_are_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flexkit.cli", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("flexkit, version ")
