"""What a firewall must let through, from the settings."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bennu.firewall.plan import FirewallPlan, Sources, firewall_plan, parse_network
from bennu.mail import MailSettings
from fakes.settings import SECRET, read_settings

BASE = {"PHOENIX_ENABLE_AUTH": "true", "PHOENIX_SECRET": SECRET}
NAMES = {"db.corp.test": ["10.3.3.4", "10.3.3.3", "fd00::3"], "localhost": ["127.0.0.1"]}


def resolve(host: str) -> Sequence[str]:
    if host not in NAMES:
        raise OSError("no such host")
    return NAMES[host]


def plan(sources: Sources | None = None, **more: str) -> FirewallPlan:
    return firewall_plan(read_settings(BASE, **more), sources or Sources(), resolve)


def called(**more: str) -> list[tuple[str, str, int]]:
    return [(each.what, each.host, each.port) for each in plan(**more).outbound]


@pytest.mark.parametrize(
    ("host", "families", "is_loopback"),
    [
        ("0.0.0.0", (4,), False),  # noqa: S104
        ("10.0.0.1", (4,), False),
        ("::", (4, 6), False),
        ("fd00::1", (6,), False),
        ("127.0.0.1", (4,), True),
        ("localhost", (4, 6), True),
        ("host.corp.test", (4, 6), False),
    ],
)
def test_listeners(host: str, families: tuple[int, ...], *, is_loopback: bool) -> None:
    http, grpc = plan(PHOENIX_HOST=host, PHOENIX_PORT="7000").inbound
    assert (http.port, grpc.port) == (7000, 4317)
    assert http.families == grpc.families == families
    assert http.is_loopback is is_loopback


def test_metrics_are_a_listener_where_they_are_on() -> None:
    metrics = plan(PHOENIX_ENABLE_PROMETHEUS="true", PHOENIX_PROMETHEUS_PORT="9191").inbound[2]
    assert (metrics.what, metrics.port, metrics.is_loopback) == ("metrics", 9191, True)


@pytest.mark.asvs("13.1.1")
def test_everything_that_is_configured_is_called() -> None:
    found = called(
        PHOENIX_SQL_DATABASE_URL="postgresql://u:p@db.corp.test:5433/x",
        PHOENIX_SMTP_HOSTNAME="mail.corp.test",
        PHOENIX_SMTP_USERNAME="u",
        PHOENIX_SMTP_PASSWORD="p",
        PHOENIX_RATE_LIMIT_STORAGE_URL="rediss://:pw@10.4.4.4",
        PHOENIX_OAUTH2_IDP_CLIENT_ID="c",
        PHOENIX_OAUTH2_IDP_CLIENT_SECRET="s",
        PHOENIX_OAUTH2_IDP_OIDC_CONFIG_URL="https://idp.corp.test/.well-known/x",
        PHOENIX_LDAP_HOST="dc1.corp.test,dc2.corp.test",
        PHOENIX_LDAP_TLS_MODE="ldaps",
        PHOENIX_LDAP_USER_SEARCH_BASE_DNS="OU=a",
        PHOENIX_LDAP_GROUP_ROLE_MAPPINGS='[{"group_dn": "*", "role": "VIEWER"}]',
    )
    assert found == [
        ("database", "db.corp.test", 5433),
        ("directory (LDAP)", "dc1.corp.test", 636),
        ("directory (LDAP)", "dc2.corp.test", 636),
        ("identity provider idp", "idp.corp.test", 443),
        ("mail (SMTP)", "mail.corp.test", 587),
        ("rate limits (Redis)", "10.4.4.4", 6379),
    ]


def test_sqlite_and_memory_call_nobody() -> None:
    assert called(PHOENIX_RATE_LIMIT_STORAGE_URL="memory://") == []


def test_through_a_proxy_providers_are_not_called_themselves() -> None:
    found = called(
        HTTPS_PROXY="http://u:p@proxy.corp.test:3128",
        PHOENIX_OAUTH2_IDP_CLIENT_ID="c",
        PHOENIX_OAUTH2_IDP_CLIENT_SECRET="s",
        PHOENIX_OAUTH2_IDP_OIDC_CONFIG_URL="https://idp.corp.test/.well-known/x",
    )
    assert found == [("proxy", "proxy.corp.test", 3128)]


def test_hosts_are_resolved_and_what_cannot_be_is_named() -> None:
    made = plan(
        PHOENIX_SQL_DATABASE_URL="postgresql://u:p@db.corp.test/x",
        PHOENIX_RATE_LIMIT_STORAGE_URL="redis://gone.corp.test",
    )
    database, redis = made.outbound
    assert database.addresses == ("10.3.3.3", "10.3.3.4", "fd00::3")
    assert database.addresses_of(6) == ("fd00::3",)
    assert made.unresolved == (redis,)


def test_no_configured_name_can_end_a_comment() -> None:
    settings = replace(read_settings(BASE), mail=MailSettings(hostname="x\nreboot"))
    made = firewall_plan(settings, Sources(), resolve)
    assert [each.host for each in made.outbound] == ["x?reboot"]


def test_networks_are_written_without_bits_beyond_their_prefix() -> None:
    assert str(parse_network("10.0.0.0/8")) == "10.0.0.0/8"
    assert str(parse_network("192.0.2.1")) == "192.0.2.1/32"
    for text in ("10.0.0.1/8", "10.0.0.0/33", "example.com", ""):
        with pytest.raises(ValueError, match=r"."):
            parse_network(text)
