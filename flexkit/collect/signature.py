"""Whether a captured delivery was signed by Twilio: its ``X-Twilio-Signature`` against the auth token."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Mapping

WRONG = (
    "X-Twilio-Signature does not fit TWILIO_AUTH_TOKEN: the capture was changed, its url is not the one that "
    "Twilio called, or the token is another account's"
)


def signature_problem(captured: Mapping[str, Any], auth_token: str) -> str | None:
    """What is wrong with the signature of a captured delivery; None where it is right, or there is none.

    A delivery signed with a shared key instead of the auth token counts as one without a signature.
    """
    headers = captured.get("headers")
    if not isinstance(headers, dict):
        return None
    named = {str(name).lower(): value for name, value in headers.items()}
    signature = named.get("x-twilio-signature")
    if signature is None or "x-twilio-webhooks-signature-settings" in named:
        return None
    url, body = captured.get("url"), captured.get("body")
    if not isinstance(url, str) or not isinstance(signature, str):
        return WRONG
    content = body if isinstance(body, str) else ""
    is_posted = str(captured.get("method", "POST")).upper() != "GET"
    # The body of a form is signed field by field; any other body by its digest in the URL.
    signed: str | _Fields = content if "bodySHA256=" in url else _Fields(content if is_posted else "")
    try:
        return None if _validator(auth_token).validate(url, signed, signature) else WRONG
    except ValueError:
        return WRONG


class _Fields(dict[str, list[str]]):
    """The fields of a form, each with all its values, as the validator asks for them."""

    def __init__(self, body: str) -> None:
        super().__init__()
        for name, value in parse_qsl(body, keep_blank_values=True):
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]


@lru_cache(maxsize=2)
def _validator(auth_token: str) -> Any:
    from twilio.request_validator import RequestValidator

    return RequestValidator(auth_token)
