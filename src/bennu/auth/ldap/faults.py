"""What can be wrong with a directory: at which step, and which settings to look at.

A sign-in turns a fault into a 503 and a log line; ``bennu ldap test`` shows it as it is.

Spec: lines 279-285.
"""

from enum import StrEnum

from bennu.kernel.log_text import storable

_DETAIL_LIMIT_CHARACTERS = 500


class Step(StrEnum):
    """The steps of a sign-in, in their order."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    SERVICE_BIND = "service_bind"
    USER_SEARCH = "user_search"
    ATTRIBUTES = "attributes"
    USER_BIND = "user_bind"
    GROUPS = "groups"
    ROLE = "role"


class LdapFault(Exception):  # noqa: N818 - a fault of the directory, not an error of ours
    """The directory cannot be used: it is away, slow, or configured otherwise than this server.

    Args:
        step: where.
        detail: the full reason, for the log and for operators; holds no secret.
        variables: the settings to look at, the likeliest first.
        is_of_host: whether another host may do better.
    """

    def __init__(
        self, step: Step, detail: str, variables: tuple[str, ...], *, is_of_host: bool = False
    ) -> None:
        cut = storable(detail, _DETAIL_LIMIT_CHARACTERS)
        super().__init__(f"{step}: {cut}")
        self.step, self.detail, self.variables = step, cut, variables
        self.is_of_host = is_of_host


class CutAnswerFault(LdapFault):
    """The server said a part of an answer only, and nothing may be built on a part."""
