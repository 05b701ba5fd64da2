"""The composition root: store, targets, engine, use cases and server, put together and taken apart in order.

Start: lock, store, engine (recovery), agents, socket, READY. Stop, each step when the one before it is done:

1. health says NOT_SERVING, also over HTTP, and calls that change something are refused
2. arm and start nothing more
3. drain: running attempts may end, for `engine.drain_time`; then they are cancelled, and made again after the next start
4. record what they came to
5. close the API, the metrics, then the targets: processes are ended with their trees
6. close the store
7. release the socket and the lock
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import grpc
import structlog

from schedd.api.server import ApiServer, TcpListener, UseCases
from schedd.core.breaker import BreakerPolicy
from schedd.core.errors import UnavailableError
from schedd.core.model.batch import Retention
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.core.permissions import Permissions
from schedd.core.ports import Target
from schedd.daemon.config import Circuits, Config, Tcp
from schedd.daemon.errors import ConfigError
from schedd.daemon.httpside import HttpSide, make_way
from schedd.daemon.keys import restart_changes
from schedd.daemon.listening import TOKEN_LEAST_CHARACTERS, check_port, clear_socket, open_socket, read_token, remove_socket
from schedd.daemon.lock import DataLock
from schedd.daemon.logging import configure_logging
from schedd.daemon.notify import Notifier
from schedd.daemon.permitting import permissions_of
from schedd.daemon.publicholidays import PublicHolidays
from schedd.daemon.secrets import secret_files
from schedd.engine.clock import SystemClock
from schedd.engine.engine import Engine, EngineSettings
from schedd.engine.ids import TimeIds
from schedd.engine.limits import AttemptLimits
from schedd.engine.planner import Pace
from schedd.service.admin import Admin
from schedd.service.backfills import Backfills
from schedd.service.batches import Batches
from schedd.service.calendars import CalendarUseCases
from schedd.service.deadletters import DeadLetters
from schedd.service.executions import Executions
from schedd.service.explanations import Explanations
from schedd.service.journal import Journal
from schedd.service.pauses import Pauses
from schedd.service.previews import Previews
from schedd.service.schedules import Schedules
from schedd.store.sqlite import SqliteStore
from schedd.targets.http.limits import HttpLimits
from schedd.targets.http.secrets import SecretFiles
from schedd.targets.http.target import HttpTargets
from schedd.targets.process.target import ProcessTargets

_CALLS_GRACE_S = 2.0

log = structlog.get_logger(__name__)

Reload = Callable[[], Config]
"""Reads the configuration again. Raises: ConfigError."""


class Daemon:
    """One running daemon: lives from READY until a signal tells it to end."""

    def __init__(self, config: Config, reload: Reload, notifier: Notifier) -> None:
        self._config = config
        self._reloaded = config
        self._reload = reload
        self._notifier = notifier
        self._clock = SystemClock()
        self._ending = asyncio.Event()
        self._reloading = asyncio.Event()

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, drain, stop. Raises: StartError."""
        with DataLock(Path(self._config.storage.path)):
            clear_socket(Path(self._config.listen.socket))
            if self._config.listen.tcp.address is not None:
                check_port(self._config.listen.tcp.address)
            make_way(self._config.metrics)
            async with self._store() as store, self._targets() as targets:
                engine = Engine(
                    store=store,
                    clock=self._clock,
                    ids=TimeIds(self._clock, last=(await store.status()).newest_id),
                    targets=targets.by_type,
                    survivors=targets.processes,
                    settings=_settings(self._config),
                    holidays=PublicHolidays(),
                )
                await self._serve(store, engine, targets)

    async def _serve(self, store: SqliteStore, engine: Engine, targets: _Targets) -> None:
        socket = Path(self._config.listen.socket)  # A reload may bring another path, which is not this daemon's until it starts anew.
        use_cases = self._use_cases(store, engine)
        web = HttpSide(self._config, use_cases.admin, use_cases.journal)  # It counts what the recovery decides, too.
        await engine.recover()
        _rest_the_collector()
        server = ApiServer(
            use_cases,
            socket=socket,
            tcp=_tcp_listener(self._config.listen.tcp),
            with_reflection=self._config.listen.reflection,
        )
        self._listen_to_signals()
        async with asyncio.TaskGroup() as tasks:
            agents = tasks.create_task(engine.run(), name="engine")
            await web.start(lambda: server.watchers)
            await server.start()
            open_socket(socket, self._config.listen)
            web.set_serving(True)
            self._log_ready(server, web)
            self._notifier.ready(f"{len(engine.timeline)} schedules planned")
            reloads = tasks.create_task(self._watch_reloads(store, engine, targets, use_cases.schedules))
            watchdog = tasks.create_task(self._feed_watchdog())
            await self._ending.wait()
            reloads.cancel()
            targets.processes.stopping()
            web.set_serving(False)
            await self._stop(engine, server, agents)
            await web.stop()
            watchdog.cancel()  # Until here: a drain may take longer than systemd waits for a ping.
        remove_socket(socket)

    def _log_ready(self, server: ApiServer, web: HttpSide) -> None:
        log.info(
            "ready",
            socket=self._config.listen.socket,
            database=self._config.storage.path,
            tcp_port=server.tcp_port or None,
            metrics=web.address,
        )

    async def _stop(self, engine: Engine, server: ApiServer, agents: asyncio.Task[None]) -> None:
        log.info("stopping", running=engine.dispatcher.running)
        self._notifier.stopping("draining")
        await server.set_serving(False)
        await engine.drain(self._reloaded.engine.drain_time)
        agents.cancel()
        await asyncio.wait([agents])
        await engine.close()
        await server.stop(_CALLS_GRACE_S)
        log.info("stopped")

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[SqliteStore]:
        store = await SqliteStore.open(Path(self._config.storage.path))
        try:
            yield store
        finally:
            await store.aclose()

    @asynccontextmanager
    async def _targets(self) -> AsyncIterator[_Targets]:
        database = Path(self._config.storage.path)
        permissions = permissions_of(self._config)
        processes = ProcessTargets(home=database.with_name(database.name + ".processes").absolute(), enabled=permissions.commands)
        await processes.reunite()
        limits = HttpLimits(connections_per_host=_limits(self._config).of_host)
        https = HttpTargets(self._clock, limits, permissions=permissions, secrets=SecretFiles(secret_files(self._config.secrets)))
        try:
            yield _Targets(processes=processes, https=https)
        finally:
            await https.aclose()
            await processes.aclose()

    def _use_cases(self, store: SqliteStore, engine: Engine) -> UseCases:
        schedules = Schedules(store=store, engine=engine, clock=self._clock, ids=engine.ids, permissions=permissions_of(self._config))
        pauses = Pauses(store=store, engine=engine, clock=self._clock)
        return UseCases(
            schedules=schedules,
            pauses=pauses,
            previews=Previews(store=store, engine=engine, clock=self._clock),
            backfills=Backfills(store=store, engine=engine, clock=self._clock, ids=engine.ids),
            batches=Batches(store=store, schedules=schedules, pauses=pauses, clock=self._clock),
            executions=Executions(store=store, engine=engine),
            explanations=Explanations(store=store, engine=engine, clock=self._clock),
            letters=DeadLetters(store=store, engine=engine, clock=self._clock),
            calendars=CalendarUseCases(store=store, engine=engine, clock=self._clock, ids=engine.ids),
            journal=Journal(store=store, engine=engine),
            admin=Admin(store=store, engine=engine, clock=self._clock, version=version("schedd")),
            clock=self._clock,
        )

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reloading.set)

    def _end(self) -> None:
        """The first signal drains; the second one does not wait."""
        if self._ending.is_set():
            log.warning("forced_to_stop")
            os._exit(1)
        self._ending.set()

    async def _watch_reloads(self, store: SqliteStore, engine: Engine, targets: _Targets, schedules: Schedules) -> None:
        """SIGHUP: what can change while the daemon runs, changes; a broken file leaves everything as it is, and the log says so."""
        while True:
            await self._reloading.wait()
            self._reloading.clear()
            self._notifier.reloading(self._clock.monotonic_us())
            try:
                config = self._reload()
            except ConfigError as error:
                log.error("reload_refused", faults=[str(fault) for fault in error.faults])
            else:
                waiting = restart_changes(self._config, config)
                self._reloaded = config
                configure_logging(config.log)
                engine.housekeeper.retention = _retention(config)
                permissions = permissions_of(config)
                schedules.permit(permissions)
                targets.https.secrets = SecretFiles(secret_files(config.secrets))
                await targets.permit(permissions)
                await self._journal_reload(store)
                log.info("reloaded", restart_wanted=waiting)
            self._notifier.ready("running")

    async def _journal_reload(self, store: SqliteStore) -> None:
        """Tell the journal, if the store takes it: a full disk is no reason to end."""
        try:
            await store.append([JournalEntry(time_us=self._clock.now_us(), kind=JournalKind.CONFIGURATION_RELOADED)])
        except UnavailableError as error:
            log.error("reload_not_journaled", reason=error.reason, detail=str(error))

    async def _feed_watchdog(self) -> None:
        """Ping systemd at half of its interval. The ping comes from the loop: agents that end take the daemon with them."""
        if self._notifier.watchdog_us is None:
            return
        while True:
            self._notifier.watchdog()
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=self._notifier.watchdog_us / 2e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Targets:
    """The targets of each kind. The deliveries of `processes` may outlive a daemon."""

    processes: ProcessTargets
    https: HttpTargets

    @property
    def by_type(self) -> Mapping[type, Target]:
        """The targets by the models that they deliver to."""
        return {HttpTarget: self.https, ProcessTarget: self.processes}

    async def permit(self, permissions: Permissions) -> None:
        """Let these hold from now on."""
        self.processes.enabled = permissions.commands
        await self.https.permit(permissions)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of the configured files, read at each call: a file that changes takes effect at once.

    One that cannot be read, or holds too little (while it is being written, say), lets nobody in.
    """

    files: tuple[Path, ...]

    def __call__(self) -> list[str]:
        """The tokens that open the door now."""
        return [token for path in self.files if len(token := _token_in(path)) >= TOKEN_LEAST_CHARACTERS]


def _token_in(path: Path) -> str:
    try:
        return read_token(path)
    except OSError as error:
        log.error("token_unreadable", path=str(path), detail=error.strerror)
        return ""


def _rest_the_collector() -> None:
    """What was loaded stays for good: keep the garbage collector from walking it, and let its rounds be short.

    A call of grpc leaves garbage that only the collector finds: 50,000 such objects at once held the loop for 70 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 5, 1_000)


