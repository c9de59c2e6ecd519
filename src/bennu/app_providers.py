"""Wires sign-in through identity providers; a part of the composition root.

Spec: lines 91-133.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bennu.audit.log import AuditLog
from bennu.auth.oauth2.configured import ConfiguredProviders
from bennu.auth.oauth2.flow import ProviderSignIn
from bennu.auth.oauth2.handshake import Handshakes
from bennu.auth.oauth2.logout import ProviderSignOut
from bennu.auth.oauth2.provider import IdentityProviders
from bennu.auth.oauth2.routes import next_after_sign_out, oauth2_routes
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.trial import ProviderTrial
from bennu.auth.sessions.flow import Sessions
from bennu.auth.sessions.routes import NextAddress
from bennu.auth.ways_in import signed_out_path
from bennu.encryption.cipher import Cipher
from bennu.httpio.route import Route
from bennu.kernel.clock import Clock
from bennu.kernel.ids import SystemEntropy
from bennu.network.egress import Egress
from bennu.settings import Settings, destinations_of, public_url_of
from bennu.storage.database import Database
from bennu.stored_settings.flow import StoredSettings


def egress_of(settings: Settings) -> Egress:
    """Return the way out that the settings allow."""
    network = settings.network
    return Egress(destinations_of(settings), proxy=network.https_proxy, no_proxy=network.no_proxy)


def trial_of(settings: Settings, provider: ProviderSettings, clock: Clock) -> ProviderTrial:
    """Return what tries a provider as sign-ins use it."""
    egress = egress_of(settings)
    return ProviderTrial(
        provider,
        IdentityProviders(egress, clock, SystemEntropy()),
        egress,
        clock,
        f"{public_url_of(settings)}/oauth2/{provider.name}/tokens",
        has_root_url=settings.network.root_url is not None,
    )


@dataclass(frozen=True, slots=True)
class ProviderParts:
    """What the application serves of sign-in through providers.

    Args:
        configured: the providers in use, for the sign-in page.
        sign_out: for pages that sign out with a form.
        routes: those below ``/oauth2``; none while authentication is off.
        next_address: where a browser goes that signed out by a link.
    """

    configured: ConfiguredProviders
    sign_out: ProviderSignOut
    routes: tuple[Route, ...]
    next_address: NextAddress


def wire_providers(
    settings: Settings,
    database: Database,
    cipher: Cipher,
    audit: AuditLog,
    sessions: Sessions,
    stored: StoredSettings,
) -> ProviderParts:
    """Build the flows and routes of identity providers."""
    entropy = SystemEntropy()
    talker = IdentityProviders(egress_of(settings), database.clock, entropy)
    configured = ConfiguredProviders(settings.oauth2, stored)
    handshakes = Handshakes(database, entropy, cipher)
    sign_in = ProviderSignIn(database, audit, sessions, handshakes, configured, talker)
    sign_out = ProviderSignOut(database, audit, configured, talker)
    has_password = not settings.auth.basic_auth_disabled

    def own_page(providers: Sequence[ProviderSettings]) -> str:
        return signed_out_path(providers, has_password=has_password)

    return ProviderParts(
        configured,
        sign_out,
        oauth2_routes(sign_in, sign_out, settings.auth) if settings.auth.enabled else (),
        next_after_sign_out(sign_out, configured, own_page),
    )
