"""Running reports: checked before, whole or a failure page after, and the right exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from flexkit.errors import ExitCode, ReportError, UsageError
from flexkit.report import making
from flexkit.report import run as run_module
from flexkit.report.folder import LocalFolder
from flexkit.report.run import ReportSummary, run_reports
from flexkit.settings import settings
from flexkit.tables.schema import REJECTS
from flexkit.tables.store import Store
from tests.report.notebooks import answering, drawing, notebook

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec-sunflower-lemon-42"  # noqa: S105 - planted, to be looked for


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


def run(path: Path, out: Path, **options: Any) -> ReportSummary:
    """Run one notebook."""
    return run_reports([str(path)], data=path.parent / "store", out=out, **options)


def left_in(folder: Path) -> set[str]:
    """The files below *folder*, without locks."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".locks" not in path.parts
    }


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def only_run(out: Path, name: str) -> Path:
    (found,) = (path for path in (out / name).iterdir() if path.is_dir())
    return found


FAILURES = {
    "a failing cell": ("frame = {}['handler']", "cell-0", "KeyError: 'handler'", False),
    "a kernel that dies": ("import os; os._exit(9)", "cell-0", "The kernel died", False),
    "a time-out": ("import time; time.sleep(30)", "cell-0", "The cell took longer than 2 seconds", True),
    "an exit": ("import sys; sys.exit(3)", "cell-0", "SystemExit: 3", False),
    "personal data": (
        "raise ValueError('alice@example.com +15551234567 in /home/alice/x.py\\nline two')", "cell-0",
        "ValueError: [email] [phone] in …/x.py", False,
    ),
    "markup": ("raise ValueError('<script>alert(1)</script>')", "cell-0", "ValueError: <script>", False),
}  # fmt: skip


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of failure, in one run of five notebooks and one with a short time-out."""
    folder = tmp_path_factory.mktemp("failures")
    quick, slow = [], []
    for case, (code, _, _, is_slow) in FAILURES.items():
        path = notebook(folder, named(case), code, answering())
        (slow if is_slow else quick).append(str(path))
    summary = run_reports(quick, data=folder, out=folder / "out")
    assert summary.exit_code == ExitCode.FAILED
    assert run_reports(slow, data=folder, out=folder / "out", timeout=2).exit_code == ExitCode.FAILED
    return folder / "out"


def named(case: str) -> str:
    return "broken-" + case.replace(" ", "-")


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_leaves_a_page_with_notebook_cell_and_first_line_and_nothing_else(failures: Path, case: str) -> None:
    _, cell, reason, _ = FAILURES[case]

    folder = only_run(failures, named(case))
    assert left_in(folder) == {"report.html", "run.json"}
    record = json.loads((folder / "run.json").read_text())
    assert (record["verdict"], record["error"]["cell"]) == ("failed", cell)
    assert record["error"]["reason"].startswith(reason)
    page = (folder / "report.html").read_text()
    assert named(case) in page
    assert "<script" not in page
    for hidden in ("Traceback", "line two", "alice", "15551234567", str(failures.parent)):
        assert hidden not in page + (folder / "run.json").read_text()


def test_a_report_is_one_page_one_record_and_a_notebook(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = notebook(shelf, "small", answering(), "## Up", drawing())

    summary = run(path, out, parameters={"tries": "5"}, fail_above=0.5)

    assert summary.exit_code == ExitCode.OK
    folder = only_run(out, "small")
    assert left_in(out) == {"index.html", "small/latest.html", *(f"small/{folder.name}/{name}" for name in (
        "report.html", "run.json", "notebook.ipynb"))}  # fmt: skip
    record = json.loads((folder / "run.json").read_text())
    assert record["metrics"] == {"dup_share": 0.02, "completed_interactions": 100}
    assert record["parameters"] == {"since": "", "fail_above": 0.5, "tries": 5, "is_loud": False, "time_zone": "UTC"}
    assert record["previous"] is None
    assert re.fullmatch(r"\d{8}T\d{6}Z", folder.name)
    assert summary.to_dict()["reports"][0]["path"] == str(folder / "report.html")
    assert summary.lines()[-1] == str(out / "index.html")


def test_the_executed_notebook_is_signed_valid_and_tells_no_place(shelf: Path, tmp_path: Path) -> None:
    path = notebook(shelf, "small", answering(), f"print({str(tmp_path)!r}, '/home/alice/x')")

    run(path, tmp_path / "out")

    written = only_run(tmp_path / "out", "small") / "notebook.ipynb"
    book = nbformat.read(written, as_version=4)
    nbformat.validate(book)
    assert nbformat.sign.NotebookNotary().check_signature(book)
    assert "papermill" in book.metadata
    # The path that the cell itself spells is source; what it printed is scrubbed.
    outputs = json.dumps([cell.get("outputs") for cell in book.cells] + [book.metadata])
    assert str(tmp_path) not in outputs
    assert "/home/alice" not in outputs


def test_a_notebook_sees_the_store_but_no_secret(monkeypatch: pytest.MonkeyPatch, shelf: Path, tmp_path: Path) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "TWILIO_API_SECRET", "FLEXKIT_PSEUDONYM_KEY"):
        monkeypatch.setenv(name, SECRET)
    settings.cache_clear()
    path = notebook(shelf, "nosy", "import os\nprint(sorted(os.environ.items()))", answering())

    summary = run(path, tmp_path / "out")

    everything = "".join(found.read_text() for found in (tmp_path / "out").rglob("*") if found.is_file())
    assert summary.exit_code == ExitCode.OK
    assert SECRET not in everything
    assert "FLEXKIT_DATA" in everything


def test_a_secret_that_a_cell_knows_is_replaced_everywhere(
    monkeypatch: pytest.MonkeyPatch, shelf: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    settings.cache_clear()
    path = notebook(shelf, "leaky", f"print({SECRET[:6]!r} + {SECRET[6:]!r})", answering(headline=SECRET[:9]))

    run(path, tmp_path / "out")

    everything = "".join(found.read_text() for found in (tmp_path / "out").rglob("*") if found.is_file())
    assert SECRET not in everything
    assert "[secret]" in everything


def test_what_a_cell_prints_is_scrubbed_like_evidence(shelf: Path, tmp_path: Path) -> None:
    printed = "import sys\nprint('alice@example.com')\nprint('+1 555 123 4567', file=sys.stderr)\nprint('  kept')"
    path = notebook(
        shelf, "chatty", printed.replace("alice@", "ali' + 'ce@").replace("555 1", "555' + ' 1"), answering()
    )

    run(path, tmp_path / "out")

    everything = "".join(found.read_text() for found in (tmp_path / "out").rglob("*") if found.is_file())
    assert "alice@example.com" not in everything
    assert "555 123" not in everything
    assert "[email]" in everything
    assert "  kept" in everything


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [(["ok", "ok"], 0), (["ok", "undecided"], 4), (["undecided", "breach"], 3), (["breach", "failed"], 1)],
)
def test_the_worst_verdict_ends_the_command(verdicts: list[str], code: int) -> None:
    summary = ReportSummary(tuple({"verdict": verdict} for verdict in verdicts), ("", ""), "", 0.0)

    assert summary.exit_code == code


def test_a_breach_is_told_to_the_hook_on_its_stdin(shelf: Path, tmp_path: Path) -> None:
    path = notebook(shelf, "loud", answering("breach"))
    heard = tmp_path / "heard.json"
    hook = f"{sys.executable} -c \"import sys; open('{heard}', 'w').write(sys.stdin.read())\""

    summary = run(path, tmp_path / "out", on_breach=hook)

    assert summary.exit_code == ExitCode.BREACH
    assert json.loads(heard.read_text())["verdict"] == "breach"
    assert summary.notes == ()


def test_a_hook_that_fails_is_noted_and_changes_nothing() -> None:
    notes = run_module._notify("no-such-command --at-all", [{"report": "loud", "verdict": "breach"}])
    ended = run_module._notify(f"{sys.executable} -c 'raise SystemExit(7)'", [{"report": "loud", "verdict": "breach"}])

    assert "did not run" in notes[0]
    assert "ended with code 7" in ended[0]


@pytest.mark.parametrize("verdict", ["ok", "undecided", "failed"])
def test_the_hook_is_not_called_without_a_breach(verdict: str) -> None:
    assert run_module._notify("no-such-command", [{"report": "calm", "verdict": verdict}]) == []


def test_the_next_run_is_compared_with_the_last_and_only_so_many_are_kept(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = notebook(shelf, "small", answering(share=0.05))
    run(path, out)
    notebook(shelf, "small", answering(share=0.02))

    second = run(path, out)
    run(path, out, keep=2)

    previous = second.records[0]["previous"]
    assert previous["changes"]["dup_share"] == pytest.approx(-0.03)
    assert "5% → <b>2%</b>" in Path(second.paths[0]).read_text()
    assert len(LocalFolder(out).runs()) == 2
    assert "−3.00 points" in (out / "index.html").read_text()


def test_a_failed_run_leaves_the_last_good_one_and_leads_to_it(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    good = run(notebook(shelf, "small", answering()), out)
    run(notebook(shelf, "small", "1 / 0"), out)

    latest = (out / "small" / "latest.html").read_text()

    assert Path(good.paths[0]).is_file()
    assert f'href="{Path(good.paths[0]).parent.name}/report.html"' in latest


def test_one_failing_report_does_not_stop_the_others(shelf: Path, tmp_path: Path) -> None:
    paths = [notebook(shelf, "broken", "1 / 0"), notebook(shelf, "fine", answering())]
    lines: list[str] = []

    summary = run_reports(
        [str(path) for path in paths], data=shelf, out=tmp_path / "out", jobs=2, progress=lines.append
    )

    assert [record["verdict"] for record in summary.records] == ["failed", "ok"]
    assert summary.exit_code == ExitCode.FAILED
    assert sorted(line.partition(":")[0] for line in lines) == ["broken", "broken", "fine", "fine"]


@pytest.mark.parametrize("wrong", [{"parameters": {"tries": "many"}}, {"since": "soon"}, {"fail_above": 7.0}])
def test_nothing_starts_and_nothing_is_left_where_a_parameter_is_wrong(
    shelf: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    path = notebook(shelf, "small", answering())

    with pytest.raises(UsageError):
        run(path, tmp_path / "out", **wrong)

    assert not (tmp_path / "out").exists()


def test_the_data_folder_is_no_parameter(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        run(notebook(shelf, "small"), tmp_path / "out", parameters={"data": "/elsewhere"})


def test_a_full_disk_leaves_no_half_report(monkeypatch: pytest.MonkeyPatch, shelf: Path, tmp_path: Path) -> None:
    path = notebook(shelf, "small", answering())

    def full(_: Path, __: str) -> None:
        msg = "Cannot write report.html: No space left on device. Make room, or name another folder with --out."
        raise ReportError(msg)

    monkeypatch.setattr(making, "_write", full)

    summary = run(path, tmp_path / "out")

    assert summary.exit_code == ExitCode.FAILED
    assert "No space left" in summary.records[0]["headline"]
    assert left_in(tmp_path / "out") == {"index.html"}


def test_a_page_that_cannot_be_rendered_is_a_failure_page(
    monkeypatch: pytest.MonkeyPatch, shelf: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr("flexkit.report.html.page", lambda *_: 1 / 0)

    summary = run(notebook(shelf, "small", answering()), tmp_path / "out")

    assert summary.exit_code == ExitCode.FAILED
    assert "could not be rendered" in summary.records[0]["error"]["cell"]
    assert left_in(only_run(tmp_path / "out", "small")) == {"report.html", "run.json"}


def test_a_second_run_of_the_same_report_is_refused_and_says_so(shelf: Path, tmp_path: Path) -> None:
    path = notebook(shelf, "small", answering())
    out = tmp_path / "out"

    with LocalFolder(out).lock("small", wait=0):
        summary = run(path, out)

    assert summary.exit_code == ExitCode.FAILED
    assert "Another run is writing small" in summary.records[0]["headline"]
    assert LocalFolder(out).runs() == []


def test_reports_go_to_any_place_that_fsspec_knows(shelf: Path) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    files.store.clear()

    summary = run(notebook(shelf, "small", answering()), "memory://there/reports")  # type: ignore[arg-type]

    names = {name.split("/")[-1] for name in files.find("/there/reports")}
    assert summary.exit_code == ExitCode.OK
    assert names == {"index.html", "latest.html", "report.html", "run.json", "notebook.ipynb"}


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "a scheduler's stop"])
def test_a_run_that_is_stopped_ends_at_once_and_leaves_no_report(
    shelf: Path, tmp_path: Path, signal_: signal.Signals
) -> None:
    path = notebook(shelf, "slow", f"open({str(tmp_path / 'begun')!r}, 'w'); import time; time.sleep(60)", answering())
    out = tmp_path / "out"
    held = tmp_path / "held"
    Store(held).add({"rejects": REJECTS.empty()})
    command = ["report", str(path), "--out", str(out), "--data", str(held)]
    # As at a terminal: a script that starts the tests with "&" has SIGINT ignored.
    listens = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{listens}; import sys; from flexkit.cli import main; sys.exit(main({command!r}))"
    running = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    until((tmp_path / "begun").exists)

    running.send_signal(signal_)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert said.endswith("flexkit: interrupted; all that was written is kept.\n")
    assert "Traceback" not in said
    assert LocalFolder(out).runs() == []
    assert not list((out / "slow").glob("*/*"))


def test_an_interrupted_run_leaves_nothing_half_written(shelf: Path, tmp_path: Path) -> None:
    path = notebook(shelf, "slow", "print('x', flush=True)\nimport time; time.sleep(60)", answering())
    out = tmp_path / "out"
    script = (
        "from pathlib import Path\nfrom flexkit.report.run import run_reports\n"
        f"run_reports([{str(path)!r}], data=Path('.'), out={str(out)!r}, progress=lambda line: print(line, flush=True))"
    )
    running = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert running.stdout is not None
    assert running.stdout.readline() == "slow: running\n"
    running.kill()
    running.wait(60)

    summary = run(notebook(shelf, "slow", answering()), out)

    assert summary.exit_code == ExitCode.OK
    assert len(LocalFolder(out).runs()) == 1
    assert not list((out / "slow").glob(".*.part"))
