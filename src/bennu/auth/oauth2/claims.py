"""From claims to a person: e-mail, groups and role, by the paths of the settings. Pure.

Spec: lines 98-99, 106, 112-113, 119-121, 129-133. Contract: section 7. Source: JMESPath.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError

from bennu.access import VIEWER
from bennu.auth.oauth2.settings import ROLES, ProviderSettings
from bennu.auth.provision import Identity, outside_email
from bennu.network.settings import split_http_url
from bennu.users.model import AuthMethod

_MOST_GROUPS: Final = 10_000
_LONGEST_PICTURE: Final = 2048


class ClaimsRefusedError(Exception):
    """Whoever the claims describe does not get in; ``reason`` is a fixed word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ReadClaims:
    """What the paths of the settings find.

    Args:
        email: in lower case, None when there is none.
        groups: None when the claim is missing.
        role: the provider's word, None when the claim is missing.
    """

    email: str | None
    groups: tuple[str, ...] | None
    role: str | None

    def misses_something(self, settings: ProviderSettings) -> bool:
        """Whether a configured claim is missing, so that the provider must be asked again."""
        return (
            self.email is None
            or (bool(settings.allowed_groups) and self.groups is None)
            or (bool(settings.role_attribute_path) and self.role is None)
        )


def read_claims(claims: Mapping[str, Any], settings: ProviderSettings) -> ReadClaims:
    """Read what the settings say where to find."""
    email = _search(settings.email_attribute_path, claims)
    groups = _search(settings.groups_attribute_path, claims)
    role = _search(settings.role_attribute_path, claims)
    if isinstance(role, list):
        role = role[0] if role else None
    return ReadClaims(
        email=outside_email(email) if isinstance(email, str) else None,
        groups=_texts(groups),
        role=role if isinstance(role, str) and role else None,
    )


def identity_of(claims: Mapping[str, Any], settings: ProviderSettings) -> Identity:
    """Return whom the claims describe, if the settings let them in.

    Args:
        claims: verified; ``iss`` and ``sub`` are there.
        settings: of the provider.

    Raises:
        ClaimsRefusedError: no e-mail, no allowed group, or no role where one is demanded.
    """
    read = read_claims(claims, settings)
    if read.email is None:
        raise ClaimsRefusedError("missing_email")
    if not is_allowed_group(read.groups, settings):
        raise ClaimsRefusedError("group_not_allowed")
    return Identity(
        method=AuthMethod.OAUTH2,
        provider=settings.name,
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        email=read.email,
        display_name=_name(claims, read.email),
        role=role_of(read.role, settings),
        picture=_picture(claims.get("picture")),
        email_verified=_email_verified(claims, read.email),
        client_id=settings.client_id,
        role_follows=settings.role_resync,
    )


def is_allowed_group(groups: tuple[str, ...] | None, settings: ProviderSettings) -> bool:
    """Whether one of the groups may enter; without allowed groups everybody may."""
    if not settings.allowed_groups:
        return True
    return not frozenset(groups or ()).isdisjoint(settings.allowed_groups)


def role_of(word: str | None, settings: ProviderSettings) -> str | None:
    """Return the role that a provider's word stands for; None leaves an account's role alone.

    Raises:
        ClaimsRefusedError: the word stands for none and the settings are strict.
    """
    if not settings.role_attribute_path:
        return None
    mapping = dict(settings.role_mapping)
    role = mapping.get(word or "")
    if not mapping and word in ROLES:
        role = word
    if role is None and settings.role_attribute_strict:
        raise ClaimsRefusedError("no_role")
    return role or VIEWER


def merged_claims(id_token: Mapping[str, Any], userinfo: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the ID token does not say; what it says is signed and stays.

    Raises:
        ClaimsRefusedError: the second answer is about somebody else.
    """
    if userinfo.get("sub") != id_token.get("sub"):
        raise ClaimsRefusedError("userinfo_of_other_subject")
    return {**userinfo, **id_token}


def _search(path: str, claims: Mapping[str, Any]) -> object:
    if not path:
        return None
    try:
        return jmespath.search(path, claims)
    except JMESPathError:  # a function of the path does not fit these claims
        return None


def _texts(found: object) -> tuple[str, ...] | None:
    if found is None:
        return None
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list):
        return None
    return tuple(item for item in found[:_MOST_GROUPS] if isinstance(item, str))


def _email_verified(claims: Mapping[str, Any], email: str) -> bool | None:
    """Return what the provider says of this very address; some write it as a text."""
    own = claims.get("email")
    if not isinstance(own, str) or outside_email(own) != email:
        return None
    said = claims.get("email_verified")
    return {"true": True, "false": False}.get(str(said).lower())


def _name(claims: Mapping[str, Any], email: str) -> str:
    name = claims.get("name")
    return name if isinstance(name, str) and name.strip() else email.partition("@")[0]


def _picture(found: object) -> str | None:
    if not isinstance(found, str) or len(found) > _LONGEST_PICTURE:
        return None
    parts = split_http_url(found)
    return found if parts is not None and parts.scheme == "https" else None
