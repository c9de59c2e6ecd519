"""TLS of the two listeners: which are on, their files, client certificates.

Spec: lines 179-196, 234-236.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from bennu.kernel.env import Env, Variable
from bennu.kernel.secret import Secret

VARIABLES: Final = (
    Variable("PHOENIX_TLS_ENABLED", "flag", "false", "TLS for both listeners."),
    Variable(
        "PHOENIX_TLS_ENABLED_FOR_HTTP",
        "flag",
        "that of PHOENIX_TLS_ENABLED",
        "TLS for HTTP, whatever PHOENIX_TLS_ENABLED says.",
        182,
    ),
    Variable(
        "PHOENIX_TLS_ENABLED_FOR_GRPC",
        "flag",
        "that of PHOENIX_TLS_ENABLED",
        "TLS for gRPC, whatever PHOENIX_TLS_ENABLED says.",
        187,
    ),
    Variable(
        "PHOENIX_TLS_CERT_FILE", "file", "", "The certificate and its chain, in PEM form.", 183
    ),
    Variable("PHOENIX_TLS_KEY_FILE", "file", "", "The private key, in PEM form.", 184),
    Variable(
        "PHOENIX_TLS_KEY_FILE_PASSWORD",
        "text",
        "",
        "The password of an encrypted private key.",
        185,
        secret=True,
    ),
    Variable(
        "PHOENIX_TLS_CA_FILE",
        "file",
        "",
        "The authorities that client certificates are checked against.",
        195,
    ),
    Variable(
        "PHOENIX_TLS_VERIFY_CLIENT",
        "flag",
        "false",
        "Whether a client must show a certificate of PHOENIX_TLS_CA_FILE.",
        196,
    ),
    Variable(
        "PHOENIX_TLS_MIN_VERSION",
        "1.2 or 1.3",
        "1.2",
        "The oldest version of TLS that HTTP speaks; 1.3 is refused together with TLS for gRPC.",
    ),
    Variable(
        "PHOENIX_TLS_CLIENT_CERT_MAPPINGS",
        "JSON object",
        "",
        "Subjects or alternative names of client certificates, each with the service account (the "
        "name or the id of a system key) that it stands for, such as "
        '`{"CN=agent-7,O=Example": "ingest-agent"}`.',
    ),
)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS of the listeners.

    Args:
        http: whether HTTP speaks TLS.
        grpc: whether gRPC speaks TLS.
        cert_file: certificate and chain; given when either speaks TLS.
        key_file: private key; given when either speaks TLS.
        key_file_password: for an encrypted key.
        ca_file: authorities of client certificates.
        verify_client: whether a client certificate is required.
        min_version: ``1.2`` or ``1.3``.
        client_cert_mappings: subject or alternative name to the name or the id of a system key.
    """

    http: bool = False
    grpc: bool = False
    cert_file: Path | None = None
    key_file: Path | None = None
    key_file_password: Secret | None = None
    ca_file: Path | None = None
    verify_client: bool = False
    min_version: str = "1.2"
    client_cert_mappings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the TLS settings; files must be there once TLS is on."""
        default = env.flag("PHOENIX_TLS_ENABLED", default=False)
        settings = cls(
            http=env.flag("PHOENIX_TLS_ENABLED_FOR_HTTP", default=default),
            grpc=env.flag("PHOENIX_TLS_ENABLED_FOR_GRPC", default=default),
            cert_file=env.file("PHOENIX_TLS_CERT_FILE"),
            key_file=env.file("PHOENIX_TLS_KEY_FILE"),
            key_file_password=env.secret("PHOENIX_TLS_KEY_FILE_PASSWORD"),
            ca_file=env.file("PHOENIX_TLS_CA_FILE"),
            verify_client=env.flag("PHOENIX_TLS_VERIFY_CLIENT", default=False),
            min_version=env.choice("PHOENIX_TLS_MIN_VERSION", "1.2", ("1.2", "1.3")),
            client_cert_mappings=_read_mappings(env),
        )
        _check_completeness(settings, env)
        return settings


def _check_completeness(settings: TlsSettings, env: Env) -> None:
    if settings.http or settings.grpc:
        for name in ("PHOENIX_TLS_CERT_FILE", "PHOENIX_TLS_KEY_FILE"):
            if not env.is_set(name):
                env.refuse(name, "a file in PEM form, because TLS is on")
    if settings.verify_client and not env.is_set("PHOENIX_TLS_CA_FILE"):
        env.refuse(
            "PHOENIX_TLS_CA_FILE", "a file in PEM form, because PHOENIX_TLS_VERIFY_CLIENT is true"
        )
    _check_combinations(settings, env)


def _check_combinations(settings: TlsSettings, env: Env) -> None:
    if settings.grpc and settings.min_version == "1.3":
        env.refuse(
            "PHOENIX_TLS_MIN_VERSION",
            "1.2 as long as gRPC speaks TLS, which cannot be told to leave 1.2 out; or "
            "PHOENIX_TLS_ENABLED_FOR_GRPC=false",
        )
    if settings.verify_client and not (settings.http or settings.grpc):
        env.warn("PHOENIX_TLS_VERIFY_CLIENT", "has no effect, because TLS is off")
    if settings.verify_client and settings.http != settings.grpc:
        plain = "gRPC" if settings.http else "HTTP"
        env.warn("PHOENIX_TLS_VERIFY_CLIENT", f"asks nothing of {plain}, which speaks no TLS")
    if settings.client_cert_mappings and not settings.verify_client:
        env.warn(
            "PHOENIX_TLS_CLIENT_CERT_MAPPINGS",
            "has no effect unless PHOENIX_TLS_VERIFY_CLIENT is true",
        )
    if settings.ca_file and not settings.verify_client:
        env.warn("PHOENIX_TLS_CA_FILE", "has no effect unless PHOENIX_TLS_VERIFY_CLIENT is true")


def _read_mappings(env: Env) -> Mapping[str, str]:
    name = "PHOENIX_TLS_CLIENT_CERT_MAPPINGS"
    found = env.json(name)
    if found is None:
        return MappingProxyType({})
    if not isinstance(found, dict) or not all(
        key.strip() and isinstance(value, str) and value.strip() for key, value in found.items()
    ):
        env.refuse(name, 'a JSON object such as {"CN=agent-7,O=Example": "ingest-agent"}')
        return MappingProxyType({})
    return MappingProxyType({key.strip(): value.strip() for key, value in found.items()})
