"""Import altair without the two seconds that it spends on a grammar which nobody asks for."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# jsonschema compiles rfc3987_syntax's grammar at import (1.9 s, measured) to check the format "iri",
# which neither Altair's nor Jupyter's schemas use; it takes the module's absence as "not installed".
_GRAMMAR = "rfc3987_syntax"


@contextmanager
def without_grammar() -> Iterator[None]:
    """Hide the slow grammar from everything that is imported inside; afterwards it can be imported again."""
    if _GRAMMAR in sys.modules:
        yield
        return
    sys.modules[_GRAMMAR] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if sys.modules.get(_GRAMMAR, ...) is None:
            del sys.modules[_GRAMMAR]
