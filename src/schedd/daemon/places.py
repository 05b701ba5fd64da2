"""Where the daemon's files are when nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The directories of one daemon: its state, its socket, its configuration, and systemd's credentials if it was given some."""

    state: Path
    runtime: Path
    configuration: Path
    credentials: Path | None = None

    @property
    def database(self) -> Path:
        """The default of `storage.path`."""
        return self.state / "schedd.db"

    @property
    def socket(self) -> Path:
        """The default of `listen.socket`."""
        return self.runtime / "schedd.sock"

    @property
    def files(self) -> tuple[Path, ...]:
        """The configuration files that exist, in the order in which they are read."""
        main = self.configuration / "schedd.toml"
        return (*([main] if main.is_file() else []), *sorted((self.configuration / "conf.d").glob("*.toml")))


def default_places(environ: Mapping[str, str], *, root: bool) -> Places:
    """The directories that systemd made for the daemon; else the system's, for root; else the user's (XDG base directories).

    A user without XDG_RUNTIME_DIR gets the socket beside the database.
    """
    home = Path(environ.get("HOME", "/"))
    if root:
        state, runtime, configuration = Path("/var/lib/schedd"), Path("/run/schedd"), Path("/etc/schedd")
    else:
        state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "schedd"
        runtime = Path(environ["XDG_RUNTIME_DIR"]) / "schedd" if environ.get("XDG_RUNTIME_DIR") else state
        configuration = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "schedd"
    return Places(
        state=_of_systemd(environ, "STATE_DIRECTORY", state),
        runtime=_of_systemd(environ, "RUNTIME_DIRECTORY", runtime),
        configuration=_of_systemd(environ, "CONFIGURATION_DIRECTORY", configuration),
        credentials=Path(environ["CREDENTIALS_DIRECTORY"]) if environ.get("CREDENTIALS_DIRECTORY") else None,
    )


def _of_systemd(environ: Mapping[str, str], name: str, otherwise: Path) -> Path:
    """Systemd names several directories with colons between; the first is the daemon's."""
    return Path(environ[name].split(":")[0]) if environ.get(name) else otherwise
