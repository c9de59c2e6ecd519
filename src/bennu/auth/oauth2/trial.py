"""Tries a provider step by step, and names the variable behind each fault.

Nobody is signed in and nothing is kept: the token endpoint is asked with a code that is wrong on
purpose, and says by its refusal whether it knows us.

Spec: lines 91-133. Source: RFC 6749 section 5.2, OpenID Connect Core 1.0 section 3.1.2.6.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from bennu.auth.oauth2.claims import (
    ClaimsRefusedError,
    is_allowed_group,
    read_claims,
    role_of,
)
from bennu.auth.oauth2.client_proof import ClientProofError
from bennu.auth.oauth2.handshake import code_challenge, with_query
from bennu.auth.oauth2.metadata import Metadata, MetadataError, json_object, read_metadata
from bennu.auth.oauth2.provider import IdentityProviders, TokenEndpointError
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.variables import PREFIX
from bennu.kernel.clock import Clock
from bennu.kernel.errors import UnavailableError
from bennu.network.destinations import ALLOWED_HOSTS_VARIABLE, DestinationRefusedError
from bennu.network.egress import Egress, Inbound, Outbound

MOST_SKEW_SECONDS: Final = 30
ROOT_URL: Final = "PHOENIX_ROOT_URL"
_WRONG_CODE: Final = "a-code-that-bennu-made-up"
_WRONG_VERIFIER: Final = "a-verifier-that-bennu-made-up-and-that-is-long-enough"
_OK: Final = 200
_REFUSED: Final = 400
#: Errors that say "nobody is signed in there", and so that everything else was fine.
_NOBODY_THERE: Final = frozenset(
    {
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried.

    Args:
        step: its name.
        ok: whether it is as it must be.
        seconds: how long it took.
        detail: what was seen, for people.
        variables: the settings to look at when it is not ok.
    """

    step: str
    ok: bool
    seconds: float
    detail: str
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a step found out."""

    detail: str
    suffixes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    ok: bool = True


class ProviderTrial:
    """Tries one provider.

    Args:
        settings: of the provider.
        talker: for keys and the token endpoint.
        egress: for the rest.
        clock: ours, to compare with the provider's.
        callback: our address to register at the provider.
        has_root_url: whether that address was configured, not guessed.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        talker: IdentityProviders,
        egress: Egress,
        clock: Clock,
        callback: str,
        *,
        has_root_url: bool,
    ) -> None:
        self._settings, self._talker, self._egress = settings, talker, egress
        self._clock, self._callback, self._has_root_url = clock, callback, has_root_url

    async def run(self, sample: bytes | None) -> tuple[Step, ...]:
        """Try everything; without a discovery document only the claims of a sample.

        Args:
            sample: a token or the JSON of its claims; nothing in it is verified, it is only read.
        """
        found: list[tuple[Inbound, Metadata]] = []

        async def metadata() -> _Seen:
            answer = await self._egress.send(Outbound(self._settings.oidc_config_url))
            if answer.status != _OK:
                raise MetadataError(f"answered with status {answer.status}")
            read = read_metadata(answer.body, self._settings.oidc_config_url)
            found.append((answer, read))
            return _Seen(f"issuer {read.issuer}")

        steps = [await self._step("metadata", metadata)]
        for answer, read in found:
            steps.append(await self._step("keys", self._keys))
            steps.append(self._known("clock", self._clocks(answer)))
            steps.append(await self._step("client", partial(self._client, read)))
            steps.append(await self._step("redirect", partial(self._redirect, read)))
            steps.append(self._known("scopes", self._scopes(read)))
        steps.append(self._known("claims", self._claims(sample)))
        return tuple(steps)

    async def _step(self, name: str, work: Callable[[], Awaitable[_Seen]]) -> Step:
        began = self._clock.monotonic_seconds()
        try:
            seen = await work()
        except DestinationRefusedError as error:
            seen = _Seen(error.detail, ("OIDC_CONFIG_URL",), (ALLOWED_HOSTS_VARIABLE,), ok=False)
        except ClientProofError as error:
            seen = _Seen(error.detail, (error.detail.split()[0],), ok=False)
        except UnavailableError as error:
            seen = _Seen(error.detail or error.public, ("OIDC_CONFIG_URL",), ok=False)
        return self._known(name, seen, self._clock.monotonic_seconds() - began)

    def _known(self, name: str, seen: _Seen, seconds: float = 0.0) -> Step:
        prefix = f"{PREFIX}{self._settings.name.upper()}_"
        variables = (*(prefix + suffix for suffix in seen.suffixes), *seen.others)
        return Step(name, seen.ok, round(seconds, 3), seen.detail, () if seen.ok else variables)

    # --- steps -----------------------------------------------------------------------------

    async def _keys(self) -> _Seen:
        keys = await self._talker.keys(self._settings)
        kinds = sorted({str(key.parameters.get("kty")) for key in keys})
        return _Seen(f"{len(keys)} keys: {', '.join(kinds)}")

    def _clocks(self, answer: Inbound) -> _Seen:
        theirs = _date_of(answer)
        if theirs is None:
            return _Seen("the provider tells no time")
        skew = (self._clock.now_utc() - theirs).total_seconds()
        said = f"this machine is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
        if abs(skew) > MOST_SKEW_SECONDS:
            return _Seen(f"{said}; set its clock by NTP, tokens would be refused", ok=False)
        return _Seen(said)

    async def _client(self, metadata: Metadata) -> _Seen:
        form = {
            "grant_type": "authorization_code",
            "code": _WRONG_CODE,
            "redirect_uri": self._callback,
        }
        if self._settings.use_pkce:
            form["code_verifier"] = _WRONG_VERIFIER
        try:
            await self._talker.ask_token_endpoint(self._settings, metadata, form)
        except TokenEndpointError as error:
            if error.error == "invalid_grant":
                return _Seen("the provider knows this client, and refused a wrong code as it must")
            suffixes = ("CLIENT_ID", "CLIENT_SECRET", "TOKEN_ENDPOINT_AUTH_METHOD")
            return _Seen(error.detail, suffixes, ok=False)
        return _Seen("the provider took a code that was made up", ("OIDC_CONFIG_URL",), ok=False)

    async def _redirect(self, metadata: Metadata) -> _Seen:
        """Ask for a sign-in without a form; only to a registered address there is a way back."""
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._callback,
            "scope": " ".join(self._settings.scopes),
            "state": "bennu-oauth2-test",
            "nonce": "bennu-oauth2-test",
            "prompt": "none",
        }
        if self._settings.use_pkce:
            asked["code_challenge"] = code_challenge(_WRONG_VERIFIER)
            asked["code_challenge_method"] = "S256"
        address = with_query(metadata.authorization_endpoint, asked)
        answer = await self._egress.send(Outbound(address, follow_redirects=False))
        location = answer.headers.get("location", "")
        if location.startswith(self._callback):
            return self._came_back(location)
        if answer.status >= _REFUSED:
            return _Seen(
                f"the provider refused {self._callback} (status {answer.status}); register it",
                ("CLIENT_ID",),
                (ROOT_URL,),
                ok=False,
            )
        return self._with_address("register at the provider:")

    def _came_back(self, location: str) -> _Seen:
        error = parse_qs(urlsplit(location).query).get("error", [""])[0]
        if error in {"", *_NOBODY_THERE}:
            return self._with_address("registered at the provider:")
        suffixes = ("SCOPES",) if error == "invalid_scope" else ("CLIENT_ID",)
        return _Seen(f"the provider answered {error[:64]}", suffixes, ok=False)

    def _with_address(self, said: str) -> _Seen:
        if self._has_root_url:
            return _Seen(f"{said} {self._callback}")
        return _Seen(
            f"{said} {self._callback}; it is a guess, as {ROOT_URL} is not set",
            others=(ROOT_URL,),
            ok=False,
        )

    def _scopes(self, metadata: Metadata) -> _Seen:
        missing = [s for s in self._settings.scopes if s not in metadata.scopes]
        if not metadata.scopes:
            return _Seen("the provider does not list what it offers")
        if missing:
            return _Seen(f"not listed by the provider: {' '.join(missing)}", ("SCOPES",), ok=False)
        return _Seen(f"all offered: {' '.join(self._settings.scopes)}")

    def _claims(self, sample: bytes | None) -> _Seen:
        if sample is None:
            return _Seen("not tried: no sample was given (--claims-file)")
        try:
            claims = sample_claims(sample)
        except MetadataError as error:
            return _Seen(error.detail, others=("--claims-file",), ok=False)
        return _claims_seen(claims, self._settings)


