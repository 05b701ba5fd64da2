"""The schedules file of an import: each schedule below the line or unit that it comes from, what is otherwise, and what the proof found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from schedd.cli.importing.carried import Carried, Imported, Refused, shown
from schedd.cli.importing.proof import Finding
from schedd.cli.manifest import parse_manifest
from schedd.v1.schedule_pb2 import Schedule

_WIDEST = 1_000_000


def yaml_text(imported: Imported, findings: Sequence[Finding], command: str) -> str:
    """The file as YAML, with everything that there is to say as comments. `findings` are those of `imported.carried`, one each."""
    return "".join(f"{line}\n" if line else "\n" for line in _lines(imported, findings, command))


def read_back(imported: Imported) -> dict[str, Schedule]:
    """The schedules that the file means, by name, as `schedctl apply` reads them."""
    text = "\n".join(_yaml(file_document(imported)))
    return {written.schedule.name.rsplit("/", 1)[-1]: written.schedule for written in parse_manifest(text, "the import")}


def json_text(imported: Imported) -> str:
    """The file as JSON, which has no comments."""
    return json.dumps(file_document(imported), indent=2, ensure_ascii=False) + "\n"


def file_document(imported: Imported) -> dict[str, Any]:
    """The file as plain data."""
    return {"defaults": dict(imported.defaults), "schedules": [dict(item.document) for item in imported.carried]}


def _lines(imported: Imported, findings: Sequence[Finding], command: str) -> Iterator[str]:
    yield from _comments(f"Written by schedctl import {command} from {', '.join(imported.sources)}.")
    yield "# Look through it, then: schedctl apply -f THIS_FILE --dry-run"
    yield from _yaml({"defaults": dict(imported.defaults)})
    yield "schedules:" if imported.carried else "schedules: []"
    for item, finding in zip(imported.carried, findings, strict=True):
        yield ""
        yield from (f"  {line}" for line in _schedule_lines(item, finding))
    for refused in imported.refused:
        yield ""
        yield from (f"  {line}" for line in _refused_lines(refused))


def _schedule_lines(item: Carried, finding: Finding) -> Iterator[str]:
    yield from _comments(f"{item.where}: {item.text}", *(f"note: {note}" for note in item.notes), f"{finding.word}: {finding}")
    yield from _yaml([dict(item.document)])


def _refused_lines(refused: Refused) -> Iterator[str]:
    yield from _comments(f"{refused.where}: {refused.text}", f"NOT TAKEN OVER: {refused.reason}")


def _comments(*texts: str) -> Iterator[str]:
    for text in texts:
        yield f"# {shown(text)}"


class _Dumper(yaml.SafeDumper):
    """Text of several lines as such, and what two schedules share written out at both."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _yaml(value: Any) -> list[str]:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDEST)
    return text.removesuffix("\n").split("\n")
