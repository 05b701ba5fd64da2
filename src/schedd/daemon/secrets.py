"""Where the configured secrets are, and what is wrong with their files before the daemon starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from schedd.targets.http.secrets import SecretError, read_secret

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def located(secrets: Mapping[str, str], credentials: Path | None) -> dict[str, str]:
    """The secrets with the paths of their files; the name of a systemd credential stays where there is no directory of credentials."""
    if credentials is None:
        return dict(secrets)
    return {name: value if "/" in value else str(credentials / value) for name, value in secrets.items()}


def secret_files(secrets: Mapping[str, str]) -> dict[str, Path]:
    """The files of located secrets."""
    return {name: Path(value) for name, value in secrets.items()}


def secret_faults(secrets: Mapping[str, str], *, checking: bool) -> list[tuple[str, str]]:
    """Dotted keys and what is wrong with their values. `checking`: credentials that only systemd can give are taken to be right."""
    faults = [(f"secrets.{name}", _fault(name, value, checking=checking)) for name, value in secrets.items()]
    return [(key, fault) for key, fault in faults if fault]


def _fault(name: str, value: str, *, checking: bool) -> str:
    if not _NAME.fullmatch(name):
        return "is not a secret's name: 1 to 64 letters, digits, dots, dashes and underscores are"
    if "/" not in value:
        wanted = "add LoadCredential= to the unit, or write an absolute path"
        return "" if checking else f"{value!r} is the name of a systemd credential, and there is no $CREDENTIALS_DIRECTORY: {wanted}"
    if not Path(value).is_absolute():
        return f"{value} is neither an absolute path nor, without a slash, the name of a systemd credential"
    try:
        read_secret(name, Path(value))
    except SecretError as error:
        return str(error)
    except OSError as error:
        return f"{value} cannot be read: {error.strerror}"
    return ""
