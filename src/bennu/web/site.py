"""All pages together: the flows they stand on, and their routes.

Spec: lines 136-141.
"""

from dataclasses import dataclass

from bennu.httpio.route import Route
from bennu.web.assets import Assets, asset_routes
from bennu.web.pages import Pages
from bennu.web.pages_account import AccountFlows, account_page_routes
from bennu.web.pages_api_keys import KeyFlows, api_key_page_routes
from bennu.web.pages_ways_in import WaysIn, ways_in_routes


@dataclass(frozen=True, slots=True)
class SiteFlows:
    """What the pages call; the same flows as the REST interface."""

    ways_in: WaysIn
    keys: KeyFlows
    account: AccountFlows


def site_routes(pages: Pages, assets: Assets, flows: SiteFlows) -> tuple[Route, ...]:
    """Return the routes of all pages and of what they load."""
    return (
        *ways_in_routes(pages, flows.ways_in),
        *api_key_page_routes(pages, flows.keys),
        *account_page_routes(pages, flows.account),
        *asset_routes(assets),
    )
