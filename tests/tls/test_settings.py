"""TLS of the listeners."""

from pathlib import Path

import pytest

from fakes.settings import names_of_problems, names_of_warnings, read_settings


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name in ("cert", "key", "ca"):
        (tmp_path / name).write_text("x")
    return {
        "PHOENIX_TLS_CERT_FILE": str(tmp_path / "cert"),
        "PHOENIX_TLS_KEY_FILE": str(tmp_path / "key"),
        "PHOENIX_TLS_CA_FILE": str(tmp_path / "ca"),
    }


@pytest.mark.parametrize(
    ("values", "http", "grpc"),
    [
        ({}, False, False),
        ({"PHOENIX_TLS_ENABLED": "true"}, True, True),
        ({"PHOENIX_TLS_ENABLED": "true", "PHOENIX_TLS_ENABLED_FOR_GRPC": "false"}, True, False),
        ({"PHOENIX_TLS_ENABLED_FOR_GRPC": "true"}, False, True),
    ],
)
def test_each_listener_has_its_switch(
    files: dict[str, str], values: dict[str, str], *, http: bool, grpc: bool
) -> None:
    tls = read_settings({**files, **values}).tls
    assert (tls.http, tls.grpc) == (http, grpc)


def test_everything_is_read(files: dict[str, str]) -> None:
    tls = read_settings(
        files,
        PHOENIX_TLS_ENABLED_FOR_HTTP="true",
        PHOENIX_TLS_KEY_FILE_PASSWORD="hunter2",
        PHOENIX_TLS_VERIFY_CLIENT="true",
        PHOENIX_TLS_MIN_VERSION="1.3",
        PHOENIX_TLS_CLIENT_CERT_MAPPINGS='{"CN=agent-7": " ingest "}',
    ).tls
    assert str(tls.cert_file) == files["PHOENIX_TLS_CERT_FILE"]
    assert str(tls.key_file) == files["PHOENIX_TLS_KEY_FILE"]
    assert str(tls.ca_file) == files["PHOENIX_TLS_CA_FILE"]
    assert tls.key_file_password is not None
    assert "hunter2" not in repr(tls)
    assert tls.verify_client
    assert tls.min_version == "1.3"
    assert tls.client_cert_mappings == {"CN=agent-7": "ingest"}


@pytest.mark.parametrize("switch", ["", "_FOR_HTTP", "_FOR_GRPC"])
def test_tls_needs_its_files(switch: str) -> None:
    assert names_of_problems({f"PHOENIX_TLS_ENABLED{switch}": "true"}) == [
        "PHOENIX_TLS_CERT_FILE",
        "PHOENIX_TLS_KEY_FILE",
    ]


@pytest.mark.parametrize("name", ["CERT_FILE", "KEY_FILE", "CA_FILE"])
def test_a_missing_file_is_named_once(files: dict[str, str], name: str) -> None:
    values = {**files, f"PHOENIX_TLS_{name}": "/nowhere", "PHOENIX_TLS_ENABLED": "true"}
    assert names_of_problems(values) == [f"PHOENIX_TLS_{name}"]


def test_client_certificates_need_an_authority(files: dict[str, str]) -> None:
    del files["PHOENIX_TLS_CA_FILE"]
    values = {**files, "PHOENIX_TLS_ENABLED": "true", "PHOENIX_TLS_VERIFY_CLIENT": "true"}
    assert names_of_problems(values) == ["PHOENIX_TLS_CA_FILE"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOENIX_TLS_MIN_VERSION", "1.1"),
        ("PHOENIX_TLS_CLIENT_CERT_MAPPINGS", "[]"),
        ("PHOENIX_TLS_CLIENT_CERT_MAPPINGS", '{"CN=a": 1}'),
        ("PHOENIX_TLS_CLIENT_CERT_MAPPINGS", "{"),
        ("PHOENIX_TLS_VERIFY_CLIENT", "maybe"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({name: value}) == [name]


def test_a_setting_without_effect_is_remarked(files: dict[str, str]) -> None:
    assert names_of_warnings(files) == ["PHOENIX_TLS_CA_FILE"]
    assert names_of_warnings(files, PHOENIX_TLS_VERIFY_CLIENT="true") == [
        "PHOENIX_TLS_VERIFY_CLIENT"
    ]


def test_tls_1_3_alone_is_refused_with_grpc(files: dict[str, str]) -> None:
    values = {**files, "PHOENIX_TLS_MIN_VERSION": "1.3", "PHOENIX_TLS_ENABLED": "true"}
    assert names_of_problems(values) == ["PHOENIX_TLS_MIN_VERSION"]
    read_settings(values, PHOENIX_TLS_ENABLED_FOR_GRPC="false")


def test_client_certificates_that_are_not_asked_for_are_remarked(files: dict[str, str]) -> None:
    mapped = {**files, "PHOENIX_TLS_CLIENT_CERT_MAPPINGS": '{"CN=a": "b"}'}
    assert "PHOENIX_TLS_CLIENT_CERT_MAPPINGS" in names_of_warnings(mapped)
    mutual = {**mapped, "PHOENIX_TLS_VERIFY_CLIENT": "true", "PHOENIX_TLS_ENABLED": "true"}
    assert names_of_warnings(mutual) == []
    half = {**mutual, "PHOENIX_TLS_ENABLED_FOR_GRPC": "false"}
    (warning,) = read_settings(half).warnings
    assert "asks nothing of gRPC" in warning.allowed


def test_tls_makes_cookies_secure(files: dict[str, str]) -> None:
    assert not read_settings(files).auth.secure_cookies
    assert not read_settings(files, PHOENIX_TLS_ENABLED_FOR_GRPC="true").auth.secure_cookies
    tls = {**files, "PHOENIX_TLS_ENABLED_FOR_HTTP": "true"}
    assert read_settings(tls).auth.secure_cookies
    (warning,) = (
        w
        for w in read_settings(tls, PHOENIX_USE_SECURE_COOKIES="false").warnings
        if w.name == "PHOENIX_USE_SECURE_COOKIES"
    )
    assert "HTTP speaks TLS" in warning.allowed