def _settings(config: Config) -> EngineSettings:
    engine = config.engine
    return EngineSettings(
        pace=Pace(horizon=engine.horizon, interval=engine.arm_interval),
        limits=_limits(config),
        breaker=_breaker(engine.circuits),
        retention=_retention(config),
        record_linger=engine.record_linger,
    )


def _limits(config: Config) -> AttemptLimits:
    engine = config.engine
    return AttemptLimits(
        running=engine.max_running,
        per_host=engine.max_running_per_host,
        http_timeout=engine.http_timeout,
        timeout_cap=engine.process_timeout,
    )


def _breaker(circuits: Circuits) -> BreakerPolicy | None:
    if not circuits.enabled:
        return None
    return BreakerPolicy(
        window=circuits.window,
        min_calls=circuits.min_calls,
        failure_rate=circuits.failure_percent / 100,
        open_time=circuits.open_time,
        probes=circuits.probes,
    )


def _retention(config: Config) -> Retention:
    kept = config.retention
    return Retention(
        history=kept.history,
        journal=kept.journal,
        deleted=kept.deleted,
        per_schedule=kept.per_schedule,
        dead_letters=kept.dead_letters,
    )


def _tcp_listener(tcp: Tcp) -> TcpListener | None:
    if tcp.address is None:
        return None
    if tcp.insecure_loopback:
        return TcpListener(address=tcp.address)
    assert tcp.tls_certificate is not None, "the configuration was checked"
    assert tcp.tls_key is not None, "the configuration was checked"
    client_ca = Path(tcp.tls_client_ca).read_bytes() if tcp.tls_client_ca else None
    credentials = grpc.ssl_server_credentials(
        [(Path(tcp.tls_key).read_bytes(), Path(tcp.tls_certificate).read_bytes())],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )
    return TcpListener(address=tcp.address, credentials=credentials, tokens=Tokens(tuple(Path(path) for path in tcp.token_files)))
