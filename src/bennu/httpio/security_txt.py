"""Whom to tell of a vulnerability: the settings and the text of ``/.well-known/security.txt``.

Source: RFC 9116 (fields, their order is free; addresses of the web must be https).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from urllib.parse import urlsplit

from bennu.kernel.env import Env, Variable

SECURITY_TXT_PATH: Final = "/.well-known/security.txt"

VARIABLES: Final = (
    Variable(
        "PHOENIX_SECURITY_CONTACT",
        "comma list of addresses",
        "",
        "Whom to tell of a vulnerability of this deployment, the best first, such as "
        "`mailto:security@example.com` or an https address; shown to everybody in "
        "`/.well-known/security.txt`, which is missing without it.",
    ),
    Variable(
        "PHOENIX_SECURITY_POLICY_URL",
        "URL",
        "",
        "An https page that says how reports are handled; named in `security.txt`.",
    ),
)

#: RFC 9116 advises less than a year; the text is made anew at every request.
_VALID_FOR: Final = timedelta(days=180)
_MAIL: Final = re.compile(r"mailto:[A-Za-z0-9._%+-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_PHONE: Final = re.compile(r"tel:\+?[0-9][0-9.-]*")
_VISIBLE_ASCII: Final = re.compile(r"[!-~]+")
_LANGUAGES: Final = "en"


@dataclass(frozen=True, slots=True)
class SecurityContactSettings:
    """Whom to tell.

    Args:
        contacts: ``mailto:``, ``https:`` or ``tel:`` addresses, the best first; empty for none.
        policy_url: an https address, or None.
    """

    contacts: tuple[str, ...] = ()
    policy_url: str | None = None

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the contacts and the address of the policy."""
        contacts = env.items("PHOENIX_SECURITY_CONTACT")
        if not all(_is_contact(contact) for contact in contacts):
            env.refuse(
                "PHOENIX_SECURITY_CONTACT",
                "addresses such as mailto:security@example.com or https://example.com/report, "
                "split by commas",
            )
            contacts = ()
        policy_url = env.optional("PHOENIX_SECURITY_POLICY_URL")
        if policy_url is not None and not _is_https(policy_url):
            env.refuse("PHOENIX_SECURITY_POLICY_URL", "an address https://…")
            policy_url = None
        if policy_url is not None and not env.is_set("PHOENIX_SECURITY_CONTACT"):
            env.warn("PHOENIX_SECURITY_POLICY_URL", "no effect without PHOENIX_SECURITY_CONTACT")
        return cls(contacts, policy_url)

    def text(self, now_utc: datetime, root_url: str | None) -> str:
        """Write the file; it holds for 180 days from the midnight before now.

        Args:
            now_utc: aware, in UTC.
            root_url: where people reach the server; named as ``Canonical`` when it is https.
        """
        midnight = now_utc.replace(hour=0, minute=0, second=0, microsecond=0)
        lines = [f"Contact: {contact}" for contact in self.contacts]
        lines.append(f"Expires: {(midnight + _VALID_FOR).strftime('%Y-%m-%dT%H:%M:%SZ')}")
        if root_url is not None and root_url.startswith("https://"):
            lines.append(f"Canonical: {root_url.rstrip('/')}{SECURITY_TXT_PATH}")
        lines.append(f"Preferred-Languages: {_LANGUAGES}")
        if self.policy_url is not None:
            lines.append(f"Policy: {self.policy_url}")
        return "\n".join(lines) + "\n"


def _is_contact(text: str) -> bool:
    return bool(_MAIL.fullmatch(text) or _PHONE.fullmatch(text)) or _is_https(text)


def _is_https(text: str) -> bool:
    # Visible ASCII only: nothing that is read here may start a line of its own in the file.
    if not text.startswith("https://") or _VISIBLE_ASCII.fullmatch(text) is None:
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False
