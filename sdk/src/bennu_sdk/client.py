"""The official clients with the argument ``endpoint`` and with errors that say what to do.

Spec: lines 146-151.
"""

import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import phoenix.client

from bennu_sdk.errors import EndpointError, refusal, unreachable

#: Where exporters send to; people copy that address.
_PATHS_OF_EXPORTERS = ("/v1/traces", "/v1")


class Client(phoenix.client.Client):
    """A client of one server: ``projects``, ``spans``, ``traces``, ``sessions`` and so on.

    Nothing is sent before a method is called.

    Args:
        endpoint: the address of the server; without it that of the environment
            (PHOENIX_COLLECTOR_ENDPOINT and so on), or http://localhost:6006.
        api_key: sent as a bearer credential; without it PHOENIX_API_KEY.
        headers: sent besides.
        http_client: used as it is, instead of one of our own.
        base_url: another name of ``endpoint``, that of the official client.

    Raises:
        EndpointError: the endpoint is no address of a server.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        http_client: httpx.Client | None = None,
        base_url: str | httpx.URL | None = None,
    ) -> None:
        super().__init__(
            base_url=_address(endpoint, base_url),
            api_key=api_key,
            headers=headers,
            http_client=http_client,
        )
        if http_client is None:
            plain = self._client
            self._client = _ExplainingClient(
                base_url=plain.base_url, headers=plain.headers, timeout=plain.timeout
            )
            plain.close()


class AsyncClient(phoenix.client.AsyncClient):
    """The same for ``async`` code."""

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        http_client: httpx.AsyncClient | None = None,
        base_url: str | httpx.URL | None = None,
    ) -> None:
        super().__init__(
            base_url=_address(endpoint, base_url),
            api_key=api_key,
            headers=headers,
            http_client=http_client,
        )
        if http_client is None:
            plain = self._client
            # The first one has opened nothing yet, so that there is nothing to close.
            self._client = _ExplainingAsyncClient(
                base_url=plain.base_url, headers=plain.headers, timeout=plain.timeout
            )


class _ExplainingClient(httpx.Client):
    """Sends requests and explains what hinders them."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:  # noqa: ANN401
        try:
            response = super().send(request, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise unreachable(error, request) from error
        if response.is_error:
            response.read()
            error_to_raise = refusal(response)
            if error_to_raise is not None:
                raise error_to_raise
        return response

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class _ExplainingAsyncClient(httpx.AsyncClient):
    """The same for ``async`` code."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:  # noqa: ANN401
        try:
            response = await super().send(request, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise unreachable(error, request) from error
        if response.is_error:
            await response.aread()
            error_to_raise = refusal(response)
            if error_to_raise is not None:
                raise error_to_raise
        return response


def _address(endpoint: str | None, base_url: str | httpx.URL | None) -> str | None:
    """Return the address of the server, None when none was given.

    Raises:
        EndpointError: it is none, or two different ones were given.
    """
    if endpoint is not None and base_url is not None and endpoint != str(base_url):
        raise EndpointError("endpoint and base_url are two names of one argument; pass one")
    given = endpoint if endpoint is not None else base_url
    if given is None:
        return None
    text = str(given).strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EndpointError(
            f"endpoint={given!r} is no address of a server; write https://phoenix.example.com or "
            "http://localhost:6006"
        )
    for path in _PATHS_OF_EXPORTERS:
        text = text.removesuffix(path)
    return text
