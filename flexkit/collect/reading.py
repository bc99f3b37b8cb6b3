"""Files to JSON values with line numbers, in bounded memory, plain or gzip; what cannot be read says why."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from flexkit.errors import ImportFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST = 16 * 1024 * 1024
"""Bytes of the longest line, or single JSON value, that is read."""
_HEAD = 1024 * 1024
_CHUNK = 256 * 1024
_FORMATS = {
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"PAR1": "a Parquet file: export JSON lines instead",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it, or compress it with gzip",
    b"\xfd7zXZ\x00": "compressed with xz: unpack it, or compress it with gzip",
    b"BZh": "compressed with bzip2: unpack it, or compress it with gzip",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"%PDF": "a PDF: export JSON lines or CSV",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One JSON value of a file, or why it cannot be read; ``text`` is its own text where it was a whole line."""

    line: int
    value: Any = None
    text: str | None = None
    problem: str | None = None


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of the file at *path*, unpacked; raises `ImportFileError` where it is no text at all.

    A gzip file is read to its end once before, so that a truncated one is refused as a whole.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(_HEAD)
            if not head:
                _refuse("it is empty: export it again, or leave it out")
            raw.seek(0)
            if not head.startswith(b"\x1f\x8b"):
                _check_text(head)
                yield raw
                return
        _check_gzip(path)
        with gzip.open(path) as unpacked:
            yield cast("IO[bytes]", unpacked)
    except FileNotFoundError:
        _refuse("there is no such file: check its name")
    except IsADirectoryError:
        _refuse("it is a folder: name the files in it")
    except PermissionError:
        _refuse("no permission to read it: make it readable")
    except OSError as error:
        _refuse(f"it cannot be read ({error.strerror or error}): copy it again")


def _check_gzip(path: Path) -> None:
    try:
        with gzip.open(path) as unpacked:
            head = unpacked.read(_HEAD)
            while unpacked.read(4 * _CHUNK):
                pass
    except EOFError:
        _refuse("the gzip file is truncated: copy it again (nothing of it was read)")
    except (zlib.error, gzip.BadGzipFile):
        _refuse("the gzip file is damaged: copy it again (nothing of it was read)")
    if not head:
        _refuse("it is empty: export it again, or leave it out")
    _check_text(head)


def _check_text(head: bytes) -> None:
    for magic, advice in _FORMATS.items():
        if head.startswith(magic):
            _refuse(f"it is {advice}")
    if b"\x00" in head:
        _refuse("it is binary, not text: export JSON lines, JSON or CSV")
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        _refuse("it holds only white space: export it again, or leave it out")


def _refuse(what: str) -> NoReturn:
    raise ImportFileError(what)


def lines(file: IO[bytes]) -> Iterator[tuple[int, str | None, str | None]]:
    """Number, text and problem of each line that is not blank; one that is too long is skipped, not read."""
    number = 0
    while raw := file.readline(LONGEST + 1):
        number += 1
        if len(raw) > LONGEST and not raw.endswith(b"\n"):
            while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield number, None, f"the line is longer than {LONGEST // 1024**2} MB: write one record per line"
            continue
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            text = raw.decode().strip()
        except UnicodeDecodeError:
            yield number, None, "the line is not UTF-8: export it in UTF-8"
            continue
        if text:
            yield number, text, None


def json_lines(file: IO[bytes]) -> Iterator[Piece]:
    """One value per line; a line that is no JSON is a piece with a problem."""
    for number, text, problem in lines(file):
        if text is None:
            yield Piece(number, problem=problem)
            continue
        try:
            yield Piece(number, value=parsed(text), text=text)
        except (ValueError, RecursionError) as error:
            yield Piece(number, text=text, problem=_not_json(text, error))


