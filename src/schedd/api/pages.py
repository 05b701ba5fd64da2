"""Pages: sizes and tokens. A token holds the last item's key, so pages stay right while rows change, and a mark of its search."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from schedd.api.convert.basics import invalid
from schedd.core.model.query import PageRequest

DEFAULT_SIZE = 100
MAX_SIZE = 1000


def page_request(size: int, token: str, *search: object) -> PageRequest:
    """The page that is asked for; `search` is all else that the request says. Raises: InvalidError (page_size, page_token)."""
    return PageRequest(size=page_size(size), after=after_of(token, *search))


def page_size(size: int) -> int:
    """The page's size: 100 if unset, at most 1000. Raises: InvalidError (page_size)."""
    if size < 0:
        raise invalid("page_size", "OUT_OF_RANGE", f"{size} is negative; 0 (100), or 1 to {MAX_SIZE}, is allowed")
    return min(size or DEFAULT_SIZE, MAX_SIZE)


def page_token(after: tuple[str | int, ...], *search: object) -> str:
    """The token of the next page; empty after the last."""
    if not after:
        return ""
    return base64.urlsafe_b64encode(json.dumps([_mark(search), *after]).encode()).decode()


def after_of(token: str, *search: object) -> tuple[str | int, ...]:
    """The key that a token holds. Raises: InvalidError (page_token), also for a token of another search."""
    if not token:
        return ()
    try:
        mark, *after = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error) as error:
        raise invalid("page_token", "INVALID_PAGE_TOKEN", "is not one that a page gave") from error
    if mark != _mark(search):
        raise invalid("page_token", "INVALID_PAGE_TOKEN", "belongs to a search with another filter, order or parent")
    if not all(type(part) is str or (type(part) is int and abs(part) < 2**63) for part in after):
        raise invalid("page_token", "INVALID_PAGE_TOKEN", "is not one that a page gave")
    return tuple(after)


def sequence_of(token: str, *search: object) -> int:
    """The sequence number that a token of the journal's holds; 0 for an empty one. Raises: InvalidError (page_token)."""
    match after_of(token, *search):
        case ():
            return 0
        case (int() as sequence,):
            return sequence
    raise invalid("page_token", "INVALID_PAGE_TOKEN", "is not one that a page gave")


def _mark(search: tuple[object, ...]) -> str:
    return hashlib.blake2s(repr(search).encode(), digest_size=6).hexdigest()
