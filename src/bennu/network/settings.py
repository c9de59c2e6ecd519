"""Where the server listens, who is trusted, and what it may reach itself.

Spec: lines 205-218 (origins, rate limits), 219-225 (ports).
"""

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

from bennu.kernel.env import Env, Variable
from bennu.kernel.secret import Secret

VARIABLES: Final = (
    Variable(
        "PHOENIX_HOST",
        "address",
        "127.0.0.1; 0.0.0.0 with authentication on",
        "The address that HTTP and gRPC listen on; `::` means every address.",
    ),
    Variable("PHOENIX_PORT", "whole number", "6006", "The HTTP port, 1 to 65535.", 222),
    Variable("PHOENIX_GRPC_PORT", "whole number", "4317", "The gRPC port, 1 to 65535.", 225),
    Variable(
        "PHOENIX_HOST_ROOT_PATH",
        "text",
        "",
        "The path under which a proxy serves Bennu; starts with `/`, does not end with it.",
    ),
    Variable(
        "PHOENIX_ROOT_URL",
        "URL",
        "",
        "The address that people use; sign-in callbacks and mailed links are made from it.",
    ),
    Variable(
        "PHOENIX_ALLOWED_ORIGINS",
        "comma list of origins",
        "",
        "Other origins whose pages may call the interface (CORS), such as "
        "`https://app.example.com`.",
        208,
    ),
    Variable(
        "PHOENIX_CSRF_TRUSTED_ORIGINS",
        "comma list of origins",
        "",
        "Origins whose pages may send requests that change something.",
        211,
    ),
    Variable(
        "PHOENIX_ALLOWED_HOSTS",
        "comma list of host names",
        "the host of PHOENIX_ROOT_URL and the loopback names",
        "Host headers that are answered; `*.example.com` includes every name below it.",
    ),
    Variable(
        "PHOENIX_TRUSTED_PROXIES",
        "comma list of networks",
        "",
        "Addresses (CIDR) whose `Forwarded` and `X-Forwarded-*` headers are believed.",
    ),
    Variable(
        "PHOENIX_DISABLE_RATE_LIMIT",
        "flag",
        "false",
        "Switches every rate limit off; not recommended.",
        218,
    ),
    Variable(
        "PHOENIX_RATE_LIMITS",
        "rules",
        "",
        "Limits per endpoint, such as `POST /v1/traces = 2000/second per key; "
        "/v1/* = 600/minute per ip`; the first that matches counts.",
        216,
    ),
    Variable(
        "PHOENIX_RATE_LIMIT_STORAGE_URL",
        "URL",
        "",
        "Redis (`redis://` or `rediss://`) that counts for several processes; else in memory.",
        secret=True,
    ),
    Variable(
        "PHOENIX_MAX_CONNECTIONS_PER_ADDRESS",
        "whole number",
        "1000",
        "HTTP connections that one address (IPv6: one /64) may have open; trusted proxies any.",
    ),
    Variable(
        "PHOENIX_EGRESS_ALLOWED_HOSTS",
        "comma list of host names or networks",
        "",
        "Private or internal hosts that the server itself may call.",
    ),
    Variable(
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES",
        "flag",
        "true",
        "false: no outbound connection but those that are configured.",
    ),
    Variable(
        "HTTPS_PROXY",
        "URL",
        "",
        "The proxy through which the server itself calls https addresses, `http://proxy:3128`.",
        secret=True,
    ),
    Variable(
        "NO_PROXY",
        "comma list of host names",
        "",
        "Hosts and domains that are called without it; loopback always is.",
    ),
)

