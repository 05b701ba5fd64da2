"""The zones table: what the time zone data said when the daemon last looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from schedd.core.errors import ScheddError
from schedd.core.model.zonemark import ZoneMark
from schedd.store import codec
from schedd.store.committer import Operation
from schedd.store.reader import Reader
from schedd.store.statements import insertion
from schedd.store.transaction import Transaction

_COLUMNS = ("name", "version", "from_us", "until_us", "offsets")
_READ = f"SELECT {', '.join(_COLUMNS)} FROM zones ORDER BY name"
_REPLACE = insertion(
    "zones",
    _COLUMNS,
    "ON CONFLICT DO UPDATE SET version = excluded.version, from_us = excluded.from_us, until_us = excluded.until_us,"
    " offsets = excluded.offsets",
)
_DELETE = "DELETE FROM zones WHERE name IN (SELECT value FROM json_each(?))"

_decoder = msgspec.json.Decoder(tuple[tuple[int, int], ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Marks to be kept, and names of zones of which nothing is to be kept."""

    marks: Sequence[ZoneMark]
    gone: Sequence[str]


def _keep(transaction: Transaction, keepings: Sequence[Keeping]) -> Sequence[ScheddError | None]:
    for keeping in keepings:
        values = [(mark.name, mark.version, mark.from_us, mark.until_us, codec.encode(mark.offsets)) for mark in keeping.marks]
        _REPLACE.run(transaction.connection, values)
        if keeping.gone:
            transaction.connection.execute(_DELETE, (codec.encode(keeping.gone),))
    return [None] * len(keepings)


KEEP: Operation[Keeping, None] = Operation(run=_keep)


async def marks(reader: Reader) -> tuple[ZoneMark, ...]:
    """What is kept, by name. What cannot be read counts as unknown: the daemon looks anew."""
    found = []
    for name, version, from_us, until_us, offsets in await reader.all(_READ):
        try:
            found.append(ZoneMark(name=name, version=version, from_us=from_us, until_us=until_us, offsets=_decoder.decode(offsets)))
        except msgspec.DecodeError:
            found.append(ZoneMark(name=name, version="", from_us=0, until_us=0, offsets=()))
    return tuple(found)
