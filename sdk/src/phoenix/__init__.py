"""``import phoenix as px; px.Client(endpoint=…, api_key=…)``.

The distributions arize-phoenix-client and arize-phoenix-otel put ``phoenix.client`` and
``phoenix.otel`` into this package without a file like this one. So the path of the package is
extended to wherever they are installed, and nothing is imported before it is asked for.

Spec: lines 146-151.
"""

from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

__path__ = extend_path(__path__, __name__)

if TYPE_CHECKING:
    from bennu_sdk.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import the clients when they are asked for."""
    if name in __all__:
        import bennu_sdk.client  # noqa: PLC0415 - an import of phoenix.otel needs no client

        return getattr(bennu_sdk.client, name)
    raise AttributeError(
        f"module 'phoenix' has no attribute {name!r}; with bennu-sdk it has {', '.join(__all__)}, "
        "and the packages phoenix.client and phoenix.otel where they are installed"
    )


def __dir__() -> list[str]:
    """List the clients too."""
    return sorted({*globals(), *__all__})