_MAX_PORT: Final = 65_535
_HOST: Final = re.compile(r"\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\]?|[A-Za-z0-9_]([A-Za-z0-9_.-]*)")
_HOST_PATTERN: Final = re.compile(
    r"(\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*))(:[0-9]{1,5})?|\[?[0-9A-Fa-f:.]+\]?"
)
_ROOT_PATH: Final = re.compile(r"(/[A-Za-z0-9._~%-]+)*")
#: One rule of PHOENIX_RATE_LIMITS; what it means stands in ``rate_rules``.
RATE_RULE: Final = re.compile(
    r"(?:(?P<method>[A-Z]+)[ \t]+)?(?P<path>/[A-Za-z0-9._~%/{}*:@-]*)[ \t]*=[ \t]*"
    r"(?P<count>[1-9][0-9]{0,8})[ \t]*/[ \t]*(?:(?P<units>[1-9][0-9]{0,4})[ \t]*)?"
    r"(?P<unit>second|minute|hour|day)s?(?:[ \t]+per[ \t]+(?P<per>ip|key|user))?"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: What Kubernetes puts into the environment beside a service that is called "phoenix".
_INJECTED_BY_KUBERNETES: Final = re.compile(r"(tcp|udp)://.*")


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Listeners, origins, limits and outbound rules.

    Args:
        host: the address to bind, for HTTP and gRPC.
        port: HTTP, 1 to 65535.
        grpc_port: gRPC, 1 to 65535.
        root_path: "" or a path that starts with a slash and does not end with one.
        root_url: scheme, host and perhaps a path, without a slash at the end; None when unknown.
        allowed_origins: exact origins in lower case without a default port; ``*`` for any.
        csrf_trusted_origins: exact origins, written alike.
        allowed_hosts: host names or ``*.name`` patterns in lower case; empty for the default.
        trusted_proxies: networks in CIDR form.
        rate_limits: the rules as given; the route table they refer to is known later.
        rate_limit_storage_url: may hold a password.
        egress_allowed_hosts: host names, patterns or networks.
        https_proxy: may hold a password.
        no_proxy: host names or domains in lower case; ``*`` for all.
    """

    host: str = "127.0.0.1"
    port: int = 6006
    grpc_port: int = 4317
    root_path: str = ""
    root_url: str | None = None
    allowed_origins: tuple[str, ...] = ()
    csrf_trusted_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    rate_limit_enabled: bool = True
    rate_limits: str = ""
    rate_limit_storage_url: Secret | None = None
    max_connections_per_address: int = 1_000
    egress_allowed_hosts: tuple[str, ...] = ()
    allow_external_resources: bool = True
    https_proxy: Secret | None = None
    no_proxy: tuple[str, ...] = ()

    @property
    def listens_beyond_loopback(self) -> bool:
        """Whether other machines can reach the listeners."""
        return not (self.host in {"localhost", "::1"} or self.host.startswith("127."))

    @property
    def root_url_is_https(self) -> bool:
        """Whether people use the server through TLS, ended here or at a proxy."""
        return self.root_url is not None and self.root_url.startswith("https://")

    @classmethod
    def from_env(cls, env: Env, *, default_host: str) -> Self:
        """Read the network settings.

        Args:
            env: the values.
            default_host: where to bind when nothing is said; it depends on authentication.
        """
        settings = cls(
            host=_read_host(env, default_host),
            port=read_port(env, "PHOENIX_PORT", 6006),
            grpc_port=read_port(env, "PHOENIX_GRPC_PORT", 4317),
            root_path=_read_root_path(env),
            root_url=_read_root_url(env),
            allowed_origins=_read_origins(env, "PHOENIX_ALLOWED_ORIGINS", any_allowed=True),
            csrf_trusted_origins=_read_origins(env, "PHOENIX_CSRF_TRUSTED_ORIGINS"),
            allowed_hosts=_read_hosts(env, "PHOENIX_ALLOWED_HOSTS"),
            trusted_proxies=_read_networks(env, "PHOENIX_TRUSTED_PROXIES"),
            rate_limit_enabled=not env.flag("PHOENIX_DISABLE_RATE_LIMIT", default=False),
            rate_limits=_read_rate_limits(env),
            rate_limit_storage_url=_read_storage_url(env),
            max_connections_per_address=env.whole(
                "PHOENIX_MAX_CONNECTIONS_PER_ADDRESS", 1_000, 1, 1_000_000
            ),
            egress_allowed_hosts=_read_hosts(env, "PHOENIX_EGRESS_ALLOWED_HOSTS"),
            allow_external_resources=env.flag("PHOENIX_ALLOW_EXTERNAL_RESOURCES", default=True),
            https_proxy=_read_proxy(env),
            no_proxy=_read_no_proxy(env),
        )
        if settings.port == settings.grpc_port:
            env.refuse("PHOENIX_GRPC_PORT", f"another port than PHOENIX_PORT ({settings.port})")
        if not settings.rate_limit_enabled:
            env.warn("PHOENIX_DISABLE_RATE_LIMIT", "sign-in is open to guessing without limits")
        return settings


def read_port(env: Env, name: str, default: int) -> int:
    """Read a port from 1 to 65535; what Kubernetes injects gets an explanation of its own."""
    if _INJECTED_BY_KUBERNETES.fullmatch(env.text(name)):
        env.refuse(
            name,
            f"a whole number from 1 to {_MAX_PORT}; Kubernetes sets this variable for a service "
            "named like its prefix: rename the service, or set `enableServiceLinks: false`",
        )
        return default
    return env.whole(name, default, 1, _MAX_PORT)


def split_http_url(text: str) -> SplitResult | None:
    """Split an http or https address, or return None when it is none."""
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0  # reading the port checks it
    except ValueError:
        return None
    is_address = parts.scheme in _DEFAULT_PORTS and has_host and not re.search(r"\s", text)
    return parts if is_address else None


def origin_of(parts: SplitResult) -> str:
    """Return scheme and host in lower case, and the port where it is not the default."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _read_host(env: Env, default: str) -> str:
    host = env.text("PHOENIX_HOST", default)
    if _HOST.fullmatch(host) is None:
        env.refuse("PHOENIX_HOST", "an IP address or a host name, without scheme and port")
        return default
    return host.strip("[]")


def _read_root_path(env: Env) -> str:
    path = env.text("PHOENIX_HOST_ROOT_PATH")
    if _ROOT_PATH.fullmatch(path):
        return path
    env.refuse("PHOENIX_HOST_ROOT_PATH", "a path that starts with / and does not end with /")
    return ""


def _read_root_url(env: Env) -> str | None:
    text = env.optional("PHOENIX_ROOT_URL")
    if text is None:
        return None
    parts = split_http_url(text)
    if parts is None or parts.query or parts.fragment or parts.username is not None:
        env.refuse("PHOENIX_ROOT_URL", "an address such as https://phoenix.example.com")
        return None
    return origin_of(parts) + parts.path.rstrip("/")


def _read_origins(env: Env, name: str, *, any_allowed: bool = False) -> tuple[str, ...]:
    origins: list[str] = []
    for item in env.items(name):
        parts = split_http_url(item)
        if item == "*" and any_allowed:
            env.warn(name, "every website may read what is open without credentials")
            origins.append("*")
        elif parts is None or parts.path.strip("/") or parts.query or parts.username is not None:
            env.refuse(name, "origins such as https://app.example.com, split by commas")
            return ()
        else:
            origins.append(origin_of(parts))
    return tuple(dict.fromkeys(origins))


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _read_hosts(env: Env, name: str) -> tuple[str, ...]:
    hosts = tuple(item.lower() for item in env.items(name))
    if all(_HOST_PATTERN.fullmatch(host) or _is_network(host) for host in hosts):
        return hosts
    env.refuse(name, "host names such as phoenix.example.com or *.example.com, split by commas")
    return ()


def _read_networks(env: Env, name: str) -> tuple[str, ...]:
    networks = env.items(name)
    if all(_is_network(network) for network in networks):
        return tuple(str(ip_network(network, strict=False)) for network in networks)
    env.refuse(name, "addresses or networks such as 10.0.0.0/8, split by commas")
    return ()


def _read_rate_limits(env: Env) -> str:
    rules = env.text("PHOENIX_RATE_LIMITS")
    for rule in env.items("PHOENIX_RATE_LIMITS", ";"):
        if RATE_RULE.fullmatch(rule) is None:
            env.refuse(
                "PHOENIX_RATE_LIMITS",
                "rules such as `POST /v1/traces = 2000/second per key`, split by semicolons",
            )
            return ""
    return rules


def _read_storage_url(env: Env) -> Secret | None:
    url = env.secret("PHOENIX_RATE_LIMIT_STORAGE_URL")
    if url is None or re.fullmatch(r"(rediss?|memory)://\S*", url.reveal()):
        return url
    env.refuse("PHOENIX_RATE_LIMIT_STORAGE_URL", "an address redis://… or rediss://…", secret=True)
    return None


def _read_proxy(env: Env) -> Secret | None:
    """Read the proxy under the names that other programs use too."""
    name = next((n for n in ("HTTPS_PROXY", "https_proxy") if env.is_set(n)), "")
    proxy = env.secret(name) if name else None
    if proxy is None or split_http_url(proxy.reveal()) is not None:
        return proxy
    env.refuse(name, "an address such as http://proxy.example.com:3128", secret=True)
    return None


def _read_no_proxy(env: Env) -> tuple[str, ...]:
    name = "NO_PROXY" if env.is_set("NO_PROXY") else "no_proxy"
    return tuple(item.lower().removeprefix("*.").lstrip(".") for item in env.items(name))
