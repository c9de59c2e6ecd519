"""The form of an identity provider. Spec: lines 91-133."""

from bennu.kernel.secret import Secret
from bennu.stored_settings.flow import KEEP_SECRET
from bennu.stored_settings.model import PROVIDER_FLAGS, PROVIDER_TEXTS, Provider
from bennu.web.forms import Form
from bennu.web.provider_form import (
    FLAGS,
    TEXTS,
    client_secret_of,
    fields_of,
    fields_typed,
    stored_fields,
)


def form(**fields: str) -> Form:
    return Form({name: [value] for name, value in fields.items()})


def test_every_field_has_words() -> None:
    assert {words.name for words in TEXTS} == set(PROVIDER_TEXTS)
    assert {words.name for words in FLAGS} == set(PROVIDER_FLAGS)


def test_a_stored_provider_fills_the_form_without_its_secret() -> None:
    stored = Provider("acme", {"client_id": "c", "auto_login": "true"}, Secret("hidden"))
    shown = fields_of(stored)
    assert (shown.name, shown.texts["client_id"], shown.has_secret) == ("acme", "c", True)
    assert "auto_login" in shown.flags
    assert "hidden" not in repr(shown)


def test_what_was_typed_is_stored_as_the_environment_would_hold_it() -> None:
    typed = form(name="acme", client_id=" c ", use_pkce="1", scopes="")
    fields = stored_fields(typed)
    assert fields["client_id"] == "c"
    assert (fields["use_pkce"], fields["auto_login"]) == ("true", "false")
    assert "scopes" not in fields
    assert "role_resync" not in fields
    assert stored_fields(form(role_attribute_path="r"))["role_resync"] == "false"
    again = fields_typed(typed, has_secret=True)
    assert (again.name, again.texts["client_id"], again.flags) == ("acme", "c", {"use_pkce"})


def test_the_secret_is_kept_replaced_or_forgotten() -> None:
    assert client_secret_of(form(client_secret="")) is KEEP_SECRET
    assert client_secret_of(form(client_secret="new")) == Secret("new")
    assert client_secret_of(form(client_secret="new", no_client_secret="1")) is None
