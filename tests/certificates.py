"""Certificates for tests, made by openssl; a machine without it leaves those tests out."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """The files of a self-signed certificate for localhost and 127.0.0.1, and of its key, which only the owner can read."""

    certificate: Path
    key: Path


def make_certificate(directory: Path) -> Certificate:
    """Make one in `directory`, which may be missing."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here to make a certificate with")
    directory.mkdir(exist_ok=True)
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", made.key, "-out", made.certificate),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    made.key.chmod(0o600)
    return made
