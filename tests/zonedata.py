"""Time zone data of the test's own: a directory of zone files made from POSIX rules, and this process made to read it."""

from __future__ import annotations

import struct
import zoneinfo
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from schedd.core.triggers import compilation, zone, zonename


def write_zones(directory: Path, rules: Mapping[str, str], *, version: str, links: Mapping[str, str] | None = None) -> None:
    """The zones by their names, each with a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`; `links` are old names and what they stand for."""
    for old in directory.rglob("*"):
        if old.is_file():
            old.unlink()
    for name, rule in {"UTC": "UTC0", **rules}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_zone_file(rule))
    lines = [f"# version {version}", *(f"L {name} {old}" for old, name in (links or {}).items())]
    (directory / "tzdata.zi").write_text("\n".join(lines) + "\n")


def _zone_file(rule: str) -> bytes:
    """RFC 8536: no transitions, one local time type that nobody asks for, and the rule for all time."""
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = b"TZif2" + bytes(15) + counts + struct.pack(">lbb", 0, 0, 0) + b"LMT\0"
    return block + block + b"\n" + rule.encode() + b"\n"


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """Within it zoneinfo reads these files, and the rest from its package, as a daemon does that starts now."""
    zoneinfo.reset_tzpath([str(directory)])
    _forget()
    try:
        yield
    finally:
        zoneinfo.reset_tzpath()
        _forget()


def _forget() -> None:
    zoneinfo.ZoneInfo.clear_cache()
    compiled = (compilation._compile, compilation._compile_left_out, compilation._plain_rule)
    for cached in (zone.load_zone, zonename._is_zone, zonename._links, zonename._known, *compiled):
        cached.cache_clear()
