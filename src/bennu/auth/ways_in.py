"""What the sign-in page offers, and whether it sends people on at once.

Spec: lines 1-7, 97-99.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.return_address import HOME, safe_return_path

#: Of ``/login``: stay on the page, whatever AUTO_LOGIN says.
LOCAL: Final = "local"
RETURN_URL: Final = "returnUrl"
ERROR: Final = "error"


@dataclass(frozen=True, slots=True)
class OfferedProvider:
    """One identity provider as the page offers it.

    Args:
        name: in addresses.
        display_name: on the button.
        path: a link to follow with GET; a form would be stopped by ``form-action`` of the page's
            policy when the answer leads to the provider.
    """

    name: str
    display_name: str
    path: str


@dataclass(frozen=True, slots=True)
class WaysIn:
    """What is offered.

    Args:
        password: e-mail and password of an account here.
        directory: name and password of LDAP.
        providers: in order of their names.
        redirect_to: where to send the browser in place of the page, None to show the page.
        return_to: the path to go to afterwards.
    """

    password: bool
    directory: bool
    providers: tuple[OfferedProvider, ...]
    redirect_to: str | None
    return_to: str


def ways_in(
    providers: Sequence[ProviderSettings],
    query: Mapping[str, str],
    *,
    has_password: bool,
    has_directory: bool,
) -> WaysIn:
    """Say what ``/login`` offers.

    It sends people on when exactly one provider has AUTO_LOGIN, except after an error, which would
    go round in circles, and with ``?local=1``, the way in for the accounts that are kept here.

    Args:
        providers: those in use.
        query: of the page: ``local``, ``error`` and ``returnUrl``.
        has_password: whether sign-in with a password kept here is enabled.
        has_directory: whether LDAP is configured.
    """
    return_to = safe_return_path(query.get(RETURN_URL, "")) or HOME
    automatic = [provider for provider in providers if provider.auto_login]
    stays = query.get(LOCAL, "") not in {"", "0", "false"} or bool(query.get(ERROR))
    is_sent_on = len(automatic) == 1 and not stays
    return WaysIn(
        password=has_password,
        directory=has_directory,
        providers=tuple(
            OfferedProvider(p.name, p.display_name, sign_in_path(p.name, return_to))
            for p in sorted(providers, key=lambda p: p.name)
        ),
        redirect_to=sign_in_path(automatic[0].name, return_to) if is_sent_on else None,
        return_to=return_to,
    )


def signed_out_path(providers: Sequence[ProviderSettings], *, has_password: bool) -> str:
    """Return the page for after signing out: one that does not sign in again at once."""
    is_sent_on = any(provider.auto_login for provider in providers)
    return "/login" if has_password and not is_sent_on else "/logout"


def sign_in_path(provider: str, return_to: str) -> str:
    """Return the path at which signing in through a provider begins."""
    query = "" if return_to == HOME else "?" + urlencode({RETURN_URL: return_to})
    return f"/oauth2/{provider}/login{query}"
