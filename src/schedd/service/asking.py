"""How a change is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from schedd.core.model.batch import RequestMark


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks for a change, and how: `request` makes it safe to repeat, and `validate_only` checks everything and changes nothing.

    `actor` is journaled. `generation` is the one that the caller has seen (its etag): the change is refused once there is another.
    """

    actor: str
    request: RequestMark | None = None
    generation: int | None = None
    validate_only: bool = False
