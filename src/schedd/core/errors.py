"""Every error that schedd raises on purpose. Fields, not prose: the faces (gRPC status, exit code) choose their own words.

ScheddError
├── InvalidError            the request is wrong; carries every wrong field at once
├── ExpressionError         a schedule expression is wrong; carries the text, the place and a suggestion
├── TemplateError           a `{{ … }}` placeholder is wrong; carries the text, the place and a suggestion
├── NotFoundError           no such resource
├── AlreadyExistsError      a resource of that name exists
├── ConflictError           the etag or generation is not the current one, or a request id was used for something else
├── PreconditionError       the resource's state forbids it
├── QuotaError              a limit would be passed
├── UnimplementedError      designed, not built yet
├── ExpiredError            it was there once, and is not kept any more
├── ResumableError          a stream ended early; it can be taken up again at `sequence`
├── UnavailableError        the daemon is draining, or the store refuses to write
└── StoredDataError         a row cannot be read back
"""

from __future__ import annotations

from dataclasses import dataclass


class ScheddError(Exception):
    """The root of the tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One wrong field of a request.

    `field` is a path in proto spelling, such as `schedule.target.http.uri` or `schedule.triggers[0].expression`. `reason` is an
    UPPER_SNAKE code. `description` says what is wrong and what would be right.
    """

    field: str
    reason: str
    description: str

    def within(self, parent: str) -> FieldViolation:
        """The same, with the path going through `parent`."""
        return FieldViolation(field=f"{parent}.{self.field}", reason=self.reason, description=self.description)


class InvalidError(ScheddError):
    """The request is wrong in one field or in several; all of them are named."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = violations


class ExpressionError(ScheddError):
    """A schedule expression is wrong.

    `position` is the 0-based offset of the fault in `text`, `length` how many characters are at fault; `part` names the field of the
    expression ("minute", "zone", …). `suggestion` says what would be right, or is empty.
    """

    def __init__(self, *, text: str, part: str, reason: str, position: int = 0, length: int = 1, suggestion: str = "") -> None:
        super().__init__(f"{part}: {reason}" + (f" ({suggestion})" if suggestion else ""))
        self.text = text
        self.part = part
        self.reason = reason
        self.position = position
        self.length = length
        self.suggestion = suggestion


class TemplateError(ScheddError):
    """A placeholder of a template is wrong, or names what this delivery does not have.

    `position` is the 0-based offset of the placeholder in `text`, `length` how many characters are at fault. `suggestion` says what would
    be right, or is empty.
    """

    def __init__(self, *, text: str, position: int, length: int, reason: str, suggestion: str = "") -> None:
        super().__init__(f"at character {position + 1}: {reason}" + (f" ({suggestion})" if suggestion else ""))
        self.text = text
        self.position = position
        self.length = length
        self.reason = reason
        self.suggestion = suggestion


class ResourceError(ScheddError):
    """An error about one named resource. `resource_type` is `schedule`, `execution`, `calendar` or `group`."""

    def __init__(self, resource_type: str, name: str, description: str) -> None:
        super().__init__(f"{resource_type} {name}: {description}")
        self.resource_type = resource_type
        self.name = name
        self.description = description


class NotFoundError(ResourceError):
    """No such resource."""

    def __init__(self, resource_type: str, name: str) -> None:
        super().__init__(resource_type, name, "not found")


class AlreadyExistsError(ResourceError):
    """A resource of that name exists."""

    def __init__(self, resource_type: str, name: str, description: str = "already exists") -> None:
        super().__init__(resource_type, name, description)


class ConflictError(ResourceError):
    """The resource changed since it was read (etag), or a request id was used for another request. `reason` is UPPER_SNAKE."""

    def __init__(self, resource_type: str, name: str, *, reason: str, description: str) -> None:
        super().__init__(resource_type, name, description)
        self.reason = reason


class PreconditionError(ResourceError):
    """The resource's state forbids the operation. `reason` is UPPER_SNAKE."""

    def __init__(self, resource_type: str, name: str, *, reason: str, description: str) -> None:
        super().__init__(resource_type, name, description)
        self.reason = reason


class QuotaError(ScheddError):
    """A limit would be passed."""

    def __init__(self, *, subject: str, limit: int, description: str) -> None:
        super().__init__(f"{subject}: {description}")
        self.subject = subject
        self.limit = limit
        self.description = description


class UnimplementedError(ScheddError):
    """Designed, not built yet; the message says what it will do."""


class ExpiredError(ScheddError):
    """What is asked for was there once, and is not kept any more. `reason` is UPPER_SNAKE."""

    def __init__(self, *, reason: str, description: str) -> None:
        super().__init__(description)
        self.reason = reason


class ResumableError(ScheddError):
    """A stream ended early and loses nothing when it is taken up again after `sequence`. `reason` is UPPER_SNAKE."""

    def __init__(self, *, sequence: int, reason: str, description: str) -> None:
        super().__init__(description)
        self.sequence = sequence
        self.reason = reason


class UnavailableError(ScheddError):
    """The daemon cannot do it now: it drains, or the store refuses to write. `reason` is UPPER_SNAKE."""

    def __init__(self, *, reason: str, description: str) -> None:
        super().__init__(description)
        self.reason = reason


class StoredDataError(ScheddError):
    """A stored row cannot be read back. Its schedule is quarantined; the others run on.

    Of a schedule's row that can be read in part, `resource` is the name and `generation` the one that is stored.
    """

    def __init__(self, table: str, row_id: int, description: str, *, resource: str = "", generation: int | None = None) -> None:
        super().__init__(f"{table} row {row_id}: {description}")
        self.table = table
        self.row_id = row_id
        self.description = description
        self.resource = resource
        self.generation = generation
