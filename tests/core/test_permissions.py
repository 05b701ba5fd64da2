"""What may be called: hosts by name, addresses with all that they lead to, and what of a schedule is forbidden as it stands."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.model.policy import CommandHolds, DayFits, Notify, Policies, TriggerSchedule
from schedd.core.model.schedule import Schedule, ScheduleName
from schedd.core.model.target import AuthScheme, HttpAuth, HttpTarget, ProcessTarget, Target
from schedd.core.model.when import Cron, When
from schedd.core.permissions import Forbidding, Permissions, parse_listed

LOOPBACK = Permissions(denied=parse_listed(["127.0.0.0/8", "::1"]))
GLOBAL = Permissions(global_only=True)
NO_COMMANDS = Permissions(commands=False)


def schedule(target: Target, policies: Policies = Policies()) -> Schedule:
    when = When(triggers=(Cron(text="* * * * *"),))
    return Schedule(name=ScheduleName(group="default", schedule="a"), when=when, target=target, policies=policies)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "::1%lo",
    ],
)
def test_address_that_leads_to_a_denied_one_is_denied_however_it_is_written(address: str) -> None:
    assert LOOPBACK.address_fault("host", address) in ("http.deny has 127.0.0.0/8", "http.deny has ::1/128")


@pytest.mark.parametrize("address", ["128.0.0.1", "10.0.0.1", "::2", "::ffff:10.0.0.1", "2002:a00:1::", "2606:4700::1111"])
def test_other_addresses_are_not_denied(address: str) -> None:
    assert LOOPBACK.address_fault("host", address) == ""


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "ff0e::1", "64:ff9b::a00:1", "64:ff9b:1::808:808", "2002:a00:1::"),
        *("::ffff:192.168.1.1", "::10.0.0.1", "fd00:ec2::254", "fe80::1%eth0"),
    ],
)
def test_address_that_is_not_reachable_from_everywhere_is_denied_by_global_only(address: str) -> None:
    assert GLOBAL.address_fault("host", address) == "it is not reachable from everywhere, and http.global_only is true"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_address_that_is_reachable_from_everywhere_is_permitted_by_global_only(address: str) -> None:
    assert GLOBAL.address_fault("host", address) == ""


@given(st.ip_addresses(v=4))
def test_address_within_another_is_denied_as_it_is_itself(address: IPv4Address) -> None:
    network = parse_listed([f"{address}/20" if int(address) % 4096 == 0 else str(address)])
    permissions = Permissions(denied=network)
    inner = int(address)
    for outer in (0xFFFF << 32, 0x64FF9B << 96, 0x2002 << 112):
        wrapped = IPv6Address(outer + (inner << 80 if outer >> 112 == 0x2002 else inner))
        assert permissions.address_fault("host", str(wrapped)) != ""


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::a9fe:a9fe", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "2002:a9fe:a9fe::"]
)
def test_address_where_clouds_give_out_credentials_is_denied_if_the_configuration_says_so(address: str) -> None:
    denying = Permissions(metadata_denied=True)
    assert denying.address_fault("host", address).endswith("http.deny_metadata is true")
    assert replace(denying, allowed=parse_listed(["host"])).address_fault("host", address) == ""
    assert (denying.address_fault("host", "10.0.0.1"), Permissions().address_fault("host", address)) == ("", "")


def test_allowed_is_an_exception_by_network_and_by_name() -> None:
    permissions = Permissions(global_only=True, allowed=parse_listed(["10.1.0.0/16", "*.corp", "unix:/run/app.sock"]))
    assert permissions.address_fault("host", "10.1.2.3") == ""
    assert permissions.address_fault("host", "10.2.2.3") != ""
    assert permissions.address_fault("hooks.corp", "10.2.2.3") == ""
    assert permissions.host_fault("unix:/run/app.sock") == ""
    assert permissions.host_fault("unix:/run/other.sock") == "it is a socket of this host, and http.global_only is true"


@pytest.mark.parametrize("host", ["db.internal", "a.b.internal", "DB.Internal", "db.internal.", "bad-host", "unix:/run/docker.sock"])
def test_host_that_matches_a_pattern_is_denied(host: str) -> None:
    permissions = Permissions(denied=parse_listed(["*.internal", "BAD-?ost", "unix:/run/docker.*"]))
    assert permissions.host_fault(host) != ""
    assert replace(permissions, allowed=parse_listed(["*"])).host_fault(host) == ""


@pytest.mark.parametrize("host", ["internal", "internal.example.com", "bad-post2", "unix:/RUN/docker.sock"])
def test_host_that_matches_no_pattern_is_not_denied(host: str) -> None:
    assert Permissions(denied=parse_listed(["*.internal", "bad-?ost", "unix:/run/docker.*"])).host_fault(host) == ""


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("10.0.0.0/99", "is not a network"),
        ("http://host", "is not a network"),
        ("", "is neither"),
        ("a b", "is neither"),
        ("münchen.de", "international names as xn--"),
        ("unix:run/x.sock", "write unix:/run/docker.sock"),
    ],
)
def test_wrong_entry_says_what_would_be_right(entry: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_listed(["10.0.0.0/8", entry])
    assert words in str(caught.value)


def test_entries_are_addresses_networks_and_hosts() -> None:
    listed = parse_listed(["192.0.2.1", "[::1]", "fc00::/7", "Host.Example."])
    assert [str(network) for network in listed.networks] == ["192.0.2.1/32", "::1/128", "fc00::/7"]
    assert listed.hosts == ("host.example",)


@pytest.mark.parametrize(
    ("url", "denied"),
    [
        ("http://127.0.0.1/", True),
        ("http://user@127.0.0.1:80/x", True),
        ("https://[::ffff:7f00:1]:8443", True),
        ("http://db.internal?x", True),
        ("http+unix://%2Frun%2F..%2Frun%2Fdocker.sock/info", True),
        ("http://localhost/", False),
        ("http://10.0.0.1/127.0.0.1", False),
        ("http://{{ labels.host }}.internal/", False),
        ("http+unix://%2Frun%2Fapp.sock/", False),
    ],
)
def test_url_that_is_denied_as_it_stands_is_named(url: str, denied: bool) -> None:
    permissions = Permissions(denied=parse_listed(["127.0.0.0/8", "*.internal", "unix:/run/docker.sock"]))
    found = Forbidding(permissions).check(schedule(HttpTarget(url=url)))
    assert [(each.field, each.reason) for each in found] == ([("target.http.url", "TARGET_DENIED")] if denied else [])
    assert all("http.deny has" in each.description and "http.allow can make an exception" in each.description for each in found)


def test_notified_targets_are_looked_at_as_well() -> None:
    follow_ups = (TriggerSchedule(schedule="groups/default/schedules/b"), Notify(target=HttpTarget(url="http://127.0.0.1/")))
    found = Forbidding(LOOPBACK).check(schedule(HttpTarget(url="http://x/"), Policies(on_success=follow_ups, on_failure=follow_ups[1:])))
    assert [each.field for each in found] == ["policies.on_success[1].notify.url", "policies.on_failure[0].notify.url"]


def test_commands_are_forbidden_as_targets_and_as_conditions() -> None:
    command = ProcessTarget(argv=("true",))
    found = Forbidding(NO_COMMANDS).check(schedule(command, Policies(condition=CommandHolds(command=command))))
    assert [(each.field, each.reason) for each in found] == [
        ("target.process", "TARGET_DENIED"),
        ("policies.condition.command", "TARGET_DENIED"),
    ]
    assert (
        Forbidding(NO_COMMANDS).check(schedule(HttpTarget(url="http://x/"), Policies(condition=DayFits(days=Cron(text="0 0 * * 1"))))) == ()
    )
    assert Forbidding(LOOPBACK).check(schedule(command)) == ()


def test_nothing_is_forbidden_without_a_configuration() -> None:
    auth = HttpAuth(scheme=AuthScheme.BEARER, secret="any")
    assert Forbidding(Permissions()).check(schedule(HttpTarget(url="http://169.254.169.254/", auth=auth))) == ()


def test_secrets_that_are_not_configured_are_named() -> None:
    permissions = Permissions(secrets=frozenset({"known"}))
    unknown = HttpTarget(url="http://x/", auth=HttpAuth(scheme=AuthScheme.BASIC, secret="other", username="me"))
    known = HttpTarget(url="http://x/", auth=HttpAuth(scheme=AuthScheme.BEARER, secret="known"))
    found = Forbidding(permissions).check(schedule(unknown, Policies(on_failure=(Notify(target=known), Notify(target=unknown)))))
    assert [(each.field, each.reason) for each in found] == [
        ("target.http.auth.basic.password.name", "UNKNOWN_SECRET"),
        ("policies.on_failure[1].notify.auth.basic.password.name", "UNKNOWN_SECRET"),
    ]
    assert "there is no secret other" in found[0].description
    assert Forbidding(permissions).check(schedule(known)) == ()
