"""What a directory server shows of itself: names and dates of its certificate, trusted or not.

Spec: lines 279-292.
"""

import contextlib
import ssl
from dataclasses import replace
from datetime import datetime
from typing import Final

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault
from bennu.auth.ldap.settings import LdapServer, LdapSettings
from bennu.auth.ldap.tls import make_tls_context, secure
from bennu.auth.ldap.wire import dial, resolve
from bennu.tls.certificate import PemError, read_certificate_der

_TIME: Final = "%Y-%m-%d %H:%M UTC"


def describe_certificate(secured: ssl.SSLSocket, now_utc: datetime) -> str:
    """Describe the certificate of the other side, and how this machine's clock stands to it."""
    der = secured.getpeercert(binary_form=True) or b""
    try:
        facts = read_certificate_der(der)
    except PemError as error:
        return f"its certificate cannot be read ({error})"
    text = (
        f"subject {facts.subject}; names {', '.join(facts.names) or 'none'}; issued by "
        f"{facts.issuer}; valid from {facts.not_before_utc:{_TIME}} to "
        f"{facts.not_after_utc:{_TIME}}"
    )
    if not facts.not_before_utc <= now_utc <= facts.not_after_utc:
        text += f"; the clock of this machine says {now_utc:{_TIME}}"
    return text


def describe_untrusted(
    settings: LdapSettings, server: LdapServer, deadline: Deadline, now_utc: datetime
) -> str:
    """Describe a certificate that was not accepted; "" when the server shows none.

    Why safe: the connection is used for nothing but this, and nothing is sent over it.
    """
    with contextlib.suppress(LdapFault):
        context = make_tls_context(replace(settings, tls_verify=False))
        if context is not None:
            plain = dial(server, resolve(server, deadline), deadline)
            with secure(plain, server, settings.tls_mode, deadline, context) as secured:
                return describe_certificate(secured, now_utc)
    return ""
