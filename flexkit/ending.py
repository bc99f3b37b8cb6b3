"""How commands end: with their own exit code, or with one sentence on stderr and the code of what went wrong."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flexkit.errors import ExitCode, FlexkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def run_to_the_end(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Run *command* with *arguments* (default: those of the process); raises `SystemExit` where it does not just end.

    With ``--json`` among them a failure is an object on stdout as well: ``error`` and ``exit_code``.
    """
    run: Callable[..., Any] = command.main
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        run(args=arguments, prog_name="flexkit", standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:
        _fail("interrupted; all that was written is kept.", 130, as_json=as_json)
    except click.ClickException as error:
        error.show()
        _end(error.format_message(), ExitCode.USAGE, as_json=as_json)
    except FlexkitError as error:
        _fail(str(error), error.exit_code, as_json=as_json)
    except BrokenPipeError:  # The reader of a pipe went away, as 'head' does.
        sys.stderr.close()
        sys.exit(ExitCode.OK)
    except Exception as error:  # The last door: a crash is one sentence and exit code 1
        if os.environ.get("FLEXKIT_DEBUG"):
            raise
        first = str(error).strip().partition("\n")[0][:200]
        said = f"unexpected {type(error).__name__}: {first} (FLEXKIT_DEBUG=1 shows where)"
        _fail(said, ExitCode.FAILED, as_json=as_json)


def _fail(sentence: str, code: int, *, as_json: bool) -> NoReturn:
    click.echo(f"flexkit: {sentence}", err=True)
    _end(sentence, code, as_json=as_json)


def _end(sentence: str, code: int, *, as_json: bool) -> NoReturn:
    """End with *code*; for machines with the object that they wait for on stdout."""
    if as_json:
        import json

        click.echo(json.dumps({"error": sentence, "exit_code": int(code)}))
    sys.exit(code)
