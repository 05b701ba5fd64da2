"""Brings the configuration together: flag > environment > file (later files win) > default. Tells all faults at once.

flags, environment, files --> Setting (key, value, origin) --> checked one by one --> Config + the origin of each value
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from schedd.daemon.config import Config
from schedd.daemon.errors import ConfigError, ConfigFault
from schedd.daemon.keys import Key, is_section, keys, sections
from schedd.daemon.listening import listening_faults, metrics_faults
from schedd.daemon.permitting import permitting_faults
from schedd.daemon.places import Places
from schedd.daemon.secrets import located, secret_faults

DEFAULT = "default"
_ENVIRONMENT = "environment "


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What decides about the configuration: the caller's flags, the environment, and where files are.

    `file` replaces the default files. `flags` are `key=value` texts. `checking`: nothing is started with it, so that credentials which
    systemd would make for the daemon may be missing.
    """

    places: Places
    environ: Mapping[str, str]
    file: Path | None = None
    flags: tuple[str, ...] = ()
    checking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The effective configuration, where each value comes from (by dotted key), and the files that were read."""

    config: Config
    values: Mapping[str, Any]
    origins: Mapping[str, str]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """One value as somebody gave it. `text`: from a flag or a variable, where all is text."""

    key: str
    value: object
    origin: str
    text: bool


def load(request: Request) -> Loaded:
    """The effective configuration. Raises: ConfigError with every fault."""
    known = keys()
    files = (request.file,) if request.file is not None else request.places.files
    faults: list[ConfigFault] = []
    settings = [
        *(setting for path in files for setting in _from_file(path, faults)),
        *_from_environment(request.environ, known),
        *_from_flags(request.flags, faults),
    ]
    values, origins = _defaults(request.places, known)
    for setting in settings:
        key = known.get(setting.key) or _table_of(setting, known)
        if key is None:
            faults.append(_unknown(setting, known))
            continue
        try:
            values[key.name] = _value(key, setting, values[key.name])
            origins[key.name] = setting.origin
        except ValueError as exc:
            faults.append(ConfigFault(origin=setting.origin, key=setting.key, reason=str(exc)))
    values["secrets"] = located(values["secrets"], request.places.credentials)
    config = _build(Config, values)
    faults += _cross_faults(config, origins, checking=request.checking)
    if faults:
        raise ConfigError(tuple(faults))
    return Loaded(config=config, values=values, origins=origins, files=tuple(files))


def _table_of(setting: _Setting, known: Mapping[str, Key]) -> Key | None:
    """The table that the setting is an entry of."""
    key = known.get(setting.key.partition(".")[0])
    return key if key is not None and key.is_table else None


def _value(key: Key, setting: _Setting, before: Any) -> Any:
    """The key's value with this setting. Entries of a table add to those of earlier sources. Raises: ValueError."""
    if not key.is_table:
        return key.convert(setting.value, text=setting.text)
    given = setting.value if setting.key == key.name else {setting.key.partition(".")[2]: setting.value}
    return before | key.convert(given, text=setting.text)


def _from_file(path: Path, faults: list[ConfigFault]) -> Iterator[_Setting]:
    origin = f"file {path}"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        faults.append(ConfigFault(origin=origin, key="", reason=f"cannot be read: {exc.strerror}"))
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        faults.append(ConfigFault(origin=origin, key="", reason=f"is not TOML: {exc}"))
        return
    for key, value in _flat(table, frozenset(name for name, _ in sections())):
        yield _Setting(key=key, value=value, origin=origin, text=False)


def _flat(table: Mapping[str, object], section_names: frozenset[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys. A table stays whole where no section of that name is known: it is one fault then, not many."""
    for name, value in table.items():
        dotted = prefix + name
        if isinstance(value, Mapping) and dotted in section_names:
            yield from _flat(value, section_names, f"{dotted}.")
        else:
            yield dotted, value


def _from_environment(environ: Mapping[str, str], known: Mapping[str, Key]) -> Iterator[_Setting]:
    """Only names with `__` are keys: SCHEDD_SERVER and the like belong to others."""
    by_variable = {key.variable: name for name, key in known.items()}
    for variable, value in sorted(environ.items()):
        if variable.startswith("SCHEDD_") and "__" in variable:
            dotted = by_variable.get(variable, variable.removeprefix("SCHEDD_").lower().replace("__", "."))
            yield _Setting(key=dotted, value=value, origin=f"{_ENVIRONMENT}{variable}", text=True)


def _from_flags(flags: Sequence[str], faults: list[ConfigFault]) -> Iterator[_Setting]:
    for flag in flags:
        key, equals, value = flag.partition("=")
        if equals:
            yield _Setting(key=key.strip(), value=value, origin="flag --set", text=True)
        else:
            faults.append(ConfigFault(origin="flag --set", key=flag, reason="has no value: write --set section.key=value"))


def _defaults(places: Places, known: Mapping[str, Key]) -> tuple[dict[str, Any], dict[str, str]]:
    values = {name: key.default for name, key in known.items()}
    values |= {"storage.path": str(places.database), "listen.socket": str(places.socket)}
    return values, dict.fromkeys(values, DEFAULT)


def _unknown(setting: _Setting, known: Mapping[str, Key]) -> ConfigFault:
    names = [name for name, _ in sections()]
    if setting.key in names:
        return ConfigFault(origin=setting.origin, key=setting.key, reason="is a section: give its keys values")
    section = setting.key.rpartition(".")[0]
    beside = [key for key in known if known[key].section == section] if section else []
    near = difflib.get_close_matches(setting.key, beside or [*known, *names], n=1, cutoff=0.0)
    variable = f" ({known[near[0]].variable})" if near[0] in known and setting.origin.startswith(_ENVIRONMENT) else ""
    return ConfigFault(origin=setting.origin, key=setting.key, reason=f"no such key; the nearest is {near[0]}{variable}")


def _build(struct: type[Struct], values: Mapping[str, Any], prefix: str = "") -> Any:
    """The struct from values that are of their types already."""
    return struct(
        **{
            field.name: _build(field.type, values, f"{prefix}{field.name}.") if is_section(field.type) else values[prefix + field.name]
            for field in msgspec.structs.fields(struct)
        }
    )


def _cross_faults(config: Config, origins: Mapping[str, str], *, checking: bool) -> list[ConfigFault]:
    """What is wrong between keys that are right by themselves."""
    reasons = [
        *listening_faults(config.listen),
        *metrics_faults(config),
        *permitting_faults(config),
        *secret_faults(config.secrets, checking=checking),
    ]
    if not Path(config.storage.path).is_absolute():
        reasons.append(("storage.path", f"{config.storage.path} is not absolute: write {Path(config.storage.path).absolute()}"))
    if config.engine.arm_interval * 2 > config.engine.horizon:
        reasons.append(("engine.arm_interval", "is more than half of engine.horizon: an execution could be due before it is durable"))
    return [ConfigFault(origin=origins.get(key) or origins["secrets"], key=key, reason=reason) for key, reason in reasons]
