"""How the configuration comes together, and what a wrong one is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from schedd.daemon.config import LogLevel
from schedd.daemon.errors import ConfigError
from schedd.daemon.places import Places, default_places
from schedd.daemon.sources import Loaded, Request, load


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Places of a fresh machine, with an empty configuration directory."""
    (tmp_path / "etc/conf.d").mkdir(parents=True)
    return Places(state=tmp_path / "state", runtime=tmp_path / "run", configuration=tmp_path / "etc")


def loaded(places: Places, *flags: str, environ: Mapping[str, str] | None = None, file: Path | None = None) -> Loaded:
    return load(Request(places=places, environ=environ or {}, file=file, flags=flags))


def reasons(places: Places, *flags: str, environ: Mapping[str, str] | None = None, file: Path | None = None) -> dict[str, str]:
    """The faults' reasons by key."""
    with pytest.raises(ConfigError) as caught:
        loaded(places, *flags, environ=environ, file=file)
    return {fault.key: fault.reason for fault in caught.value.faults}


def test_load_without_anything_yields_defaults_in_the_places(places: Places) -> None:
    result = loaded(places)
    assert result.config.storage.path == str(places.state / "schedd.db")
    assert result.config.listen.socket == str(places.runtime / "schedd.sock")
    assert result.config.engine.horizon == timedelta(milliseconds=500)
    assert set(result.origins.values()) == {"default"}


def test_load_from_all_sources_prefers_flag_then_environment_then_later_file(places: Places) -> None:
    main = places.configuration / "schedd.toml"
    main.write_text('[engine]\nmax_running = 1\nhttp_timeout = "1s"\nprocess_timeout = "2s"\nhorizon = "1s"\n')
    part = places.configuration / "conf.d/20-more.toml"
    part.write_text('[engine]\nmax_running = 2\nhttp_timeout = "3s"\nprocess_timeout = "4s"\n')
    result = loaded(
        places,
        "engine.max_running=5",
        environ={"SCHEDD_ENGINE__MAX_RUNNING": "4", "SCHEDD_ENGINE__HTTP_TIMEOUT": "9s", "SCHEDD_SERVER": "unix:///x"},
    )
    assert result.config.engine.max_running == 5
    assert result.config.engine.http_timeout == timedelta(seconds=9)
    assert result.config.engine.process_timeout == timedelta(seconds=4)
    assert result.config.engine.horizon == timedelta(seconds=1)
    assert result.origins["engine.max_running"] == "flag --set"
    assert result.origins["engine.http_timeout"] == "environment SCHEDD_ENGINE__HTTP_TIMEOUT"
    assert result.origins["engine.process_timeout"] == f"file {part}"
    assert result.origins["engine.horizon"] == f"file {main}"


def test_load_of_a_named_file_leaves_the_default_files_alone(places: Places, tmp_path: Path) -> None:
    (places.configuration / "schedd.toml").write_text('[log]\nlevel = "error"\n')
    own = tmp_path / "own.toml"
    own.write_text("[engine]\nmax_running = 3\n")
    result = loaded(places, file=own)
    assert result.config.engine.max_running == 3
    assert result.config.log.level is LogLevel.INFO


