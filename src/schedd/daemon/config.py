"""What can be configured: the sections, and each key's meaning, bounds and default.

`schedd.daemon.sources` fills these types from flags, environment and files; `schedd.daemon.reference` writes docs/configuration.md and
systemd/schedd.toml from them. A key marked `restart` is read at the start only; the others follow a reload (SIGHUP) too.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

_MS = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


def _key(description: str, *examples: object, restart: bool = False, default: str = "") -> Meta:
    """A key's description. `default` says in words what the default is where it depends on the host."""
    return Meta(description=description, examples=list(examples), extra={"restart": restart, "default": default})


def _between(least: timedelta, most: timedelta) -> Meta:
    """Bounds of a duration, both included: msgspec has none of its own."""
    return Meta(extra={"least": least, "most": most})


class LogLevel(StrEnum):
    """From which severity on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """What log lines look like. AUTO: CONSOLE when standard error is a terminal, else JSON."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class EventLoop(StrEnum):
    """Which event loop the daemon runs on."""

    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


class Storage(Struct, frozen=True, kw_only=True):
    """Where everything durable is kept."""

    path: Annotated[
        str,
        _key(
            "The database, an absolute path. Its directory is made if it is missing; the lock and SQLite's own files stand beside it.",
            "/var/lib/schedd/schedd.db",
            restart=True,
            default="schedd.db in the state directory: systemd's, /var/lib/schedd (root) or $XDG_STATE_HOME/schedd",
        ),
    ]


class Tcp(Struct, frozen=True, kw_only=True):
    """Listening on TCP, beside the unix socket: only with TLS and a token, or openly on a loopback address."""

    address: Annotated[
        str | None,
        _key(
            "IP address and port, IPv6 in brackets; 0.0.0.0 and [::] stand for all addresses, and port 0 takes any free one and logs it. "
            "Unset: no TCP.",
            "192.0.2.10:7420",
            "[::1]:7420",
            restart=True,
        ),
    ] = None
    tls_certificate: Annotated[
        str | None, _key("The server's certificate chain, a PEM file.", "/etc/schedd/tls/server.pem", restart=True)
    ] = None
    tls_key: Annotated[str | None, _key("The certificate's private key, a PEM file.", "/etc/schedd/tls/server.key", restart=True)] = None
    tls_client_ca: Annotated[
        str | None,
        _key(
            "Authorities, a PEM file, one of which must have signed the client's certificate, in addition to the token. Unset: no client "
            "certificate is asked for.",
            "/etc/schedd/tls/clients.pem",
            restart=True,
        ),
    ] = None
    token_files: Annotated[
        tuple[str, ...],
        _key(
            "Files that hold one bearer token each, of at least 16 characters; any of them opens the door. They are read at each call: "
            "a token is changed by writing its file. Others must not be able to read them.",
            ["/etc/schedd/tokens/deployer.token"],
            restart=True,
        ),
    ] = ()
    insecure_loopback: Annotated[
        bool,
        _key(
            "Listen without TLS and without a token; only on a loopback address. Every user of the host can then do everything.",
            restart=True,
        ),
    ] = False


class Listen(Struct, frozen=True, kw_only=True):
    """Where clients find the daemon."""

    socket: Annotated[
        str,
        _key(
            "The unix socket, an absolute path of at most 100 bytes.",
            "/run/schedd/schedd.sock",
            restart=True,
            default="schedd.sock in the runtime directory: systemd's, /run/schedd (root), $XDG_RUNTIME_DIR/schedd, or the state directory",
        ),
    ]
    socket_mode: Annotated[
        str,
        Meta(pattern="^0[0-7]{3}$"),
        _key("The socket's permissions, in octal. Who can write to it can do everything.", "0660", "0600", restart=True),
    ] = "0660"
    socket_group: Annotated[str | None, _key("The group that the socket belongs to. Unset: the daemon's own.", "schedd", restart=True)] = (
        None
    )
    reflection: Annotated[bool, _key("Answer gRPC server reflection, for tools such as grpcurl.", restart=True)] = False
    tcp: Tcp = Tcp()


class Circuits(Struct, frozen=True, kw_only=True):
    """When a host that HTTP targets call counts as down, and is spared calls until it answers again (a circuit breaker)."""

    enabled: Annotated[bool, _key("Whether hosts are watched at all.", restart=True)] = True
    window: Annotated[
        timedelta,
        _between(_SECOND, _DAY),
        _key("Calls of this long are judged together: no connection, no answer in time, 429 and 5xx count as failures.", restart=True),
    ] = 60 * _SECOND
    min_calls: Annotated[int, Meta(ge=1, le=100_000), _key("With fewer calls in the window nothing is judged.", restart=True)] = 20
    failure_percent: Annotated[
        int, Meta(ge=1, le=100), _key("So many failures of a hundred calls open the host's circuit: nothing is sent.", restart=True)
    ] = 50
    open_time: Annotated[
        timedelta, _between(_SECOND, _DAY), _key("How long it stays open before probes are sent; the first answer closes it.", restart=True)
    ] = 30 * _SECOND
    probes: Annotated[int, Meta(ge=1, le=1000), _key("How many probes may be under way at once.", restart=True)] = 3


