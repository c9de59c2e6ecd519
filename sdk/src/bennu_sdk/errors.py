"""Errors that say what is wrong and what to do about it.

Each is an error of httpx too, so that what handles the errors of the official client goes on
working.
"""

import ssl

import httpx

#: Every answer of the interface carries it; another server does not.
VERSION_HEADER = "x-phoenix-server-version"
_ANSWER_LIMIT = 200
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


class EndpointError(ValueError):
    """The endpoint cannot be an address of a server."""


class UnreachableError(httpx.ConnectError):
    """Nothing answers at the endpoint, or its certificate is not trusted."""


class NotAServerError(httpx.HTTPStatusError):
    """Something answers at the endpoint, and it is no Phoenix or Bennu server."""


class RefusedKeyError(httpx.HTTPStatusError):
    """The server does not accept the API key, or got none."""


class PermissionDeniedError(httpx.HTTPStatusError):
    """The server knows the API key, and the key may not do this."""


def unreachable(error: httpx.TransportError, request: httpx.Request) -> UnreachableError:
    """Explain why there was no connection."""
    origin = _origin(request)
    if _is_certificate_error(error):
        text = (
            f"The certificate of {origin} is not trusted ({error}). For a private authority set "
            "SSL_CERT_FILE to its certificate, or pass http_client=httpx.Client(verify=...)."
        )
    else:
        text = (
            f"Nothing answers at {origin} ({error}). The endpoint is the address of the server, "
            "such as https://phoenix.example.com or http://localhost:6006."
        )
    return UnreachableError(text, request=request)


def refusal(response: httpx.Response) -> httpx.HTTPStatusError | None:
    """Explain a refusal that has to do with the endpoint or the key; None for any other answer.

    The body of the response must have been read.
    """
    request, status = response.request, response.status_code
    origin = _origin(request)
    if VERSION_HEADER not in response.headers and status >= _UNAUTHORIZED and _is_page(response):
        text = (
            f"{origin} answers, and is no Phoenix or Bennu server (status {status} for "
            f"{request.url.path}). The endpoint is the address of the server without a path, or "
            "with the path under which a proxy serves it."
        )
        return NotAServerError(text, request=request, response=response)
    if status == _UNAUTHORIZED:
        has_key = "authorization" in request.headers
        what = "does not accept the API key" if has_key else "asks for an API key"
        advice = (
            "It may be mistyped, expired or revoked, or belong to another server."
            if has_key
            else "Pass api_key=..., or set PHOENIX_API_KEY."
        )
        text = f"{origin} {what}: {_said(response)}. {advice}"
        return RefusedKeyError(text, request=request, response=response)
    if status == _FORBIDDEN:
        text = (
            f"{origin} accepts the API key, which may not do this "
            f"({request.method} {request.url.path}): {_said(response)}"
        )
        return PermissionDeniedError(text, request=request, response=response)
    return None


def _origin(request: httpx.Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii', 'replace')}"


def _said(response: httpx.Response) -> str:
    return response.text.strip()[:_ANSWER_LIMIT] or response.reason_phrase


def _is_page(response: httpx.Response) -> bool:
    """Whether this is no answer of an interface: a page, or a path that is not there."""
    kind = response.headers.get("content-type", "")
    return kind.startswith("text/html") or response.status_code == _NOT_FOUND


def _is_certificate_error(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
