"""Where the counters for Prometheus are served and who may read them.

Spec: line 272.
"""

from dataclasses import dataclass
from typing import Final, Self

from bennu.kernel.env import Env, Variable
from bennu.kernel.secret import Secret

VARIABLES: Final = (
    Variable(
        "PHOENIX_ENABLE_PROMETHEUS",
        "flag",
        "false",
        "Whether counters are served on a port of their own.",
        272,
    ),
    Variable("PHOENIX_PROMETHEUS_PORT", "whole number", "9090", "That port, 1 to 65535."),
    Variable(
        "PHOENIX_PROMETHEUS_HOST",
        "address",
        "127.0.0.1",
        "The address that it listens on.",
    ),
    Variable(
        "PHOENIX_PROMETHEUS_TOKEN",
        "text",
        "",
        "A bearer token that readers of the counters must send.",
        secret=True,
    ),
)

_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """The counters; ``port`` is 1 to 65535, ``token`` None leaves them open on ``host``."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 9090
    token: Secret | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the counters."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read where the counters are served."""
        settings = cls(
            enabled=env.flag("PHOENIX_ENABLE_PROMETHEUS", default=False),
            host=env.text("PHOENIX_PROMETHEUS_HOST", "127.0.0.1"),
            port=env.whole("PHOENIX_PROMETHEUS_PORT", 9090, 1, _MAX_PORT),
            token=env.secret("PHOENIX_PROMETHEUS_TOKEN"),
        )
        if settings.enabled and not settings.is_local and settings.token is None:
            env.warn(
                "PHOENIX_PROMETHEUS_HOST",
                "other machines can read the counters; PHOENIX_PROMETHEUS_TOKEN closes them",
            )
        return settings
