"""The form of an identity provider: its fields, and from what was typed to what is stored. Pure.

Spec: lines 91-133.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bennu.kernel.secret import Secret
from bennu.stored_settings.flow import KEEP_SECRET, NewSecret
from bennu.stored_settings.model import PROVIDER_FLAGS, PROVIDER_TEXTS, Provider
from bennu.web.forms import Form


@dataclass(frozen=True, slots=True)
class FieldWords:
    """How a field is named and explained."""

    name: str
    label: str
    hint: str


TEXTS: Final = (
    FieldWords("display_name", "Name on the button", "Such as Google."),
    FieldWords("client_id", "Client id", "As the provider gave it."),
    FieldWords(
        "oidc_config_url",
        "Discovery address",
        "Ends with /.well-known/openid-configuration.",
    ),
    FieldWords("scopes", "Further scopes", "Separated by blanks; openid, email, profile always."),
    FieldWords(
        "token_endpoint_auth_method",
        "How the client proves itself",
        "client_secret_basic, client_secret_post or none.",
    ),
    FieldWords("email_attribute_path", "Path to the e-mail", "JMESPath into the claims."),
    FieldWords("groups_attribute_path", "Path to the groups", "JMESPath into the claims."),
    FieldWords("allowed_groups", "Allowed groups", "Separated by commas; empty lets everybody in."),
    FieldWords("role_attribute_path", "Path to the role", "JMESPath into the claims."),
    FieldWords("role_mapping", "Roles", "Such as admin:ADMIN,user:MEMBER."),
)
FLAGS: Final = (
    FieldWords("allow_sign_up", "Strangers may sign up", "Makes accounts at the first sign-in."),
    FieldWords("auto_login", "Go there at once", "Skips the sign-in page; for one provider only."),
    FieldWords("use_pkce", "PKCE", "RFC 7636; good everywhere."),
    FieldWords("role_attribute_strict", "Refuse without a role", "Nobody in without a mapped one."),
    FieldWords("role_resync", "Follow the role", "At every sign-in, not only the first."),
)
_OF_ROLES: Final = frozenset({"role_attribute_strict", "role_resync"})
_DEFAULT_ON: Final = frozenset({"allow_sign_up", "use_pkce"})


@dataclass(frozen=True, slots=True)
class ProviderFields:
    """What stands in the form.

    Args:
        name: of the provider, "" for a new one.
        texts: by field.
        flags: those that are ticked.
        has_secret: a client secret is stored; it is never shown.
    """

    name: str
    texts: Mapping[str, str]
    flags: frozenset[str]
    has_secret: bool


def fields_of(provider: Provider | None) -> ProviderFields:
    """Return what stands in the form of a provider, of a new one for None."""
    if provider is None:
        return ProviderFields("", dict.fromkeys(PROVIDER_TEXTS, ""), _DEFAULT_ON, has_secret=False)
    texts = {name: provider.fields.get(name, "") for name in PROVIDER_TEXTS}
    shown = provider.shown()
    ticked = {name for name in PROVIDER_FLAGS if shown.get(name, name in _DEFAULT_ON)}
    return ProviderFields(
        provider.name, texts, frozenset(ticked), has_secret=bool(provider.client_secret)
    )


def fields_typed(form: Form, *, has_secret: bool) -> ProviderFields:
    """Return what was typed, to show it again beside what is wrong with it."""
    texts = {name: form.text(name) for name in PROVIDER_TEXTS}
    flags = frozenset(name for name in PROVIDER_FLAGS if form.is_ticked(name))
    return ProviderFields(form.text("name"), texts, flags, has_secret=has_secret)


def stored_fields(form: Form) -> dict[str, str]:
    """Return the fields as the environment would hold them."""
    texts = {name: form.text(name) for name in PROVIDER_TEXTS if form.text(name)}
    has_role = "role_attribute_path" in texts
    # Rules about roles are refused where no role is read; not ticked there says nothing.
    said = [n for n in PROVIDER_FLAGS if has_role or n not in _OF_ROLES or form.is_ticked(n)]
    return {**texts, **{n: "true" if form.is_ticked(n) else "false" for n in said}}


def client_secret_of(form: Form) -> NewSecret:
    """Return the new secret; nothing typed keeps the one there is."""
    if form.is_ticked("no_client_secret"):
        return None
    typed = form.raw("client_secret")
    return Secret(typed) if typed else KEEP_SECRET
