"""What a shell line is called: `certbot-renew` for `test -x /usr/bin/certbot && certbot -q renew`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

_PASSED_OVER = frozenset(
    (
        "cd",
        "test",
        "[",
        "[[",
        "if",
        "fi",
        "done",
        "esac",
        "for",
        "while",
        "until",
        "case",
        ":",
        "true",
        "false",
        "exit",
        "export",
        "set",
        "umask",
        "sleep",
    )
)
"""Commands that prepare or guard what is meant."""
_LEADING = frozenset(
    ("{", "}", "then", "else", "do", "!", "exec", "command", "env", "nice", "ionice", "chrt", "nohup", "setsid", "time", "sudo", "chronic")
)
"""Words before the command that is meant."""
_PREFIX = re.compile(r"[A-Za-z_]\w*=.*|-.*|\d+", re.DOTALL)
_INTERPRETERS = re.compile(r"(?:ba|da|z|k|)sh|python[\d.]*|perl|php[\d.]*|ruby|node")


def words_of_command(line: str) -> list[str]:
    """The words that tell a shell line from others: the program, and its first argument that is no option. Empty if there are none."""
    for words in _simple_commands(line):
        while words and (words[0] in _LEADING or _PREFIX.fullmatch(words[0])):
            words.pop(0)
        if words and words[0] not in _PASSED_OVER and not _only_waits(words):
            return _telling(words)
    return []


def _only_waits(words: list[str]) -> bool:
    """`perl -e 'sleep int(rand(3600))'`, as some packages spread their load."""
    return _INTERPRETERS.fullmatch(PurePosixPath(words[0]).name) is not None and any("sleep" in word for word in words)


def _simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each simple command of a shell line, without redirections."""
    words: list[str] = []
    tokens = _tokens(line)
    for token in tokens:
        if set(token) <= set("<>&") and set(token) & set("<>"):
            next(tokens, None)
        elif set(token) <= set(";&|()"):
            yield words
            words = []
        else:
            words.append(token)
    yield words


def _tokens(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return iter(list(lexer))
    except ValueError:  # a quote without its end: what the shell will say of it is the command's business
        return iter(line.split())


def _telling(words: list[str]) -> list[str]:
    program = PurePosixPath(words[0]).name
    arguments = [word for word in words[1:] if not _PREFIX.fullmatch(word)]
    name = PurePosixPath(arguments[0]).name if arguments else ""
    if _INTERPRETERS.fullmatch(program) and name:
        return [name]
    return [program, name] if re.fullmatch(r"[\w.-]{1,24}", name) and name != program else [program]
