"""Sign-in through providers over one database and one clock, wired as the application does."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
from sqlalchemy import select

from bennu.auth.gates import HttpGate
from bennu.auth.oauth2.configured import ConfiguredProviders
from bennu.auth.oauth2.flow import ProviderSignIn
from bennu.auth.oauth2.handshake import Handshakes
from bennu.auth.oauth2.logout import ProviderSignOut
from bennu.auth.oauth2.provider import IdentityProviders
from bennu.auth.oauth2.routes import next_after_sign_out, oauth2_routes
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.stored import check_stored_provider, environment_provider
from bennu.auth.sessions.routes import session_routes
from bennu.auth.ways_in import signed_out_path
from bennu.httpio.dispatch import application_of
from bennu.httpio.frame import FrameOptions, RequestFrame
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.network.destinations import Destinations
from bennu.network.egress import Egress
from bennu.storage.schema import audit_events
from bennu.stored_settings.flow import EnvironmentSettings, StoredSettings
from fakes.accounts import CIPHER, Accounts
from fakes.hostile_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider

ROOT_URL = "https://bennu.test"
LOOPBACK = Destinations(frozenset({"localhost", "127.0.0.1"}))


def provider_settings(config_url: str, name: str = "corp", **more: Any) -> ProviderSettings:
    values = {
        "client_id": CLIENT_ID,
        "client_secret": Secret(CLIENT_SECRET),
        "display_name": name.title(),
        **more,
    }
    return ProviderSettings(name=name, oidc_config_url=config_url, **values)


class ProviderWorld:
    """Everything of sign-in through providers that a test may need."""

    def __init__(self, accounts: Accounts, *providers: ProviderSettings) -> None:
        self.accounts, database = accounts, accounts.database
        environment = EnvironmentSettings(None, tuple(environment_provider(p) for p in providers))
        self.stored = StoredSettings(
            database, accounts.vault, accounts.audit, environment, check_stored_provider
        )
        self.providers = ConfiguredProviders(providers, self.stored)
        self.egress = Egress(LOOPBACK)
        self.talker = IdentityProviders(
            self.egress, accounts.clock, SystemEntropy(), answer_seconds=3
        )
        self.handshakes = Handshakes(database, SystemEntropy(), CIPHER)
        self.sign_in = ProviderSignIn(
            database,
            accounts.audit,
            accounts.sessions,
            self.handshakes,
            self.providers,
            self.talker,
        )
        self.sign_out = ProviderSignOut(database, accounts.audit, self.providers, self.talker)

        def own_page(providers: Sequence[ProviderSettings]) -> str:
            return signed_out_path(
                providers, has_password=not accounts.settings.basic_auth_disabled
            )

        next_address = next_after_sign_out(self.sign_out, self.providers, own_page)
        self.routes = (
            *oauth2_routes(self.sign_in, self.sign_out, accounts.settings),
            *session_routes(accounts.sessions, accounts.cookies, next_address),
            *(route for route in accounts.routes if not route.path.startswith("/auth/")),
        )

    def browser(self, root_url: str | None = ROOT_URL, **headers: str) -> httpx.AsyncClient:
        """Return a browser with a cookie jar of its own; it follows nothing by itself."""
        gate = HttpGate(
            application_of(self.routes),
            self.accounts.authenticator,
            self.accounts.cookies.access_name,
        )
        options = FrameOptions(root_url)
        app = RequestFrame(gate, self.accounts.clock, SystemEntropy(), options)
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=ROOT_URL, headers=headers
        )

    async def begin(
        self, browser: httpx.AsyncClient, name: str = "corp", return_url: str = ""
    ) -> str:
        """Go to the provider; return the address that the browser was sent to."""
        query = {"returnUrl": return_url} if return_url else {}
        answer = await browser.get(f"/oauth2/{name}/login", params=query)
        assert answer.status_code == 302, answer.headers.get("location")
        return str(answer.headers["location"])

    async def finish(
        self, browser: httpx.AsyncClient, parameters: dict[str, str], name: str = "corp"
    ) -> httpx.Response:
        """Bring the provider's answer."""
        return await browser.get(f"/oauth2/{name}/tokens", params=parameters)

    async def sign_in_at(
        self,
        provider: HostileProvider,
        browser: httpx.AsyncClient,
        name: str = "corp",
        return_url: str = "",
    ) -> httpx.Response:
        """Do the whole round; return what the callback answered."""
        address = await self.begin(browser, name, return_url)
        return await self.finish(browser, provider.authorize(address), name)

    async def records(self) -> list[dict[str, Any]]:
        """Return event, reason and after of all audit records, oldest first."""
        columns = (audit_events.c.event, audit_events.c.reason, audit_events.c.after)
        statement = select(*columns).order_by(audit_events.c.sequence)
        rows = await self.accounts.database.read(lambda c: c.execute(statement).all())
        return [
            {"event": row[0], "reason": row[1], "after": json.loads(row[2]) if row[2] else None}
            for row in rows
        ]

    async def last_refusal(self) -> str:
        """Return the reason of the newest record, which must be a refused sign-in."""
        last = (await self.records())[-1]
        assert last["event"] == "auth.sign_in.failed", last
        return str(last["reason"])