class Engine(Struct, frozen=True, kw_only=True):
    """How schedules are fired."""

    horizon: Annotated[
        timedelta,
        _between(100 * _MS, 10 * _SECOND),
        _key("How far ahead of their due time executions are made durable.", restart=True),
    ] = 500 * _MS
    arm_interval: Annotated[
        timedelta, _between(10 * _MS, 5 * _SECOND), _key("How often that is done; at most half of the horizon.", restart=True)
    ] = 100 * _MS
    record_linger: Annotated[
        timedelta, _between(0 * _MS, _SECOND), _key("How long a result may wait for others to be stored with it.", restart=True)
    ] = 20 * _MS
    max_running: Annotated[
        int, Meta(ge=1, le=100_000), _key("How many attempts may run at once; further ones wait, by priority.", restart=True)
    ] = 256
    max_running_per_host: Annotated[
        int,
        Meta(ge=1, le=100_000),
        _key(
            "How many attempts may call the same host (or unix socket) at once, and never more than three quarters of max_running: a host "
            "that hangs leaves room for the others.",
            restart=True,
        ),
    ] = 64
    http_timeout: Annotated[
        timedelta,
        _between(100 * _MS, _DAY),
        _key("How long an HTTP attempt may take when its schedule does not say.", restart=True),
    ] = 60 * _SECOND
    process_timeout: Annotated[
        timedelta, _between(_SECOND, 365 * _DAY), _key("How long a process may run at most, whatever its schedule says.", restart=True)
    ] = _DAY
    drain_time: Annotated[
        timedelta,
        _between(0 * _MS, _DAY),
        _key("How long running attempts may go on after SIGTERM before they are cancelled. Keep the unit's TimeoutStopSec above it."),
    ] = 30 * _SECOND
    circuits: Circuits = Circuits()


class Http(Struct, frozen=True, kw_only=True):
    """Whom HTTP targets may call. What is denied is refused at creation if it stands in the URL, and at each connection, redirects too."""

    deny: Annotated[
        tuple[str, ...],
        _key(
            "Whom they may not call: addresses and networks, hosts by name with * and ?, unix sockets as unix:/path. An IPv4 address "
            "within an IPv6 one (mapped, 6to4, NAT64, Teredo) counts as well.",
            ["10.0.0.0/8", "*.internal", "unix:/run/docker.sock"],
        ),
    ] = ()
    deny_metadata: Annotated[
        bool,
        _key(
            "Deny addresses of one link (169.254.0.0/16, fe80::/10) and the others under which clouds give out credentials (fd00:ec2::254, "
            "fd20:ce::254, 100.100.100.200).",
        ),
    ] = True
    allow: Annotated[
        tuple[str, ...],
        _key(
            "Exceptions from deny, deny_metadata and global_only, in the form of deny. A host that is allowed by its name may be called "
            "wherever that leads.",
            ["10.1.2.0/24", "hooks.corp.internal"],
        ),
    ] = ()
    global_only: Annotated[
        bool,
        _key(
            "Call only addresses that are reachable from everywhere: no loopback, private, shared or multicast ones and no unix sockets, "
            "unless allow has them.",
        ),
    ] = False


class Process(Struct, frozen=True, kw_only=True):
    """Whether commands run."""

    enabled: Annotated[
        bool,
        _key("Whether process targets, and conditions that are commands, run; else they are refused at creation, and denied at a fire."),
    ] = True


class Retention(Struct, frozen=True, kw_only=True):
    """How long the past is kept."""

    history: Annotated[timedelta, _between(_MINUTE, 3650 * _DAY), _key("Finished executions and their output.")] = 30 * _DAY
    journal: Annotated[timedelta, _between(_MINUTE, 3650 * _DAY), _key("Journal entries; a watcher can resume from any that is kept.")] = (
        90 * _DAY
    )
    deleted: Annotated[timedelta, _between(_MINUTE, 3650 * _DAY), _key("Deleted schedules, which can be restored until then.")] = 90 * _DAY
    dead_letters: Annotated[
        timedelta, _between(_MINUTE, 3650 * _DAY), _key("Dead letters, with their executions, counted from their last failure.")
    ] = 90 * _DAY
    per_schedule: Annotated[int, Meta(ge=1, le=10_000_000), _key("Finished executions kept of one schedule, whatever their age.")] = 10_000


class Metrics(Struct, frozen=True, kw_only=True):
    """Metrics for Prometheus and a health check, over HTTP without a password."""

    listen: Annotated[
        str | None,
        _key(
            "Where GET /metrics and GET /healthz are answered: a loopback address and port, IPv6 in brackets (port 0 takes any free one "
            "and logs it), or the absolute path of a unix socket, which gets the mode and the group of listen.socket. Unset: nowhere.",
            "127.0.0.1:7421",
            "[::1]:7421",
            "/run/schedd/metrics.sock",
            restart=True,
        ),
    ] = None


class Log(Struct, frozen=True, kw_only=True):
    """What goes to standard error."""

    level: Annotated[LogLevel, _key("From which severity on lines are logged.")] = LogLevel.INFO
    format: Annotated[
        LogFormat, _key("json: one object a line; console: for people; auto: console on a terminal, else json.", restart=True)
    ] = LogFormat.AUTO


class Runtime(Struct, frozen=True, kw_only=True):
    """How the process runs."""

    event_loop: Annotated[EventLoop, _key("uvloop (the fast one) or asyncio (the standard library's).", restart=True)] = EventLoop.UVLOOP


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration."""

    storage: Storage
    listen: Listen
    engine: Engine = Engine()
    http: Http = Http()
    secrets: Annotated[
        dict[str, str],
        _key(
            "A name that HTTP targets may give as that of their bearer token or password, and the file that holds it on one line; what has "
            "no slash is the name of a systemd credential (LoadCredential=). The file is looked at each time: a secret is changed by "
            "writing its file; others must not be able to read it. A secret goes to targets alone: it is not stored, logged or shown.",
            {"pager-token": "/etc/schedd/secrets/pager-token", "billing": "billing.cred"},
        ),
    ] = {}
    process: Process = Process()
    retention: Retention = Retention()
    metrics: Metrics = Metrics()
    log: Log = Log()
    runtime: Runtime = Runtime()
