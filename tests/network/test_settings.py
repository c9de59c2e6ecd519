"""Where the server listens and whom it trusts."""

import pytest

from fakes.settings import SECRET, names_of_problems, names_of_warnings, problems_of, read_settings


def test_without_any_setting_only_this_machine_is_served() -> None:
    network = read_settings().network
    assert (network.host, network.port, network.grpc_port) == ("127.0.0.1", 6006, 4317)
    assert not network.listens_beyond_loopback
    assert network.rate_limit_enabled
    assert network.root_url is None


def test_with_authentication_every_address_is_served() -> None:
    network = read_settings(PHOENIX_ENABLE_AUTH="true", PHOENIX_SECRET=SECRET).network
    assert network.host == "0.0.0.0"  # noqa: S104 - nothing is bound
    assert network.listens_beyond_loopback


@pytest.mark.parametrize(
    ("value", "host"),
    [("::", "::"), ("[::1]", "::1"), ("10.0.0.5", "10.0.0.5"), ("localhost", "localhost")],
)
def test_an_address_is_read(value: str, host: str) -> None:
    assert read_settings(PHOENIX_HOST=value).network.host == host


@pytest.mark.parametrize(
    ("name", "value", "field", "wanted"),
    [
        ("PHOENIX_HOST_ROOT_PATH", "/phoenix", "root_path", "/phoenix"),
        ("PHOENIX_HOST_ROOT_PATH", "", "root_path", ""),
        ("PHOENIX_ROOT_URL", "https://P.example.com:443/x/", "root_url", "https://p.example.com/x"),
        ("PHOENIX_ROOT_URL", "http://[::1]:6006", "root_url", "http://[::1]:6006"),
        (
            "PHOENIX_ALLOWED_ORIGINS",
            " https://App.example.com , http://localhost:5173/,,",
            "allowed_origins",
            ("https://app.example.com", "http://localhost:5173"),
        ),
        ("PHOENIX_ALLOWED_ORIGINS", "*", "allowed_origins", ("*",)),
        (
            "PHOENIX_CSRF_TRUSTED_ORIGINS",
            "https://a.example.com:443,",
            "csrf_trusted_origins",
            ("https://a.example.com",),
        ),
        ("PHOENIX_ALLOWED_HOSTS", "A.example.com, *.b.example", "allowed_hosts",
         ("a.example.com", "*.b.example")),
        ("PHOENIX_TRUSTED_PROXIES", "10.0.0.1/8, ::1", "trusted_proxies",
         ("10.0.0.0/8", "::1/128")),
        ("PHOENIX_EGRESS_ALLOWED_HOSTS", "idp.internal,10.0.0.0/8", "egress_allowed_hosts",
         ("idp.internal", "10.0.0.0/8")),
        (
            "PHOENIX_RATE_LIMITS",
            "POST /v1/traces = 2000/second per key; /v1/* = 600/minute per ip",
            "rate_limits",
            "POST /v1/traces = 2000/second per key; /v1/* = 600/minute per ip",
        ),
        ("PHOENIX_DISABLE_RATE_LIMIT", "true", "rate_limit_enabled", False),
        ("PHOENIX_ALLOW_EXTERNAL_RESOURCES", "false", "allow_external_resources", False),
    ],
)  # fmt: skip
def test_a_value_is_read(name: str, value: str, field: str, wanted: object) -> None:
    assert getattr(read_settings({name: value}).network, field) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOENIX_HOST", "http://localhost"),
        ("PHOENIX_HOST", "localhost:6006"),
        ("PHOENIX_HOST", "a b"),
        ("PHOENIX_PORT", "abc"),
        ("PHOENIX_PORT", "0"),
        ("PHOENIX_PORT", "65536"),
        ("PHOENIX_PORT", ""),
        ("PHOENIX_GRPC_PORT", "4317.0"),
        ("PHOENIX_GRPC_PORT", "6006"),
        ("PHOENIX_HOST_ROOT_PATH", "phoenix"),
        ("PHOENIX_HOST_ROOT_PATH", "/phoenix/"),
        ("PHOENIX_HOST_ROOT_PATH", "/"),
        ("PHOENIX_HOST_ROOT_PATH", "/a b"),
        ("PHOENIX_ROOT_URL", "phoenix.example.com"),
        ("PHOENIX_ROOT_URL", "ftp://phoenix.example.com"),
        ("PHOENIX_ROOT_URL", "https://"),
        ("PHOENIX_ROOT_URL", "https://a:99999"),
        ("PHOENIX_ALLOWED_ORIGINS", "app.example.com"),
        ("PHOENIX_ALLOWED_ORIGINS", "https://app.example.com/path"),
        ("PHOENIX_ALLOWED_ORIGINS", "null"),
        ("PHOENIX_CSRF_TRUSTED_ORIGINS", "phoenix.example.com"),
        ("PHOENIX_CSRF_TRUSTED_ORIGINS", "*"),
        ("PHOENIX_ALLOWED_HOSTS", "https://a.example.com"),
        ("PHOENIX_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("PHOENIX_TRUSTED_PROXIES", "proxy.example.com"),
        ("PHOENIX_EGRESS_ALLOWED_HOSTS", "http://x"),
        ("PHOENIX_RATE_LIMITS", "fast"),
        ("PHOENIX_RATE_LIMITS", "/v1/* = 0/minute"),
        ("PHOENIX_RATE_LIMITS", "/v1/* = 5/fortnight"),
        ("PHOENIX_RATE_LIMIT_STORAGE_URL", "http://localhost:6379"),
        ("PHOENIX_DISABLE_RATE_LIMIT", "on"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({name: value}) == [name]


def test_a_port_that_kubernetes_injected_is_explained() -> None:
    (problem,) = problems_of(PHOENIX_PORT="tcp://10.43.7.1:6006")
    assert problem.name == "PHOENIX_PORT"
    assert "Kubernetes" in problem.allowed


def test_what_is_open_is_warned_about() -> None:
    assert names_of_warnings(PHOENIX_HOST="0.0.0.0") == ["PHOENIX_ALLOWED_HOSTS", "PHOENIX_HOST"]  # noqa: S104 - nothing is bound
    assert names_of_warnings(PHOENIX_HOST="::", PHOENIX_ROOT_URL="http://p.example.com") == [
        "PHOENIX_HOST"
    ]
    assert names_of_warnings(PHOENIX_DISABLE_RATE_LIMIT="true") == ["PHOENIX_DISABLE_RATE_LIMIT"]
    assert names_of_warnings(PHOENIX_ALLOWED_ORIGINS="*") == ["PHOENIX_ALLOWED_ORIGINS"]
    assert names_of_warnings(PHOENIX_HOST="127.0.0.2") == []


def test_the_password_of_the_counter_store_never_shows() -> None:
    network = read_settings(PHOENIX_RATE_LIMIT_STORAGE_URL="rediss://:hunter2@h:6379/0").network
    assert network.rate_limit_storage_url is not None
    assert "hunter2" not in repr(network)
    assert "hunter2" not in str(problems_of(PHOENIX_RATE_LIMIT_STORAGE_URL="x://:hunter2@h"))
