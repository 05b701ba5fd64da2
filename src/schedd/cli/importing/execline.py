"""A service's command lines (systemd.service(5), COMMAND LINES) as an argv where one will do, else as a line for the shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schedd.cli.importing.units import UnitError
from schedd.cli.importing.unitvalues import expanded, words_of

_PREFIXES = "-@+!:|"
_WHOLE_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_PART = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecCommand:
    """One command of a service. `prefixes` are the signs before it."""

    words: tuple[str, ...]
    prefixes: str

    @property
    def may_fail(self) -> bool:
        """Whether its failure counts as success (`-`)."""
        return "-" in self.prefixes

    @property
    def is_privileged(self) -> bool:
        """Whether it runs with root's rights whatever User= says (`+`, `!`)."""
        return "+" in self.prefixes or "!" in self.prefixes

    @property
    def has_variables(self) -> bool:
        """Whether variables are to be filled in."""
        return ":" not in self.prefixes and any(_WHOLE_VARIABLE.fullmatch(word) or _names(word) for word in self.words)

    @property
    def argv(self) -> list[str]:
        """The words themselves, for a command without variables."""
        return list(self.words) if ":" in self.prefixes else [word.replace("$$", "$") for word in self.words]

    @property
    def shell(self) -> str:
        """The command as the shell reads it."""
        if ":" in self.prefixes:
            return shlex.join(self.words)
        return " ".join(_shell_word(word) for word in self.words)


def commands_of(lines: Sequence[str], specifiers: Mapping[str, str]) -> list[ExecCommand]:
    """The commands of ExecStart= lines; `;` alone separates two of one line. Raises: UnitError."""
    return [command for line in lines for command in _commands(line, specifiers)]


def shell_line(commands: Sequence[ExecCommand], environment_files: Sequence[str]) -> str:
    """One line for the shell that does what these do one after the other, until one fails; `-` before a file lets it be missing."""
    sources = [_source(file) for file in environment_files]
    prefix = f"set -a; {'; '.join(sources)}; set +a; " if sources else ""
    *before, last = [_guarded(command) for command in commands]
    if not before and not commands[-1].may_fail:
        return f"{prefix}exec {last}"
    return prefix + " && ".join([*before, last])


def _commands(line: str, specifiers: Mapping[str, str]) -> list[ExecCommand]:
    groups: list[list[str]] = [[]]
    for word in words_of(line):
        if word == ";":
            groups.append([])
        else:
            groups[-1].append(";" if word == "\\;" else word)
    return [_command(words, specifiers) for words in groups if words]


def _command(words: Sequence[str], specifiers: Mapping[str, str]) -> ExecCommand:
    program = words[0].lstrip(_PREFIXES)
    prefixes = words[0][: len(words[0]) - len(program)]
    rest = [expanded(word, specifiers) for word in words[1:]]
    if not program:
        raise UnitError(f"{' '.join(words)!r} names no program")
    if "|" in prefixes:
        raise UnitError(f"{' '.join(words)!r} wants a login shell, which schedd has not")
    if "@" in prefixes:
        rest = rest[1:]
    return ExecCommand(words=(expanded(program, specifiers), *rest), prefixes=prefixes)


def _guarded(command: ExecCommand) -> str:
    return f"{{ {command.shell} || :; }}" if command.may_fail else command.shell


def _source(file: str) -> str:
    quoted = shlex.quote(file.removeprefix("-"))
    return f"[ ! -r {quoted} ] || . {quoted}" if file.startswith("-") else f". {quoted}"


def _names(word: str) -> bool:
    return any(match[1] for match in _PART.finditer(word))


def _shell_word(word: str) -> str:
    whole = _WHOLE_VARIABLE.fullmatch(word)
    if whole is not None:
        return f"${whole[1]}"
    parts, position = [], 0
    for match in _PART.finditer(word):
        literal = word[position : match.start()] + ("" if match[1] else "$")
        parts += [shlex.quote(literal)] if literal else []
        parts += [f'"${{{match[1]}}}"'] if match[1] else []
        position = match.end()
    rest = word[position:]
    parts += [shlex.quote(rest)] if rest or not parts else []
    return "".join(parts)
