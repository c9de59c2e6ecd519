"""Each fault is found at its step. Issue: oauth2 test."""

import base64
import json
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from bennu.auth.oauth2.provider import IdentityProviders
from bennu.auth.oauth2.trial import ProviderTrial, Step
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.network.destinations import Destinations
from bennu.network.egress import Egress
from fakes.clock import FrozenClock
from fakes.hostile_provider import HostileProvider, json_reply
from fakes.http_peer import Reply
from fakes.provider_world import LOOPBACK, provider_settings

CALLBACK = "https://b.example/oauth2/corp/tokens"
STEPS = ["metadata", "keys", "clock", "client", "redirect", "scopes", "claims"]


@pytest.fixture
def told_the_time(provider: HostileProvider, clock: FrozenClock) -> HostileProvider:
    """The test's clock stands still; so does that of the provider."""
    document = json_reply(provider.document())
    date = format_datetime(clock.now_utc(), usegmt=True)
    provider.replies["/.well-known/openid-configuration"] = replace(
        document, headers={"date": date}
    )
    return provider


async def tried(
    provider: HostileProvider,
    sample: Any = None,
    *,
    destinations: Destinations = LOOPBACK,
    has_root_url: bool = True,
    **more: Any,
) -> dict[str, Step]:
    egress = Egress(destinations)
    talker = IdentityProviders(egress, provider.clock, SystemEntropy())
    settings = provider_settings(provider.config_url, **more)
    trial = ProviderTrial(
        settings, talker, egress, provider.clock, CALLBACK, has_root_url=has_root_url
    )
    steps = await trial.run(sample)
    return {step.step: step for step in steps}


async def test_a_provider_that_is_as_it_must_be(told_the_time: HostileProvider) -> None:
    steps = await tried(told_the_time)
    assert list(steps) == STEPS
    assert all(step.ok and step.variables == () for step in steps.values()), steps
    assert CALLBACK in steps["redirect"].detail
    assert "registered" in steps["redirect"].detail


@pytest.mark.parametrize(
    "date",
    [
        *("", "soon", "Wed, 25 Nov 2026 02:00:00"),
        "Wed, 25 Nov 99999999999999999999 02:00:00 GMT",
        "Wed, 25 Nov 2026 02:00:00 +99999999999999",
    ],
)
async def test_a_provider_that_tells_no_time(provider: HostileProvider, date: str) -> None:
    provider.replies["/.well-known/openid-configuration"] = replace(
        json_reply(provider.document()), headers={"date": date}
    )
    assert (await tried(provider))["clock"].detail == "the provider tells no time"


def variables(*suffixes: str) -> tuple[str, ...]:
    return tuple(f"PHOENIX_OAUTH2_CORP_{suffix}" for suffix in suffixes)


@pytest.mark.parametrize(
    ("more", "step", "wanted"),
    [
        (
            {"client_secret": Secret("wrong")},
            "client",
            variables("CLIENT_ID", "CLIENT_SECRET", "TOKEN_ENDPOINT_AUTH_METHOD"),
        ),
        ({"scopes": ("openid", "nonsense")}, "scopes", variables("SCOPES")),
        ({"has_root_url": False}, "redirect", ("PHOENIX_ROOT_URL",)),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "private_key_file": Path("/nowhere")},
            "client",
            variables("PRIVATE_KEY_FILE"),
        ),
        ({"sample": b"{}"}, "claims", variables("EMAIL_ATTRIBUTE_PATH")),
        ({"sample": b"nonsense"}, "claims", ("--claims-file",)),
        (
            {
                "sample": b'{"email": "a@b.example", "groups": ["x"]}',
                "allowed_groups": ("y",),
                "groups_attribute_path": "groups",
            },
            "claims",
            variables("GROUPS_ATTRIBUTE_PATH", "ALLOWED_GROUPS"),
        ),
        (
            {
                "sample": b'{"email": "a@b.example"}',
                "role_attribute_path": "role",
                "role_attribute_strict": True,
            },
            "claims",
            variables("ROLE_ATTRIBUTE_PATH", "ROLE_MAPPING"),
        ),
    ],
)
async def test_a_fault_names_its_variables(
    told_the_time: HostileProvider, more: dict[str, Any], step: str, wanted: tuple[str, ...]
) -> None:
    steps = await tried(told_the_time, **more)
    assert [s.step for s in steps.values() if not s.ok] == [step]
    assert steps[step].variables == wanted


@pytest.mark.parametrize(
    ("path", "reply", "step"),
    [
        ("/jwks", Reply(500), "keys"),
        ("/token", json_reply({"error": "server_error"}, 500), "client"),
        ("/token", json_reply({"access_token": "x"}), "client"),
        ("/auth", Reply(400, b"redirect_uri_mismatch"), "redirect"),
        ("/auth", Reply(302, headers={"location": f"{CALLBACK}?error=invalid_scope"}), "redirect"),
    ],
)
async def test_a_provider_that_refuses_is_found_out(
    told_the_time: HostileProvider, path: str, reply: Reply, step: str
) -> None:
    told_the_time.replies[path] = reply
    steps = await tried(told_the_time)
    assert [s.step for s in steps.values() if not s.ok] == [step]
    assert steps[step].variables


async def test_a_form_at_the_provider_proves_nothing_and_is_no_fault(
    told_the_time: HostileProvider,
) -> None:
    told_the_time.replies["/auth"] = Reply(200, b"<form>")
    assert (await tried(told_the_time))["redirect"].detail.startswith("register at")


async def test_without_the_document_only_a_sample_is_read(provider: HostileProvider) -> None:
    provider.replies["/.well-known/openid-configuration"] = Reply(404)
    steps = await tried(provider, b'{"email": "a@b.example"}')
    assert list(steps) == ["metadata", "claims"]
    assert steps["metadata"].variables == variables("OIDC_CONFIG_URL")
    assert steps["claims"].detail == "e-mail a@b.example"


async def test_a_host_that_is_not_called_names_the_list_of_hosts(
    provider: HostileProvider,
) -> None:
    steps = await tried(provider, destinations=Destinations())
    assert "PHOENIX_EGRESS_ALLOWED_HOSTS" in steps["metadata"].variables


async def test_clocks_that_differ_are_told(
    told_the_time: HostileProvider, clock: FrozenClock
) -> None:
    clock.advance(timedelta(minutes=5))
    step = (await tried(told_the_time))["clock"]
    assert (step.ok, step.variables) == (False, ())
    assert "301 s ahead" in step.detail


async def test_a_token_is_read_without_being_checked(told_the_time: HostileProvider) -> None:
    claims = {"email": "a@b.example", "groups": ["x"], "role": "boss"}
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    steps = await tried(
        told_the_time,
        b"e30." + middle + b".x\n",
        groups_attribute_path="groups",
        role_attribute_path="role",
        role_mapping=(("boss", "ADMIN"),),
    )
    assert steps["claims"].ok
    assert steps["claims"].detail == "e-mail a@b.example; groups x; role ADMIN from boss"
