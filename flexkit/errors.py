"""What can go wrong, as one tree, and the exit code that each branch ends a command with.

::

    FlexkitError            1  failed: network, data, crash
    ├── UsageError          2  arguments, settings, parameters
    │   └── CredentialError 2  credentials missing or refused
    ├── FetchError          1  Twilio could not be read
    ├── ImportFileError     1  a file could not be read as evidence
    ├── SchemaError         1  a frame lacks what a function needs
    ├── StoreError          1  the data folder cannot be read or written
    └── ReportError         1  a notebook failed or a page could not be written
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BREACH = 3
    INCOMPLETE = 4


class FlexkitError(Exception):
    """Something failed; the message says what, where and what to do."""

    exit_code = ExitCode.FAILED

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the sentence, without a trace that adds nothing."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(FlexkitError):
    """An argument, a setting or a parameter is wrong."""

    exit_code = ExitCode.USAGE


class CredentialError(UsageError):
    """Credentials are missing or were refused; the message names the variable, never its value."""


class FetchError(FlexkitError):
    """Twilio could not be read, or the transport refused an unsafe request."""


class ImportFileError(FlexkitError):
    """A file could not be read as evidence; nothing of it was stored."""


class SchemaError(FlexkitError):
    """A frame lacks a column or has one of another type."""


class StoreError(FlexkitError):
    """The data folder cannot be read or written; what it held is unchanged."""


class ReportError(FlexkitError):
    """A notebook failed, or its page could not be written."""
