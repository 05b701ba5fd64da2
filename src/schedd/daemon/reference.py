"""Writes what people read about the configuration, from the config types: `python -m schedd.daemon.reference [--check] [ROOT]`.

docs/configuration.md explains every key; systemd/schedd.toml is the example to start from. `--check` writes nothing, and fails where a
file is not what it would write.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from schedd.core.durations import format_duration
from schedd.daemon.keys import Key, keys, sections, toml_text

_EXAMPLE_WIDTH = 100
_PAGE_HEAD = """\
# Configuration

<!-- Written by `make docs` from src/schedd/daemon/config.py. Change it there. -->

A value comes from the first of these that gives one:

1. the flag `--set section.key=value` of `schedd run` and `schedd check-config`;
2. the environment: `SCHEDD_` and the key in capitals, with two underscores for each dot (`SCHEDD_STORAGE__PATH`); lists have commas;
3. the files: `schedd.toml`, then `conf.d/*.toml` in the order of their names (a later file wins), in the configuration directory: systemd's
   (`ConfigurationDirectory=`), `/etc/schedd` for root, `$XDG_CONFIG_HOME/schedd` (`~/.config/schedd`) for other users. `--config FILE`
   reads that one file instead;
4. the default.

An unknown key, a value of the wrong type or out of bounds: the daemon does not start, and names every fault at once, with the file and
what would be right. `schedd check-config` does the same without starting anything; it prints the effective value of every key and where
it comes from.

Durations are text, in whole numbers with units: `us`, `ms`, `s`, `m`, `h`, `d` and `w`, also combined (`"1h30m"`). Bounds include both
ends.

`systemctl reload schedd` (SIGHUP) reads the configuration again. Keys marked *restart* keep their value until the daemon starts anew; the
log says so. When the new configuration is wrong, the old one stays, and the log says what is wrong.
"""
_TABLE = "Entries of your own naming; those of later files, of the environment and of flags add to them."
_EXAMPLE_HEAD = """\
# schedd: the configuration of the daemon. Written by `make docs` from the config types.
#
# Every key stands here with its default, commented out. Remove the `#` before what you change (and before its [section]).
# `schedd check-config` says what is wrong and what is in force; `systemctl reload schedd` takes over what needs no restart.
# Drop-ins: /etc/schedd/conf.d/*.toml. Durations: "500ms", "30s", "1h30m", "90d".
"""


def reference_page() -> str:
    """docs/configuration.md."""
    return _PAGE_HEAD + "".join(_page_section(name, about) for name, about in _abouts())


def example_file() -> str:
    """systemd/schedd.toml: every key explained, none set."""
    return _EXAMPLE_HEAD + "".join(_example_section(name, about) for name, about in _abouts())


def _abouts() -> Iterator[tuple[str, str]]:
    """Each section's dotted name and what its docstring says; then those whose keys have names of the operator's own."""
    yield from ((name, (struct.__doc__ or "").strip()) for name, struct in sections())
    yield from ((key.name, _TABLE) for key in keys().values() if key.is_table)


def _keys_of(section: str) -> Iterator[Key]:
    return (key for key in keys().values() if key.section == section)


def _page_section(name: str, about: str) -> str:
    rows = "".join(f"| `{key.leaf}` | {_cell(key)} | {_bounds(key)} | {_default(key)} |\n" for key in _keys_of(name))
    return f"\n## [{name}]\n\n{about}\n\n| key | meaning | values | default |\n|---|---|---|---|\n{rows}"


def _cell(key: Key) -> str:
    examples = "" if not key.examples else " For example " + ", ".join(f"`{toml_text(example)}`" for example in key.examples) + "."
    return key.description + examples + (" *restart*" if key.restart else "")


def _default(key: Key) -> str:
    if key.is_table:
        return "none"
    return key.default_text or ("unset" if key.default is None else f"`{toml_text(key.default)}`")


def _bounds(key: Key) -> str:
    """What values there are, in words."""
    if key.choices:
        return ", ".join(f"`{toml_text(choice)}`" for choice in key.choices)
    if key.least is not None and key.most is not None:
        return f"{format_duration(key.least)} to {format_duration(key.most)}"
    info = msgspec.inspect.type_info(key.annotated)
    match info.type if isinstance(info, msgspec.inspect.Metadata) else info:
        case msgspec.inspect.IntType(ge=least, le=most):
            return f"{least} to {most}"
        case msgspec.inspect.VarTupleType():
            return "list of texts"
        case msgspec.inspect.DictType():
            return "path of a file, or a systemd credential"
        case _:
            return "text"


def _example_section(name: str, about: str) -> str:
    return f"\n# {about}\n#[{name}]\n" + "".join(_example_key(key) for key in _keys_of(name))


def _example_key(key: Key) -> str:
    facts = [key.description, f"Values: {_bounds(key).replace('`', '')}."]
    facts += [f"Default: {key.default_text}."] if key.default_text else []
    facts += ["Needs a restart."] if key.restart else []
    shown = key.examples[0] if key.default is msgspec.NODEFAULT or key.default is None else key.default
    comment = textwrap.fill(" ".join(facts), _EXAMPLE_WIDTH, initial_indent="# ", subsequent_indent="# ")
    entries = key.examples[0] if key.is_table else {key.leaf: shown}
    return f"\n{comment}\n" + "".join(f"#{name} = {toml_text(value)}\n" for name, value in entries.items())


def write(root: Path, *, check: bool) -> Iterable[Path]:
    """Write the files below `root`; the paths that were not as they should be. `check`: write nothing."""
    for path, text in ((root / "docs/configuration.md", reference_page()), (root / "systemd/schedd.toml", example_file())):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            if not check:
                path.write_text(text, encoding="utf-8")
            yield path


def main(arguments: list[str]) -> int:
    """Exit status 1 if `--check` finds a difference."""
    check = "--check" in arguments
    roots = [Path(argument) for argument in arguments if argument != "--check"] or [Path.cwd()]
    changed = [path for root in roots for path in write(root, check=check)]
    for path in changed:
        sys.stderr.write(f"{path} is out of date: run make docs\n" if check else f"wrote {path}\n")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