def test_load_of_many_faults_tells_them_all(places: Places, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[storage]\npaht = "/x"\n[engine]\nmax_running = "many"\nhorizon = 5\n[log]\nlevel = "loud"\n[listen]\ntcp = "on"\n')
    found = reasons(places, "nonsense", environ={"SCHEDD_RETENTION__PER_SCHEDULE": "0"}, file=file)
    assert found == {
        "storage.paht": "no such key; the nearest is storage.path",
        "engine.max_running": "'many' does not do (Expected `int`, got `str`): write 256, say",
        "engine.horizon": '5 has no unit: write text such as "500ms"',
        "log.level": '\'loud\' does not do (Invalid enum value \'loud\'): write one of "debug", "info", "warning", "error"',
        "listen.tcp": "is a section: give its keys values",
        "nonsense": "has no value: write --set section.key=value",
        "retention.per_schedule": "'0' does not do (Expected `int` >= 1): write 10000, say",
    }


def test_load_of_an_unknown_key_names_file_and_nearest_key(places: Places, tmp_path: Path) -> None:
    file = tmp_path / "typo.toml"
    file.write_text('[listen.tcp]\nadress = "127.0.0.1:1"\n')
    with pytest.raises(ConfigError, match=r"typo\.toml: listen\.tcp\.adress: no such key; the nearest is listen\.tcp\.address"):
        loaded(places, file=file)


def test_load_of_an_unknown_variable_names_the_variable(places: Places) -> None:
    with pytest.raises(ConfigError, match=r"SCHEDD_STORAGE__PAHT: storage\.paht: no such key; the nearest is storage\.path"):
        loaded(places, environ={"SCHEDD_STORAGE__PAHT": "/x"})


@pytest.mark.parametrize(("content", "reason"), [(b"[storage", "is not TOML"), (b"\xff", "is not TOML")])
def test_load_of_a_broken_file_says_so(places: Places, tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    assert reasons(places, file=file)[""].startswith(reason)


def test_load_of_a_missing_file_says_so(places: Places, tmp_path: Path) -> None:
    assert reasons(places, file=tmp_path / "none.toml") == {"": "cannot be read: No such file or directory"}


def test_load_with_an_interval_too_long_for_the_horizon_is_refused(places: Places) -> None:
    assert "engine.arm_interval" in reasons(places, "engine.arm_interval=400ms")


def test_load_with_a_duration_out_of_bounds_names_the_bounds(places: Places) -> None:
    assert reasons(places, "engine.horizon=1d")["engine.horizon"] == "1d is out of bounds: 100ms to 10s"


def test_load_with_a_relative_path_is_refused(places: Places) -> None:
    assert "is not absolute" in reasons(places, "storage.path=schedd.db")["storage.path"]


def test_load_of_a_list_in_the_environment_splits_at_commas(places: Places, tmp_path: Path) -> None:
    found = reasons(places, environ={"SCHEDD_LISTEN__TCP__TOKEN_FILES": "/a, /b"})
    assert found == {"listen.tcp.address": "is unset, so the other keys of listen.tcp do nothing: set it, or leave them out"}


def test_default_places_for_root_are_the_systems() -> None:
    places = default_places({"HOME": "/root"}, root=True)
    assert (str(places.database), str(places.socket)) == ("/var/lib/schedd/schedd.db", "/run/schedd/schedd.sock")


def test_default_places_for_a_user_follow_xdg() -> None:
    given = {"HOME": "/home/u", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r", "XDG_CONFIG_HOME": "/c"}
    places = default_places(given, root=False)
    assert (str(places.database), str(places.socket)) == ("/s/schedd/schedd.db", "/r/schedd/schedd.sock")
    assert str(places.configuration) == "/c/schedd"


def test_default_places_for_a_user_without_xdg_fall_back_to_the_state_directory() -> None:
    places = default_places({"HOME": "/home/u"}, root=False)
    assert str(places.socket) == "/home/u/.local/state/schedd/schedd.sock"


def test_default_places_under_systemd_are_the_directories_it_made() -> None:
    given = {
        "HOME": "/",
        "STATE_DIRECTORY": "/var/lib/schedd:/x",
        "RUNTIME_DIRECTORY": "/run/schedd",
        "CONFIGURATION_DIRECTORY": "/etc/schedd",
    }
    places = default_places(given, root=False)
    assert (str(places.state), str(places.runtime), str(places.configuration)) == ("/var/lib/schedd", "/run/schedd", "/etc/schedd")


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("SCHEDD_ENGINE__NOPE", "the nearest is engine."),
        ("SCHEDD_ENGINE__MAX_RUNING", "the nearest is engine.max_running (SCHEDD_ENGINE__MAX_RUNNING)"),
        ("SCHEDD_ENGIN__MAX_RUNNING", "the nearest is engine.max_running (SCHEDD_ENGINE__MAX_RUNNING)"),
    ],
)
def test_load_of_an_unknown_variable_names_the_nearest_key_and_its_variable(places: Places, variable: str, nearest: str) -> None:
    (reason,) = reasons(places, environ={variable: "1"}).values()
    assert nearest in reason
    assert "(SCHEDD_ENGINE__" in reason