def sample_claims(sample: bytes) -> Mapping[str, Any]:
    """Return the claims of a token, or of JSON, without any check.

    Why safe: an operator looks at what paths would find; nobody is signed in by it.

    Raises:
        MetadataError: it is neither.
    """
    parts = sample.strip().split(b".")
    if len(parts) == len(("header", "claims", "signature")):
        try:
            return json_object(base64.urlsafe_b64decode(parts[1] + b"=="))
        except (binascii.Error, ValueError):
            raise MetadataError("the sample is neither a token nor a JSON object") from None
    return json_object(sample)


def _claims_seen(claims: Mapping[str, Any], settings: ProviderSettings) -> _Seen:
    read = read_claims(claims, settings)
    said = [f"e-mail {read.email or 'missing'}"]
    wrong: list[str] = [] if read.email else ["EMAIL_ATTRIBUTE_PATH"]
    if settings.groups_attribute_path:
        said.append(f"groups {', '.join(read.groups or ()) or 'missing'}")
    if not is_allowed_group(read.groups, settings):
        said.append("none of them allowed")
        wrong += ["GROUPS_ATTRIBUTE_PATH", "ALLOWED_GROUPS"]
    try:
        role = role_of(read.role, settings)
    except ClaimsRefusedError:
        role = None
        said.append("no role, and ROLE_ATTRIBUTE_STRICT")
        wrong += ["ROLE_ATTRIBUTE_PATH", "ROLE_MAPPING"]
    if role is not None:
        said.append(f"role {role} from {read.role or 'no claim'}")
    return _Seen("; ".join(said), tuple(wrong), ok=not wrong)


def _date_of(answer: Inbound) -> datetime | None:
    try:
        found = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else None
