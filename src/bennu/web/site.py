"""All pages together: the flows they stand on, and their routes.

Spec: lines 136-141.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bennu.audit.log import AuditLog
from bennu.audit.reading import AuditReading
from bennu.httpio.route import Route
from bennu.kernel.ids import Entropy
from bennu.privacy.policies import RetentionPolicies
from bennu.storage.database import Database
from bennu.stored_settings.flow import StoredSettings
from bennu.traces.annotations.flow import Annotations
from bennu.traces.browsing.flow import Browsing
from bennu.traces.projects.flow import Projects
from bennu.traces.sessions.flow import TraceSessions
from bennu.traces.spans.flow import Spans
from bennu.traces.traces.flow import Traces
from bennu.web.assets import Assets, asset_routes
from bennu.web.news import LookAgain, news_routes
from bennu.web.pages import Pages
from bennu.web.pages_account import AccountFlows, account_page_routes
from bennu.web.pages_api_keys import KeyFlows, api_key_page_routes
from bennu.web.pages_audit import audit_page_routes
from bennu.web.pages_exports import ExportFlows, export_page_routes
from bennu.web.pages_projects import TraceFlows, project_page_routes
from bennu.web.pages_reset import ResetFlows, reset_page_routes
from bennu.web.pages_retention import retention_page_routes
from bennu.web.pages_roles import role_page_routes
from bennu.web.pages_secrets import secret_page_routes
from bennu.web.pages_security import Examination, security_page_routes
from bennu.web.pages_sign_in_settings import SignInFlows, sign_in_settings_page_routes
from bennu.web.pages_trace import trace_page_routes
from bennu.web.pages_users import UserFlows, user_page_routes
from bennu.web.pages_ways_in import WaysIn, ways_in_routes
from bennu.web.streams import Streams


@dataclass(frozen=True, slots=True)
class SiteFlows:
    """What the pages call; the same flows as the REST interface."""

    ways_in: WaysIn
    reset: ResetFlows
    keys: KeyFlows
    account: AccountFlows
    users: UserFlows
    audit: AuditReading
    traces: TraceFlows
    stored: StoredSettings
    sign_in: SignInFlows
    policies: RetentionPolicies
    examine: Examination
    exports: ExportFlows
    streams: Streams
    look_again: LookAgain


def wired_trace_flows(
    database: Database,
    audit: AuditLog,
    entropy: Entropy,
    author_name: Callable[[int], Awaitable[str]],
) -> TraceFlows:
    """Build the flows behind the pages about traces."""
    clock = database.clock
    return TraceFlows(
        projects=Projects(database, clock, audit),
        spans=Spans(database, audit),
        traces=Traces(database, audit),
        sessions=TraceSessions(database, audit),
        browsing=Browsing(database, clock),
        annotations=Annotations(database, clock, entropy, audit),
        author_name=author_name,
        clock=clock,
    )


def site_routes(pages: Pages, assets: Assets, flows: SiteFlows) -> tuple[Route, ...]:
    """Return the routes of all pages and of what they load."""
    return (
        *ways_in_routes(pages, flows.ways_in),
        *reset_page_routes(pages, flows.reset),
        *api_key_page_routes(pages, flows.keys),
        *account_page_routes(pages, flows.account),
        *user_page_routes(pages, flows.users),
        *role_page_routes(pages, flows.users.roles),
        *audit_page_routes(pages, flows.audit),
        *project_page_routes(pages, flows.traces),
        *trace_page_routes(pages, flows.traces),
        *secret_page_routes(pages, flows.stored),
        *sign_in_settings_page_routes(pages, flows.sign_in),
        *retention_page_routes(pages, flows.policies),
        *security_page_routes(pages, flows.examine),
        *news_routes(flows.traces.browsing, flows.streams, flows.look_again),
        *export_page_routes(pages, flows.exports, flows.streams, flows.look_again),
        *asset_routes(assets),
    )
