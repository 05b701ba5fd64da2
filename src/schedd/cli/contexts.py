"""Named servers: the file `~/.config/schedd/schedctl.toml` that `schedctl context` keeps."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from schedd.cli.failures import CommandError


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """How to reach one server. Empty: not given. `token_file` and `ca_file` are paths; a leading `~` is the home directory."""

    server: str
    token_file: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """All named servers and the name of the one in use (empty: none)."""

    current: str = ""
    named: Mapping[str, Context] = field(default_factory=dict)

    def get(self, name: str) -> Context:
        """The context of that name. Raises: CommandError."""
        if name not in self.named:
            known = ", ".join(sorted(self.named)) or "none yet; `schedctl context add NAME --server ADDRESS` makes one"
            raise CommandError(f"there is no context {name!r}; known: {known}")
        return self.named[name]

    def with_context(self, name: str, context: Context) -> Contexts:
        """These, with `context` under `name`."""
        return replace(self, named={**self.named, name: context})

    def without(self, name: str) -> Contexts:
        """These, without `name`. Raises: CommandError."""
        self.get(name)
        rest = {key: value for key, value in self.named.items() if key != name}
        return Contexts(current="" if self.current == name else self.current, named=rest)


def contexts_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the contexts are kept: below $XDG_CONFIG_HOME, else below ~/.config."""
    home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "schedd" / "schedctl.toml"


def load_contexts(path: Path) -> Contexts:
    """The contexts in `path`; none if there is no such file. Raises: CommandError if it cannot be understood."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Contexts()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    try:
        named = {name: Context(**table) for name, table in document.get("contexts", {}).items()}
    except TypeError as error:
        known = ", ".join(item.name for item in fields(Context))
        raise CommandError(f"{path}: a context has other keys than {known}, or lacks `server`") from error
    return Contexts(current=str(document.get("current", "")), named=named)


def save_contexts(path: Path, contexts: Contexts) -> None:
    """Replace `path` in one step; nobody but its owner can read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(_as_toml(contexts), encoding="utf-8")
    draft.replace(path)


def _as_toml(contexts: Contexts) -> str:
    lines = ["# Kept by `schedctl context`."]
    if contexts.current:
        lines.append(f"current = {_toml_text(contexts.current)}")
    for name, context in sorted(contexts.named.items()):
        lines += ["", f"[contexts.{_toml_text(name)}]"]
        values = ((item.name, getattr(context, item.name)) for item in fields(Context))
        lines += [f"{key} = {_toml_text(value)}" for key, value in values if value]
    return "\n".join(lines) + "\n"


def _toml_text(value: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
