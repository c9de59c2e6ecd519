"""What a provider says of itself: its discovery document, read strictly.

Spec: lines 91-133. Source: OpenID Connect Discovery 1.0 sections 3 and 4.3; RFC 9207.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from bennu.kernel.errors import UnavailableError
from bennu.network.settings import split_http_url

#: What an ID token may be signed with; HS256 only where the document lists it.
ASYMMETRIC: Final = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
SYMMETRIC: Final = "HS256"
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LONGEST: Final = 2048
#: Entra's document names the tenant by its id, whatever name of it the address holds.
_ENTRA_HOSTS: Final = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
    }
)
_ENTRA_ISSUER: Final = re.compile(
    r"/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/v2\.0"
)
_EDDSA: Final = frozenset({"EdDSA", "Ed25519"})


class MetadataError(UnavailableError):
    """The discovery document is none, or not one that can be trusted; the detail says why."""

    code = "provider_metadata"

    def __init__(self, detail: str) -> None:
        super().__init__("The identity provider cannot be used", detail=detail)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The discovery document.

    Args:
        issuer: exactly what ``iss`` must be.
        authorization_endpoint: where people are sent.
        token_endpoint: where a code is exchanged.
        jwks_uri: the keys.
        userinfo_endpoint: "" when there is none.
        end_session_endpoint: "" where signing out there is not offered.
        algorithms: with which ID tokens may be signed.
        scopes: offered; empty when the document does not say.
        auth_algorithms: for signed assertions of clients; empty when it does not say.
        announces_issuer: whether every answer names the issuer (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    algorithms: tuple[str, ...] = ASYMMETRIC
    scopes: tuple[str, ...] = ()
    auth_algorithms: tuple[str, ...] = ()
    announces_issuer: bool = False


def read_metadata(body: bytes, config_url: str) -> Metadata:
    """Read a discovery document.

    Args:
        body: as fetched.
        config_url: from where; the issuer must be the one that this address belongs to.

    Raises:
        MetadataError: something is missing, not https, or belongs to somebody else.
    """
    document = json_object(body)
    issuer = _text(document, "issuer", required=True)
    if not _is_issuer_of(issuer, config_url):
        raise MetadataError(_issuer_detail(issuer))
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_address(document, "authorization_endpoint", required=True),
        token_endpoint=_address(document, "token_endpoint", required=True),
        jwks_uri=_address(document, "jwks_uri", required=True),
        userinfo_endpoint=_address(document, "userinfo_endpoint"),
        end_session_endpoint=_address(document, "end_session_endpoint"),
        algorithms=_algorithms(document),
        scopes=_texts(document, "scopes_supported"),
        auth_algorithms=_texts(document, "token_endpoint_auth_signing_alg_values_supported"),
        announces_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def json_object(body: bytes) -> Mapping[str, Any]:
    """Return a JSON object.

    Raises:
        MetadataError: it is not JSON, or no object.
    """
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        raise MetadataError("the provider did not answer with a JSON object") from None
    return document


def _is_issuer_of(issuer: str, config_url: str) -> bool:
    """Whether the document at this address may speak for this issuer."""
    place = urlsplit(config_url)
    before, found, behind = place.path.partition(_WELL_KNOWN)
    own = urlunsplit((place.scheme, place.netloc, before + behind if found else place.path, "", ""))
    if issuer.rstrip("/") == own.rstrip("/"):
        return True
    theirs = split_http_url(issuer)
    if theirs is None:
        return False
    is_entra = place.scheme == theirs.scheme == "https" and place.netloc in _ENTRA_HOSTS
    is_same_place = is_entra and theirs.netloc == place.netloc
    return bool(is_same_place and _ENTRA_ISSUER.fullmatch(theirs.path))


def _issuer_detail(issuer: str) -> str:
    if "{tenantid}" in issuer:
        return (
            "the discovery document is that of every tenant; put the id of your tenant into "
            "OIDC_CONFIG_URL in place of common, organizations or consumers"
        )
    return f"the discovery document speaks for another issuer: {issuer[:200]!r}"


def _text(document: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    value = document.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise MetadataError(f"the discovery document has no usable {name}")
    return value


def _address(document: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    url = _text(document, name, required=required)
    if not url:
        return ""
    parts = split_http_url(url)
    if parts is None or parts.username is not None or parts.fragment:
        raise MetadataError(f"the discovery document has no usable {name}")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise MetadataError(f"{name} of the discovery document is not https")
    return url


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = document.get(name)
    return tuple(v for v in values if isinstance(v, str)) if isinstance(values, list) else ()


def _algorithms(document: Mapping[str, Any]) -> tuple[str, ...]:
    listed = set(_texts(document, "id_token_signing_alg_values_supported"))
    if not listed:
        return ASYMMETRIC
    if listed & _EDDSA:  # two names of one thing, the newer of RFC 9864
        listed |= _EDDSA
    known = tuple(name for name in (*ASYMMETRIC, SYMMETRIC) if name in listed)
    if not known:
        raise MetadataError("the provider signs with no algorithm that is accepted here")
    return known
