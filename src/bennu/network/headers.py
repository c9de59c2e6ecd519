"""The headers of every answer that make a browser careful.

Answers of the interface are allowed nothing at all; pages get the one policy below: only what
the server itself serves, no inline script or style, in nobody's frame.

Spec: lines 226-239. Source: OWASP Secure Headers; ASVS 5.0 V3.4; CSP level 3; RFC 6797.
"""

from typing import Final

from bennu.httpio.frame import AnswerHeaders

_COMMON: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
)
_INTERFACE_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
#: Redirects after a form are held against form-action too: they must stay here.
PAGE_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: A year, names below the own one included (ASVS 5.0 V3.4.1).
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def answer_headers(*, is_https: bool) -> AnswerHeaders:
    """Return the headers of every answer.

    Args:
        is_https: every client reaches the server by TLS, ended here or at a proxy. Otherwise
            HSTS is still sent to those that did.
    """
    common = (*_COMMON, _HSTS) if is_https else _COMMON
    policy = b"content-security-policy"
    return AnswerHeaders(
        interface=((policy, _INTERFACE_POLICY), *common),
        page=((policy, PAGE_POLICY), *common),
        by_tls=() if is_https else (_HSTS,),
    )
