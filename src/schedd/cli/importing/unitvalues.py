"""The values of unit files: words in quotes, specifiers, time spans. Sources: systemd.syntax(7), systemd.unit(5), systemd.time(7)."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from schedd.cli.importing.host import home_of, own_account
from schedd.cli.importing.units import Unit, UnitError, instance_of

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'", "s": " "}
_CODE = re.compile(r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}")
_UNITS_S = {
    **dict.fromkeys(("us", "usec", "µs", "μs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
    **dict.fromkeys(("M", "month", "months"), 2_629_800.0),
    **dict.fromkeys(("y", "year", "years"), 31_557_600.0),
}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµμ]*)")


def words_of(text: str) -> list[str]:
    r"""The words of a value; quotes keep blanks, and the escapes of C are read (`\x20`). Raises: UnitError for a quote without its end."""
    words: list[str] = []
    current: list[str] | None = None
    quote = ""
    position = 0
    while position < len(text):
        sign = text[position]
        position += 1
        if sign == "\\" and position < len(text):
            read, position = _escape(text, position)
            current = [*(current or []), read]
        elif quote:
            if sign == quote:
                quote = ""
            else:
                current = [*(current or []), sign]
        elif sign in "\"'":
            quote, current = sign, current or []
        elif sign.isspace():
            words, current = ([*words, "".join(current)] if current is not None else words), None
        else:
            current = [*(current or []), sign]
    if quote:
        raise UnitError(f"{text!r} has a quote {quote} without its end")
    return [*words, "".join(current)] if current is not None else words


def _escape(text: str, position: int) -> tuple[str, int]:
    """What the escape after a backslash stands for, and where it ends; what is no escape stays as it is."""
    code = _CODE.match(text, position)
    if code is not None:
        digits = code[0]
        return chr(int(digits[1:], 16) if digits[0] in "xuU" else int(digits, 8)), code.end()
    sign = text[position]
    return _ESCAPES.get(sign, f"\\{sign}"), position + 1


def span_of(text: str) -> timedelta | None:
    """A time span such as `5min 20s` or `90`; None for `infinity`. Raises: UnitError."""
    if text.strip() == "infinity":
        return None
    total_s, position = 0.0, 0
    stripped = text.strip()
    while position < len(stripped):
        match = _SPAN.match(stripped, position)
        if match is None or match[2] not in _UNITS_S:
            raise UnitError(f"{text!r} is not a time span such as `5min 20s`")
        total_s += float(match[1]) * _UNITS_S[match[2]]
        position = match.end()
    if not stripped:
        raise UnitError("a time span is missing, such as `5min 20s`")
    return timedelta(seconds=total_s)


def specifiers_of(unit: Unit, *, user: bool) -> dict[str, str]:
    """What the specifiers stand for that are known when a file is written; `user` for the units of a user's own manager."""
    stem = unit.name.rpartition(".")[0]
    prefix, instance = stem.partition("@")[0], instance_of(unit.name)
    account = own_account() if user else "root"
    home = home_of(account) or "/root"
    places = {"S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc"}
    if user:
        places = {"S": f"{home}/.local/state", "C": f"{home}/.cache", "L": f"{home}/.local/state/log", "E": f"{home}/.config"}
    else:
        places |= {"t": "/run", "U": "0", "G": "0", "g": "root"}
    return {
        "%": "%",
        "n": unit.name,
        "N": stem,
        "p": prefix,
        "P": unescaped(prefix),
        "i": instance,
        "I": unescaped(instance),
        "f": f"/{unescaped(instance or prefix).lstrip('/')}",
        "j": prefix.rpartition("-")[2],
        "J": unescaped(prefix.rpartition("-")[2]),
        "u": account,
        "h": home,
        "H": socket.gethostname(),
        "T": "/tmp",
        "V": "/var/tmp",
        "y": str(unit.path),
        "Y": str(unit.path.parent),
        **places,
    }


def expanded(text: str, specifiers: Mapping[str, str]) -> str:
    """`text` with its specifiers filled in. Raises: UnitError for one that is not known when a file is written."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in specifiers:
            raise UnitError(f"the specifier %{match[1]} in {text!r} is known to systemd alone")
        return specifiers[match[1]]

    return re.sub(r"%(.)", value, text)


def unescaped(text: str) -> str:
    r"""A unit name's part as a path or text: `-` is a slash, `\x2d` a dash (systemd-escape(1))."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text.replace("-", "/"))


def is_absolute(path: str) -> bool:
    """Whether a path is written from / on."""
    return Path(path).is_absolute()
