"""The mails about accounts; every address in them comes from the settings only.

Spec: line 214 (password reset).
"""

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from bennu.kernel.clock import Clock
from bennu.kernel.secret import Secret
from bennu.mail import Mail, Outbox
from bennu.users.model import AuthMethod, User

RESET_PATH: Final = "/reset-password-with-token"
FORGOT_PATH: Final = "/forgot-password"
#: So that nobody's box is filled by somebody who has many addresses.
MAILS_PER_HOUR: Final = 5
_HOUR_SECONDS: Final = 3600
_MOST_REMEMBERED: Final = 10_000


class AccountMails:
    """Sends mails about accounts in the background.

    Args:
        outbox: what sends.
        clock: for the count of mails per account.
        public_url: where people reach this server, from the settings.
    """

    def __init__(self, outbox: Outbox, clock: Clock, public_url: str) -> None:
        self._outbox, self._clock, self._public_url = outbox, clock, public_url
        self._sent: dict[int, deque[float]] = {}

    async def has_server(self) -> bool:
        """Whether a mail server is configured."""
        return await self._outbox.has_server()

    def send_later(self, draft: Callable[[str], Awaitable[Mail | None]]) -> None:
        """Have a mail prepared and sent in the background; the draft is given the public URL."""
        self._outbox.put(lambda: draft(self._public_url))

    def send_welcome(self, user: User) -> None:
        """Tell somebody of a new account, if there is a mail server."""

        async def draft(public_url: str) -> Mail | None:
            return None if user.email is None else welcome_mail(user, public_url)

        self.send_later(draft)

    def may_be_mailed(self, user: User) -> bool:
        """Count a mail that strangers can cause; refuse the sixth of an hour."""
        now = self._clock.monotonic_seconds()
        if len(self._sent) >= _MOST_REMEMBERED:
            self._sent.clear()
        sent = self._sent.setdefault(user.row_id, deque(maxlen=MAILS_PER_HOUR))
        if len(sent) == MAILS_PER_HOUR and now - sent[0] < _HOUR_SECONDS:
            return False
        sent.append(now)
        return True


def reset_mail(
    user: User, public_url: str, token: Secret, lifetime: timedelta, address: str
) -> Mail:
    """Return the mail with the link that resets a password.

    Args:
        user: whose password.
        public_url: where people reach this server, from the settings.
        token: what the link proves.
        lifetime: how long it works.
        address: from where it was asked for.
    """
    minutes = max(1, round(lifetime / timedelta(minutes=1)))
    origin = f" from the address {address}" if address else ""
    return Mail(
        user.email or "",
        "Choose a new password",
        f"Hello {user.username},\n"
        "\n"
        f"somebody asked{origin} for a new password of your account {user.email} at\n"
        f"{public_url}.\n"
        "\n"
        f"This link works once, within {minutes} minutes:\n"
        "\n"
        f"{public_url}{RESET_PATH}?token={token.reveal()}\n"
        "\n"
        "If it was not you, you need not do anything: your password stays as it is.\n",
    )


def welcome_mail(user: User, public_url: str) -> Mail:
    """Return the mail that tells somebody of a new account; it holds no password."""
    if user.auth_method != AuthMethod.LOCAL:
        how = "Sign in there with the account of your organisation."
    elif user.password_hash is None:
        how = f"Choose your password there: {public_url}{FORGOT_PATH}"
    else:
        how = (
            f"Sign in there as {user.email} with the first password that your administrator gives\n"
            "you, and choose your own."
        )
    return Mail(
        user.email or "",
        "Your new account",
        f"Hello {user.username},\n\nan account was made for you at\n{public_url}.\n\n{how}\n",
    )
