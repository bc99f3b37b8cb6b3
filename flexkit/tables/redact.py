"""Personal data and secrets replaced at the door: keyed pseudonyms, scrubbed text, masked records.

What the tables keep is chosen field by field (allow-lists in `flexkit.tables.normalize`). The free text
that remains, such as reasons and handler names, is scrubbed here. Addresses that are needed for
correlation become pseudonyms: an HMAC with a key that never enters a table, because a hash without a
key is undone by trying all phone numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import polars as pl

PSEUDONYM_DIGITS = 16
TEXT_LIMIT = 500
"""Characters of free text that a table keeps."""

_ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?"
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
_NAMES_OF_CREDENTIALS = (
    r"(?:access_?|auth_?|refresh_?|id_?|session_?)?token|(?:client_?|api_?)?secret|api[_-]?key|password|passwd|pwd|"
    r"authorization|x-twilio-signature|signature|set-cookie|cookie|credential"
)

# In this order: what hides a pattern goes first, the wide patterns go last.
_RULES: tuple[tuple[str, str], ...] = (
    (_ESCAPES, ""),
    (_CONTROLS, ""),
    (r"[\r\n\t]+", " "),
    # Address of a request: no user, no query, no fragment.
    (r"(?i)\b([a-z][a-z0-9+.-]{1,9}://)(?:[^/\s@\"'<>]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?", "${1}${2}"),
    (r"(?i)\b(bearer|basic)\s+[a-z0-9+/=._~-]{6,}", "$1 [secret]"),
    (r"\beyJ[\w-]{8,}\.[\w-]+\.?[\w-]*", "[secret]"),
    (rf"(?i)\b({_NAMES_OF_CREDENTIALS})(\"?'?\s*(?:=|:|%3D|%3A)\s*\"?'?)[^\s&\"',;]+", "$1$2[secret]"),
    (r"\bAKIA[0-9A-Z]{16}\b|\bxox[a-z]-[\w-]+|\bgh[pousr]_\w{20,}|\bsk_(?:live|test)_\w+", "[secret]"),
    # 32 hexadecimal digits without a SID's two letters are an auth token or a key.
    (r"\b[0-9a-fA-F]{32}\b|\b[0-9a-fA-F]{40}\b|\b[0-9a-fA-F]{64}\b", "[secret]"),
    (r"(?i)[a-z0-9._%+'-]+(?:@|%40|_40)[a-z0-9-]+(?:(?:\.|%2E|_2E)[a-z0-9-]+)*(?:\.|%2E|_2E)[a-z]{2,}", "[email]"),
    (r"(?i)\b(?:whatsapp|messenger|sms|tel|sip|client):\+?[^\s,;\"']+", "[address]"),
    (r"(?:\+|%2[Bb])\(?\d[\d ().-]{5,}\d", "[phone]"),
    (r"\(\d{3}\) ?\d{3}[ .-]\d{4}\b|\b\d{3}[ .-]\d{3}[ .-]\d{4}\b|\b\d{10,15}\b", "[phone]"),
    (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", "[ip]"),
    (r"\b(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}\b|\b(?:[0-9a-fA-F]{1,4}:){2,6}:[0-9a-fA-F]{0,4}\b", "[ip]"),
)


def scrub(text: pl.Expr, *, limit: int = TEXT_LIMIT) -> pl.Expr:
    """*text* without control characters, credentials, URL queries, e-mail, phone and IP addresses.

    At most *limit* characters; what becomes empty is null. Scrubbing scrubbed text changes nothing.
    """
    return text.map_batches(lambda texts: _scrubbed(texts, limit), return_dtype=pl.String, is_elementwise=True)


_MANY = 256
"""Distinct texts of a column up to which each is looked up among those known to be clean."""
_REMEMBERED = 4096
# Texts that no rule changes, so that none of them is personal. Most columns hold a few words, the same in every
# batch, and making the rules' regular expressions anew costs more than a batch of thousands.
_CLEAN: set[str] = set()


def _scrubbed(texts: pl.Series, limit: int) -> pl.Series:
    """Scrub each distinct text once: most columns hold few."""
    distinct = texts.drop_nulls().unique()
    few = distinct.to_list() if len(distinct) <= _MANY else None
    if few is not None and all(text in _CLEAN and len(text) <= limit for text in few):
        return texts.cast(pl.String)
    clean = distinct.to_frame("text").select(_rules(pl.col("text"), limit)).to_series()
    if few is not None:
        if len(_CLEAN) > _REMEMBERED:
            _CLEAN.clear()
        _CLEAN.update(text for text, shown in zip(few, clean.to_list(), strict=True) if text == shown)
    return texts.replace_strict(distinct, clean, default=None, return_dtype=pl.String)


def _rules(text: pl.Expr, limit: int) -> pl.Expr:
    # Regular expressions over a megabyte of text would cost more than what is kept of it.
    cleaned = text.str.slice(0, 4 * limit)
    for pattern, replacement in _RULES:
        cleaned = cleaned.str.replace_all(pattern, replacement)
    cleaned = cleaned.str.strip_chars()
    shown = pl.when(cleaned.str.len_chars() > limit).then(cleaned.str.slice(0, limit - 1) + "…").otherwise(cleaned)
    return pl.when(shown != "").then(shown)


def scrub_text(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """`scrub` for one text; an empty text for what becomes empty."""
    scrubbed = pl.select(scrub(pl.lit(text), limit=limit)).item()
    return scrubbed or ""


class Redactor:
    """Replaces addresses by keyed pseudonyms; the key is shown by neither repr nor error."""

    def __init__(self, key: bytes) -> None:
        if not key:
            msg = "The pseudonym key is empty. Set FLEXKIT_PSEUDONYM_KEY to a long random text, or unset it."
            raise ValueError(msg)
        self._key = hashlib.blake2b(key, digest_size=32, person=b"flexkit-pseudo").digest()

    def __repr__(self) -> str:
        return "Redactor(**********)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redactor) and hmac.compare_digest(self._key, other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def pseudonym(self, text: str) -> str:
        """The pseudonym of one text: 16 hexadecimal digits, the same for the same text and key."""
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:PSEUDONYM_DIGITS]

    def pseudonyms(self, texts: pl.Series) -> pl.Series:
        """The pseudonym of each text; null stays null."""
        distinct = texts.drop_nulls().unique()
        if distinct.is_empty():
            return pl.Series(texts.name, [None] * len(texts), dtype=pl.String)
        names = pl.Series([self.pseudonym(text) for text in distinct.to_list()], dtype=pl.String)
        return texts.replace_strict(distinct, names, default=None, return_dtype=pl.String)

    def identities(self, texts: pl.Series) -> pl.Series:
        """*texts* that must stay distinct: one that scrubbing would change becomes ``p:`` and its pseudonym."""
        rows = texts.alias("text").to_frame().with_columns(scrubbed=scrub(pl.col("text")))
        unsafe = pl.col("text").is_not_null() & pl.col("text").ne_missing(pl.col("scrubbed"))
        hidden = rows.select(pl.when(unsafe).then("text")).to_series()
        named = rows.with_columns(hidden=self.pseudonyms(hidden))
        return named.select(
            pl.when(unsafe).then(pl.lit("p:") + pl.col("hidden")).otherwise("text").alias(texts.name)
        ).to_series()

    def names(self, texts: pl.Series) -> pl.Series:
        """*texts* scrubbed, for people to read; one that scrubbing changes stays distinct by a short pseudonym."""
        rows = texts.alias("text").to_frame().with_columns(pl.col("text").str.strip_chars())
        rows = rows.with_columns(scrubbed=scrub(pl.col("text"), limit=120))
        unsafe = pl.col("text").is_not_null() & (pl.col("text") != "") & pl.col("text").ne_missing(pl.col("scrubbed"))
        hidden = self.pseudonyms(rows.select(pl.when(unsafe).then("text")).to_series())
        tag = pl.lit("p:") + hidden.str.slice(0, 8)
        shown = pl.concat_str(pl.col("scrubbed"), tag, separator=" ", ignore_nulls=True)
        return rows.select(pl.when(shown != "").then(shown).alias(texts.name)).to_series()


def endpoints(urls: pl.Series) -> pl.Series:
    """Host and path of each URL, without user, query and fragment; opaque path segments are hidden."""
    distinct = urls.drop_nulls().unique()
    if distinct.is_empty():
        return pl.Series(urls.name, [None] * len(urls), dtype=pl.String)
    shown = pl.Series([_endpoint(url) for url in distinct.to_list()], dtype=pl.String)
    scrubbed = shown.to_frame("shown").select(scrub(pl.col("shown"), limit=200)).to_series()
    return urls.replace_strict(distinct, scrubbed, default=None, return_dtype=pl.String)


_OPAQUE = re.compile(r"(?=[\w~.=-]*\d)(?=[\w~.=-]*[A-Za-z])[\w~.=-]{20,}")
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    segments = [
        "[secret]" if _OPAQUE.fullmatch(segment) and not _SID.fullmatch(segment) else segment
        for segment in unquote(parts.path).split("/")
    ]
    return f"{host}{port}{'/'.join(segments)}"


# Masked records ---------------------------------------------------------------------------------------

_RECORD_LIMIT = 600
_KEPT_KEYS = re.compile(
    r"(?i)(?:.*_?sid|sid|id|type|.*type|event|source|status|.*status|state|state(?:from|to)|operation|outcome|intent|"
    r"level|log_level|error_?code|code|found|resource|specversion|method|.*method|kind|.*timestamp.*|at|time|"
    r".*_at|date_.*|.*_date|.*_date_ms|stateupdated|start|end|http_status|attempt|schema)"
)
_PLAIN = re.compile(r"[A-Za-z]{1,4}[0-9A-Za-z_]{0,62}|[A-Za-z][A-Za-z0-9_.:-]{0,60}|[0-9T:.,Z +/-]{1,40}")
_TOKEN = re.compile(
    r"\b[A-Z]{2}[0-9a-fA-F]{8,40}\b|\b\d{4}-\d\d-\d\d[T ][0-9:.]{4,15}(?:Z|[+-]\d\d:?\d\d)?|\"\w{1,40}\"\s*:"
)
_LONG_NUMBER = 999_999


def masked(record: str) -> str:
    """*record* for the table of rejects: its structure, ids, times and types; other values become ``…``."""
    try:
        value = json.loads(record)
    except (ValueError, RecursionError):
        shown = _masked_fragment(record[: 4 * _RECORD_LIMIT])
    else:
        shown = json.dumps(_masked(value, key="", depth=0), ensure_ascii=False, separators=(",", ":"))
    return scrub_text(shown, limit=_RECORD_LIMIT)


def _masked(value: Any, *, key: str, depth: int) -> Any:
    if depth > 8:
        return "…"
    if isinstance(value, dict):
        return {
            (name if re.fullmatch(r"[\w.-]{1,60}", name) else "…"): _masked(inner, key=name, depth=depth + 1)
            for name, inner in list(value.items())[:60]
        }
    if isinstance(value, list):
        return [_masked(inner, key=key, depth=depth + 1) for inner in value[:5]]
    if isinstance(value, bool) or value is None:
        return value
    kept = _KEPT_KEYS.fullmatch(key) is not None
    if isinstance(value, int | float):
        return value if kept or abs(value) <= _LONG_NUMBER else "…"
    return _masked_text(value, kept=kept, depth=depth)


def _masked_text(text: str, *, kept: bool, depth: int) -> Any:
    if kept and _PLAIN.fullmatch(text):
        return text
    stripped = text.strip()
    if stripped[:1] in "{[" and stripped:
        try:
            return _masked(json.loads(stripped), key="", depth=depth + 1)
        except (ValueError, RecursionError):
            return "…"
    if "=" in stripped and " " not in stripped and (pairs := parse_qsl(stripped)):
        return _masked(dict(pairs), key="", depth=depth + 1)
    return "…"


def _masked_fragment(text: str) -> str:
    """What can be shown of text that is not JSON: SIDs, instants and the names of fields."""
    return "… ".join(match.group() for match in _TOKEN.finditer(text)) + "…"
