"""Where the daemon may listen, and the unix socket's place."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from schedd.daemon.config import Config, Listen, Metrics, Storage, Tcp
from schedd.daemon.errors import SocketError
from schedd.daemon.listening import check_port, clear_socket, listening_faults, metrics_faults, parse_endpoint
from tests.certificates import make_certificate


@pytest.fixture
def secured(tmp_path: Path) -> Tcp:
    """TCP with everything it needs."""
    tls = make_certificate(tmp_path)
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    token.chmod(0o600)
    return Tcp(address="192.0.2.1:7420", tls_certificate=str(tls.certificate), tls_key=str(tls.key), token_files=(str(token),))


def faults(tcp: Tcp) -> dict[str, str]:
    return dict(listening_faults(Listen(socket="/run/schedd.sock", tcp=tcp)))


def test_listening_on_a_unix_socket_alone_is_allowed() -> None:
    assert faults(Tcp()) == {}


def test_listening_on_tcp_with_tls_and_token_is_allowed(secured: Tcp) -> None:
    assert faults(secured) == {}


@pytest.mark.parametrize("address", ["127.0.0.1:7420", "127.9.9.9:0", "[::1]:7420"])
def test_listening_openly_on_a_loopback_address_is_allowed(address: str) -> None:
    assert faults(Tcp(address=address, insecure_loopback=True)) == {}


@pytest.mark.parametrize("address", ["0.0.0.0:7420", "[::]:7420", "192.0.2.1:7420"])
def test_listening_openly_elsewhere_is_refused_and_told_what_would_be_right(address: str) -> None:
    reason = faults(Tcp(address=address, insecure_loopback=True))["listen.tcp.insecure_loopback"]
    assert "no loopback address" in reason
    assert "tls_certificate" in reason


@pytest.mark.parametrize("address", ["127.0.0.1:7420", "192.0.2.1:7420"])
def test_listening_on_tcp_without_tls_and_token_names_all_that_is_missing(address: str) -> None:
    reason = faults(Tcp(address=address))["listen.tcp.address"]
    assert "tls_certificate, tls_key, token_files of listen.tcp are not set" in reason
    assert "insecure_loopback = true" in reason


def test_listening_with_tls_but_no_token_is_refused(secured: Tcp) -> None:
    tcp = Tcp(address=secured.address, tls_certificate=secured.tls_certificate, tls_key=secured.tls_key)
    assert "token_files of listen.tcp is not set" in faults(tcp)["listen.tcp.address"]


def test_listening_both_openly_and_secured_is_refused(secured: Tcp) -> None:
    tcp = Tcp(address="127.0.0.1:1", insecure_loopback=True, token_files=secured.token_files)
    assert "without a token" in faults(tcp)["listen.tcp.insecure_loopback"]


def test_listening_keys_without_an_address_are_refused() -> None:
    assert "set it" in faults(Tcp(insecure_loopback=True))["listen.tcp.address"]


def test_listening_with_an_unreadable_certificate_names_it(secured: Tcp) -> None:
    Path(str(secured.tls_certificate)).unlink()
    assert "cannot be read: No such file" in faults(secured)["listen.tcp.tls_certificate"]


def test_listening_with_an_empty_key_names_it(secured: Tcp) -> None:
    Path(str(secured.tls_key)).write_text("")
    assert faults(secured)["listen.tcp.tls_key"].endswith("is empty")


def test_listening_with_a_token_that_others_can_read_is_refused(secured: Tcp) -> None:
    Path(secured.token_files[0]).chmod(0o644)
    assert "chmod o-rwx" in faults(secured)["listen.tcp.token_files"]


def test_listening_with_a_short_token_is_refused_without_showing_it(secured: Tcp) -> None:
    Path(secured.token_files[0]).write_text("short!")
    reason = faults(secured)["listen.tcp.token_files"]
    assert "less than 16 characters" in reason
    assert "short!" not in reason


def test_listening_with_a_key_that_others_can_read_is_refused(secured: Tcp) -> None:
    Path(str(secured.tls_key)).chmod(0o644)
    assert f"chmod o-rwx {secured.tls_key}" in faults(secured)["listen.tcp.tls_key"]


def test_listening_with_the_key_of_another_certificate_is_refused(secured: Tcp, tmp_path: Path) -> None:
    other = make_certificate(tmp_path / "other")
    tcp = replace(secured, tls_key=str(other.key))
    assert "is not the private key of the first certificate in" in faults(tcp)["listen.tcp.tls_key"]


@pytest.mark.parametrize(("key", "said"), [("tls_certificate", "has no certificate"), ("tls_key", "no private key")])
def test_listening_with_a_file_that_is_no_pem_names_it(secured: Tcp, key: str, said: str) -> None:
    Path(getattr(secured, key)).write_text("PEM")
    assert said in faults(secured)[f"listen.tcp.{key}"]


def test_listening_with_client_authorities_that_are_none_is_refused(secured: Tcp, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("nobody")
    assert "has no certificate in PEM" in faults(replace(secured, tls_client_ca=str(tmp_path / "ca")))["listen.tcp.tls_client_ca"]
    assert faults(replace(secured, tls_client_ca=secured.tls_certificate)) == {}


def metrics_fault(place: str | None) -> str:
    """Why metrics cannot be answered there; empty if they can."""
    config = Config(storage=Storage(path="/s.db"), listen=Listen(socket="/run/s.sock"), metrics=Metrics(listen=place))
    return dict(metrics_faults(config)).get("metrics.listen", "")


@pytest.mark.parametrize("place", [None, "127.0.0.1:7421", "127.9.9.9:0", "[::1]:7421", "/run/metrics.sock"])
def test_metrics_nowhere_on_a_loopback_address_or_on_a_unix_socket_are_allowed(place: str | None) -> None:
    assert metrics_fault(place) == ""


@pytest.mark.parametrize("place", ["0.0.0.0:7421", "[::]:7421", "192.0.2.1:7421", "10.0.0.1:7421"])
def test_metrics_elsewhere_are_refused_and_told_what_would_be_right(place: str) -> None:
    reason = metrics_fault(place)
    assert f"{place} is no loopback address, and metrics have no password" in reason
    assert "listen on 127.0.0.1 or ::1, or on a unix socket" in reason


@pytest.mark.parametrize("place", ["", "7421", "localhost:7421", "metrics.sock"])
def test_metrics_at_what_is_no_place_are_refused_and_told_what_one_is(place: str) -> None:
    assert metrics_fault(place).endswith('write "127.0.0.1:7420" or "[::1]:7420", say, or the absolute path of a unix socket')


def test_metrics_on_the_socket_of_the_api_or_on_a_path_too_long_are_refused() -> None:
    assert "is listen.socket too" in metrics_fault("/run/s.sock")
    assert "longer than 100 bytes" in metrics_fault("/" + "x" * 100)


@pytest.mark.parametrize("text", ["localhost:1", "7420", "1.2.3.4", "1.2.3.4:x", "1.2.3.4:70000", ":1", ""])
def test_parse_endpoint_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_endpoint(text)


@pytest.mark.parametrize("text", ["1.2.3.4:5", "[::1]:0"])
def test_parse_endpoint_reads_back(text: str) -> None:
    assert str(parse_endpoint(text)) == text


def test_listening_on_a_path_too_long_for_a_socket_is_refused() -> None:
    assert "longer than 100 bytes" in dict(listening_faults(Listen(socket="/" + "x" * 100)))["listen.socket"]


def test_listening_with_an_unknown_group_is_refused() -> None:
    assert "no group nobody-has-this" in dict(listening_faults(Listen(socket="/s", socket_group="nobody-has-this")))["listen.socket_group"]


def test_clear_socket_makes_the_directory(tmp_path: Path) -> None:
    clear_socket(tmp_path / "a/b/schedd.sock")
    assert (tmp_path / "a/b").is_dir()


def test_clear_socket_removes_what_nobody_answers(tmp_path: Path) -> None:
    path = tmp_path / "schedd.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    clear_socket(path)
    assert not path.exists()


def test_clear_socket_leaves_a_live_one_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "schedd.sock"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        with pytest.raises(SocketError, match="another daemon answers there"):
            clear_socket(path)
    assert path.exists()


def test_clear_socket_leaves_a_file_that_is_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "schedd.sock"
    path.write_text("precious")
    with pytest.raises(SocketError, match="not a socket"):
        clear_socket(path)
    assert path.read_text() == "precious"


def test_socket_whose_directory_cannot_be_made_is_a_fault_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SocketError, match="its directory cannot be made: Not a directory"):
        clear_socket(tmp_path / "file" / "run" / "s.sock")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_port_that_somebody_else_listens_on_is_refused_and_a_free_one_is_not(host: str) -> None:
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((host.strip("[]"), 0))
        other.listen()
        address = f"{host}:{other.getsockname()[1]}"
        with pytest.raises(SocketError, match=r"something else listens there\. Stop it, or set listen\.tcp\.address"):
            check_port(address)
    check_port(address)


def test_port_of_the_metrics_that_somebody_else_listens_on_is_refused_by_its_own_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SocketError, match=r"set metrics\.listen to another port"):
        check_port(f"127.0.0.1:{other.getsockname()[1]}", key="metrics.listen")


def test_address_that_the_host_has_not_is_refused() -> None:
    with pytest.raises(SocketError, match="this host has no such address"):
        check_port("192.0.2.1:0")
