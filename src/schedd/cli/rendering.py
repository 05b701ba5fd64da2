"""What an attempt would send, for people to read."""

from __future__ import annotations

from collections.abc import Iterator

from schedd.v1.target_pb2 import RenderedDelivery, RenderedHttp, RenderedProcess


def rendered_lines(rendered: RenderedDelivery) -> Iterator[str]:
    """A request as it goes over the wire, or a command with its environment."""
    if rendered.WhichOneof("kind") == "http":
        yield from _http(rendered.http)
    else:
        yield from _process(rendered.process)


def _http(request: RenderedHttp) -> Iterator[str]:
    yield f"{request.method} {request.url}"
    yield from (f"{header.name}: {header.value}" for header in request.headers)
    yield from _content(request.body)


def _process(process: RenderedProcess) -> Iterator[str]:
    import shlex

    yield shlex.join(process.argv)
    if process.working_directory:
        yield f"in {process.working_directory}"
    yield from (f"{name}={value}" for name, value in sorted(process.env.items()))
    yield from _content(process.stdin)


def _content(content: bytes) -> Iterator[str]:
    if content:
        yield ""
        yield from content.decode("utf-8", "replace").splitlines()
