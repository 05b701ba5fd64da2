"""Whom a URL calls."""

from __future__ import annotations

import pytest

from schedd.core.hosts import host_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.org/a?b", "http://example.org:80"),
        ("HTTPS://example.org", "https://example.org:443"),
        ("https://user:secret@example.org:8443/", "https://example.org:8443"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("http+unix://%2Frun%2Fapp.sock/path", "unix:/run/app.sock"),
        ("http://{{ labels.region }}.example.org:80/x", "http://{{ labels.region }}.example.org:80"),
        ("http://example.org:{{ labels.port }}/x", "http://example.org:{{ labels.port }}"),
    ],
)
def test_url_has_its_host(url: str, host: str) -> None:
    assert host_of(url) == host
