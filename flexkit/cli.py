"""The commands: a thin shell that parses, calls, prints and ends with an exit code.

stdout carries the result, stderr the log and the progress bar. Everything heavy is imported by the
command that needs it, so that ``flexkit --help`` answers at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flexkit import __version__
from flexkit.ending import run_to_the_end
from flexkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Data folder. Default: $FLEXKIT_DATA, else ./data/store, else (to read) the embedded sample.",
)
_SINCE = click.option("--since", default="", metavar="T", help="From: an ISO instant or date, or 7d, 24h.")
_UNTIL = click.option("--until", default="", metavar="T", help="To, exclusive: an ISO instant or date.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="flexkit")
def cli() -> None:
    """How often are Twilio Flex Interactions completed twice (warning 80906), why, and did the fix work?

    Exit codes: 0 ok · 1 failed · 2 usage · 3 report written, threshold breached · 4 incomplete: a report
    that cannot tell, or a fetch that left something open.
    """


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_DATA
@click.option("--out", default="reports", metavar="DIR", help="Where reports go; default: reports.")
@_SINCE
@_UNTIL
@click.option("-p", "parameters", multiple=True, metavar="NAME=VALUE", help="Any other notebook parameter.")
@click.option("--fail-above", type=click.FloatRange(0, 1), metavar="RATE", help="Threshold for the verdict.")
@click.option("--as-of", default="", metavar="VERSION", help="The data as an earlier run saw them.")
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Keep only the newest N runs of each report.")
@click.option("--on-breach", default="", metavar="COMMAND", help="Run COMMAND with run.json on stdin on a breach.")
@click.option("--jobs", type=click.IntRange(1, 16), default=2, show_default=True, help="Kernels side by side.")
@click.option("--timeout", type=click.IntRange(1), default=600, show_default=True, help="Seconds a cell may take.")
@_JSON
def report(names: tuple[str, ...], data: Path | None, parameters: tuple[str, ...], **options: Any) -> None:
    """Run notebooks (all by default) and render them as HTML."""
    from flexkit.locate import is_sample, store_folder
    from flexkit.report.run import run_reports

    as_json = options.pop("as_json")
    given = dict(_assignment(text) for text in parameters)
    folder = store_folder(data)
    if is_sample(folder):
        _log("No data folder is set: reading the embedded sample (a simulated contact centre).")
    summary = run_reports(
        names,
        data=folder,
        parameters=given,
        progress=_log,
        **options,
    )
    _print(summary, as_json=as_json)
    raise SystemExit(summary.exit_code)


@cli.command()
@_DATA
@_SINCE
@_UNTIL
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only these sources; may be repeated.")
@click.option("--without", multiple=True, metavar="NAME", help="All but these sources; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked, in about how many requests.")
@click.option("--keep-raw", type=click.Path(path_type=Path), metavar="DIR", help="Keep raw records there as well.")
@_JSON
def fetch(data: Path | None, *, since: str, until: str, as_json: bool, **options: Any) -> None:
    """Read from Twilio into the store. Only ever reads: flexkit sends no request that changes anything."""
    # One thread for frames: more would take turns from the thread that asks Twilio, and memory. Read on import.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    from flexkit.collect.twilio_api import run_fetch

    summary = run_fetch(_writable(data), since=since, until=until, log=_log, **options)
    _print(summary, as_json=as_json)
    raise SystemExit(summary.exit_code)


@cli.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@_DATA
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="CSV: which column holds what.")
@click.option("--tz", default=None, metavar="ZONE", help="CSV: time zone of its times, such as Europe/Berlin.")
@click.option("--keep-raw", type=click.Path(path_type=Path), metavar="DIR", help="Keep raw records there as well.")
@_JSON
def import_(files: tuple[Path, ...], data: Path | None, columns: tuple[str, ...], **options: Any) -> None:
    """Read files into the store: captured webhooks, Event Streams, REST pages, completion logs, alert CSV."""
    from flexkit.collect.files import import_files
    from flexkit.settings import settings
    from flexkit.tables.store import Store

    as_json = options.pop("as_json")
    chosen = settings()
    summary = import_files(
        Store(_writable(data)),
        files,
        csv_columns=dict(_assignment(text) for text in columns) or None,
        auth_token=_secret(chosen.twilio_auth_token),
        pseudonym_key=_secret(chosen.flexkit_pseudonym_key),
        **options,
    )
    _print(summary, as_json=as_json)
    raise SystemExit(summary.exit_code)


@cli.command()
@_DATA
@click.option("--interactions", type=click.IntRange(1), default=20_000, show_default=True, metavar="N")
@click.option("--days", type=click.IntRange(1), default=63, show_default=True, metavar="N")
@click.option("--seed", type=int, default=80906, show_default=True, metavar="N")
@click.option("--scenario", default="sample", show_default=True, metavar="NAME", help="Which contact centre.")
def simulate(data: Path | None, **options: Any) -> None:
    """Write a labelled synthetic contact centre: evidence files, labels, and the store made from them."""
    from flexkit.collect.files import import_files
    from flexkit.collect.simulate import simulate as write
    from flexkit.locate import evidence_files, is_store
    from flexkit.tables.store import Store

    folder = _writable(data)
    if is_store(folder):
        msg = f"{folder} already holds a store. Simulated and real evidence must not mix: name an empty folder."
        raise UsageError(msg)
    write(folder, **options)
    store = Store(folder)
    store.add({})  # An empty centre is a store too.
    _print(import_files(store, evidence_files(folder)), as_json=False)
    _log(f"Labels and true figures, which no analysis reads: {folder / 'labels.csv'}, {folder / 'truth.json'}")


@cli.command()
@click.argument("table")
@click.argument("file", type=click.Path(path_type=Path))
@_DATA
@_SINCE
@_UNTIL
@click.option(
    "--engine", type=click.Choice(["polars", "spark"]), default="polars", show_default=True,
    help="What computes the table 'daily': Spark is that of SPARK_REMOTE, or one on this machine.",
)  # fmt: skip
def export(table: str, file: Path, data: Path | None, *, since: str, until: str, engine: str) -> None:
    """Write any TABLE or result to FILE: .parquet, .csv, .json or .jsonl."""
    from flexkit.locate import open_store
    from flexkit.tables.export import export as write

    session = None
    if engine == "spark":
        from flexkit.tables import spark

        if table != "daily":
            msg = f"Spark computes the table 'daily', not {table!r}. Leave --engine out."
            raise UsageError(msg)
        session = spark.session()
    store = open_store(data, spark=session)
    window = store.window(since, until) if since or until else None
    rows = write(store.table(table, window), file)
    click.echo(f"{file}: {rows} rows of {table}")


@cli.command()
@_DATA
@_JSON
def status(data: Path | None, *, as_json: bool) -> None:
    """What the store holds: rows, windows, gaps, age, rejects, handlers without a name."""
    from flexkit.analyse.quality import status as of
    from flexkit.locate import open_store

    _print(of(open_store(data)), as_json=as_json)


@cli.command()
@_DATA
@click.option("--labels", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write a page here.")
@_JSON
def evaluate(data: Path | None, labels: Path, out: Path | None, *, as_json: bool) -> None:
    """Causes against labels: confusion matrix, precision, recall, abstention, calibration of the statuses."""
    from flexkit.analyse.evaluate import evaluate as score
    from flexkit.locate import open_store
    from flexkit.tables.export import read_labels

    store = open_store(data)
    told = score(store.table("causes"), read_labels(labels))
    if out is not None:
        from flexkit.report.evaluation import write_page

        _log(f"The page of this evaluation: {write_page(told, out, labels=labels.name, data_version=store.version)}")
    _print(told, as_json=as_json)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Copy the notebooks into FOLDER for exploring."""
    import shutil

    from flexkit.locate import notebooks_folder

    folder.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(notebooks_folder().glob("*.ipynb")):
        target = folder / notebook.name
        if target.exists():
            _log(f"{target} exists: left as it is.")
            continue
        shutil.copyfile(notebook, target)
        click.echo(target)
    _log(f"Open them with: jupyter lab {folder}")


@cli.command()
@click.argument("interactions", nargs=-1, required=True, metavar="KD...")
@_DATA
def show(interactions: tuple[str, ...], data: Path | None) -> None:
    """One interaction's timeline and cause."""
    from flexkit.locate import open_store
    from flexkit.present.timeline import show as draw

    store = open_store(data)
    for sid in interactions:
        draw(store, sid)


def _writable(data: Path | None) -> Path:
    """The folder to write to: never the embedded sample."""
    from flexkit.locate import data_folder

    return data_folder(data) or Path("data/store")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        msg = f"{text!r} is not NAME=VALUE."
        raise UsageError(msg)
    return name.strip(), value


def _secret(value: Any) -> str | None:
    return None if value is None else str(value.get_secret_value())


def _log(line: str) -> None:
    click.echo(line, err=True)


def _print(summary: Any, *, as_json: bool) -> None:
    if as_json:
        import json

        click.echo(json.dumps(summary.to_dict(), default=str))
        return
    for line in summary.lines():
        click.echo(line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; every failure ends with one sentence on stderr and its exit code."""
    run_to_the_end(cli, arguments)


if __name__ == "__main__":
    main()
