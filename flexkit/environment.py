"""What can be told of settings without loading them: pydantic takes a fifth of a second that few commands need."""

from __future__ import annotations

import os
from pathlib import Path


def may_hold(*names: str) -> bool:
    """Whether the environment, or a ``.env`` that `flexkit.settings` would read, may say anything under *names*."""
    return Path(".env").exists() or not {name.upper() for name in os.environ}.isdisjoint(names)
