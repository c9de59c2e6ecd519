"""Wires the pages over the flows of the other parts; a part of the composition root.

Spec: lines 136-141.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bennu.app_accounts import AccountParts
from bennu.app_directory import DirectoryParts
from bennu.app_providers import ProviderParts
from bennu.app_trials import examination_of, wire_trials
from bennu.audit.log import AuditLog
from bennu.audit.reading import AuditReading
from bennu.auth.sessions.flow import Sessions
from bennu.encryption.vault import Vault
from bennu.httpio.dispatch import StrayAnswer
from bennu.httpio.route import Route
from bennu.kernel.errors import NotFoundError
from bennu.kernel.ids import Entropy, global_id
from bennu.network.form_tokens import FormTokens
from bennu.privacy.policies import RetentionPolicies
from bennu.settings import Settings
from bennu.storage.database import Database
from bennu.stored_settings.flow import StoredSettings
from bennu.users.flow import Users
from bennu.users.model import USER
from bennu.web.assets import Assets
from bennu.web.news import LookAgain
from bennu.web.pages import Pages
from bennu.web.pages_account import AccountFlows
from bennu.web.pages_api_keys import KeyFlows
from bennu.web.pages_exports import ExportFlows
from bennu.web.pages_reset import ResetFlows
from bennu.web.pages_users import UserFlows
from bennu.web.pages_ways_in import WaysIn
from bennu.web.site import SiteFlows, site_routes, wired_trace_flows
from bennu.web.streams import Streams


@dataclass(frozen=True, slots=True)
class SiteBasis:
    """What the pages are built on."""

    settings: Settings
    database: Database
    audit: AuditLog
    vault: Vault
    sessions: Sessions
    entropy: Entropy
    form_tokens: FormTokens
    accounts: AccountParts
    directory: DirectoryParts
    providers: ProviderParts
    stored: StoredSettings
    policies: RetentionPolicies
    exports: ExportFlows
    look_again: LookAgain


@dataclass(frozen=True, slots=True)
class Site:
    """The routes of all pages, what answers people who ask for none of them, and what ends."""

    routes: tuple[Route, ...]
    stray: StrayAnswer
    streams: Streams


def wire_site(of: SiteBasis) -> Site:
    """Build the pages."""
    auth, accounts, cookies = of.settings.auth, of.accounts, of.accounts.cookies
    traces = wired_trace_flows(of.database, of.audit, of.entropy, _author_names(accounts.users))
    streams = Streams()
    has_local = auth.enabled and accounts.has_local
    flows = SiteFlows(
        ways_in=WaysIn(
            accounts.local if has_local else None,
            of.directory.sign_in,
            of.providers.configured.all,
            accounts.mails.has_server,
            of.sessions,
            cookies,
            of.providers.next_address,
        ),
        reset=ResetFlows(accounts.reset if has_local else None, cookies, auth),
        keys=KeyFlows(
            accounts.keys, accounts.rotation, accounts.roles, traces.projects, of.database.clock
        ),
        account=AccountFlows(accounts.users, accounts.overview, cookies, auth),
        users=UserFlows(accounts.users, accounts.roles, accounts.overview),
        audit=AuditReading(of.database, of.audit, of.vault),
        traces=traces,
        stored=of.stored,
        policies=of.policies,
        exports=of.exports,
        streams=streams,
        look_again=of.look_again,
        examine=examination_of(of.settings),
        sign_in=wire_trials(of.settings, of.database.clock, of.stored, of.providers.configured),
    )
    assets = Assets()
    pages = Pages(assets, of.form_tokens, of.settings.network.root_path)
    return Site(site_routes(pages, assets, flows), pages.stray, streams)


def _author_names(users: Users) -> Callable[[int], Awaitable[str]]:
    async def name_of(row_id: int) -> str:
        try:
            return (await users.get_user(global_id(USER, row_id))).username
        except NotFoundError:
            return ""

    return name_of
