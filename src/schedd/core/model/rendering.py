"""What one attempt sends, rendered, with credentials left out: for people, and kept with dead letters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

KEPT_BYTES = 64 * 1024
"""Of a body or of standard input; the rest is left out."""

HIDDEN = "***"

_CREDENTIAL = re.compile(r"auth|cookie|token|secret|passw|credential|api[-_]?key|private[-_]?key|signature", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedHttp:
    """An HTTP request, schedd's own headers included."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedProcess:
    """A subprocess with the environment that it is given."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_directory: str
    stdin: bytes


Rendering = RenderedHttp | RenderedProcess


def without_secret(name: str, value: str) -> str:
    """The value of a header or a variable, or `***` if its name says that it is a credential."""
    return HIDDEN if _CREDENTIAL.search(name) else value