def parsed(text: str) -> Any:
    """The value of JSON *text*; NaN and Infinity, which are no JSON, raise `ValueError`."""
    return _JSON.decode(text)


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def _not_json(text: str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    cut = isinstance(error, json.JSONDecodeError) and (
        error.pos >= len(text) - 1 or error.msg.startswith("Unterminated string")
    )
    if cut:
        return "the line ends in the middle of a JSON value: the file may have been cut off; export it again"
    said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return f"the line is not JSON ({said[:60]}): repair it or leave it out"


def json_document(file: IO[bytes]) -> Iterator[Piece]:
    """The values of a JSON document: the items of an array one by one, or objects one after the other.

    Reads as far as the text is JSON; where it stops being JSON the last piece says so.
    """
    source = _Text(file)
    depth = 0
    while (mark := source.peek()) != "":
        if mark == "[" and depth == 0:
            depth = 1
            source.skip()
        elif mark == "]" and depth == 1:
            depth = 0
            source.skip()
        elif mark == ",":
            source.skip()
        else:
            piece = source.value()
            yield piece
            if piece.problem:
                return
    if depth:
        yield Piece(source.line, problem="the file ends in the middle of an array: it may have been cut off")


class _Text:
    """Text of a file of which only the part that is being decoded is in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._buffer = ""
        self._at = 0
        self._ended = False
        self.line = 1

    def _more(self, size: int = 0) -> None:
        raw = self._file.read(max(size, _CHUNK))
        self._ended = not raw
        try:
            new = self._decode.decode(raw, final=self._ended)
        except UnicodeDecodeError:
            new, self._ended = "\ufffd", True
        self._buffer = self._buffer[self._at :] + new
        self._at = 0

    def peek(self) -> str:
        """The next character that is not white space, or nothing at the end."""
        while True:
            rest = self._buffer[self._at :]
            bare = rest.lstrip()
            blank = rest[: len(rest) - len(bare)]
            self.line += blank.count("\n")
            self._at += len(blank)
            if bare:
                return bare[0]
            if self._ended:
                return ""
            self._more()

    def skip(self) -> None:
        self._at += 1

    def value(self) -> Piece:
        """The value that begins here; more is read until it is whole or longer than allowed."""
        began = self.line
        while True:
            try:
                value, end = _JSON.raw_decode(self._buffer, self._at)
            except RecursionError:
                return Piece(began, problem="the JSON is nested too deeply")
            except ValueError as error:
                held = len(self._buffer) - self._at
                if self._ended:
                    said = getattr(error, "msg", str(error))[:60]
                    return Piece(began, problem=f"not JSON from here on ({said}): the file may have been cut off")
                if held > LONGEST:
                    megabytes = LONGEST // 1024**2
                    return Piece(began, problem=f"no whole JSON value within {megabytes} MB: write one record per line")
                self._more(held)
                continue
            self.line += self._buffer.count("\n", self._at, end)
            self._at = end
            return Piece(began, value=value)


def layout(file: IO[bytes]) -> str:
    """How a file is laid out: ``lines`` of JSON, one JSON ``document``, or ``csv``; rewinds the file."""
    head = file.read(_HEAD).removeprefix(codecs.BOM_UTF8)
    file.seek(0)
    found = [line.strip() for line in head.splitlines() if line.strip()]
    # The last line may be cut off by the size of the head; alone it must do.
    if len(head) >= _HEAD and len(found) > 1:
        found = found[:-1]
    first = found[0]
    if len(head) >= _HEAD and len(found) == 1 and first[:1] != b"[":
        return "lines"  # One long line: it is for the reader of lines to judge its length.
    if first[:1] not in (b"{", b"["):
        return "lines" if any(line[:1] == b"{" and _is_json(line) for line in found[1:50]) else "csv"
    if _is_json(first):
        return "lines"
    if len(found) == 1:
        return "document" if first[:1] == b"[" else "lines"
    whole_second = first not in (b"{", b"[") and _is_json(found[1]) and found[1][:1] == b"{"
    return "lines" if whole_second else "document"


def _is_json(line: bytes) -> bool:
    try:
        parsed(line.decode())
    except (ValueError, RecursionError):
        return False
    return True
