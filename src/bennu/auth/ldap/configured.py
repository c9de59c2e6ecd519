"""The directory as one server process uses it: opened at the start, closed at the end.

The library that speaks LDAP is an extra; it is imported only when a directory is configured and
the server starts, so that settings can be checked and routes listed without it.

Spec: lines 24-90.
"""

import importlib.util
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault
from bennu.auth.ldap.settings import LdapSettings
from bennu.auth.ldap.standing import Standing
from bennu.auth.ldap.threads import DirectoryThreads
from bennu.auth.provision import Admitted, Identity, Refused, admit_identity
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret
from bennu.users.links import Link

INSTALL_COMMAND: Final = "pip install 'bennu[ldap]'"
#: For comparing all accounts with the directory.
CENSUS_SECONDS: Final = 900.0
_NEEDS: Final = "on Debian after: apt-get install gcc libldap-dev libsasl2-dev"


class NoLdapLibraryError(UnavailableError):
    """A directory is configured and the library that speaks to it is not installed."""

    code = "no_ldap_library"


class UnusableDirectoryError(UnavailableError):
    """A file that the settings of the directory name cannot be used."""

    code = "unusable_directory"


def require_ldap_library() -> None:
    """Refuse to speak to a directory without the library for it.

    Raises:
        NoLdapLibraryError: names the command that installs what is missing.
    """
    if importlib.util.find_spec("ldap") is None:
        raise NoLdapLibraryError(
            f"PHOENIX_LDAP_HOST is set, and python-ldap is not installed: {INSTALL_COMMAND} "
            f"({_NEEDS})"
        )


class ConfiguredDirectory:
    """The one directory of a server.

    Args:
        settings: None when no directory is configured; then nothing here does anything.
        clock: passed in.
        entropy: passed in.
    """

    def __init__(self, settings: LdapSettings | None, clock: Clock, entropy: Entropy) -> None:
        self._settings = settings
        self._clock, self._entropy = clock, entropy
        self._threads: DirectoryThreads | None = None
        self._prove: Callable[[str, Secret], Awaitable[Identity | str]] | None = None
        self._census: Callable[[Sequence[Link], Deadline], dict[int, Standing]] | None = None
        self._close: Callable[[], None] | None = None

    @property
    def is_configured(self) -> bool:
        """Whether there is a directory."""
        return self._settings is not None

    def start(self) -> None:
        """Make ready; no connection is opened yet, as the directory may come later than we.

        Raises:
            NoLdapLibraryError: the library is not installed.
            UnusableDirectoryError: a certificate or key file cannot be used.
        """
        if self._settings is None:
            return
        require_ldap_library()
        from bennu.auth.ldap.census import Census  # noqa: PLC0415 - needs the extra
        from bennu.auth.ldap.directory import Directory  # noqa: PLC0415 - needs the extra
        from bennu.auth.ldap.proof import Prover  # noqa: PLC0415 - needs the extra

        threads = DirectoryThreads(self._clock)
        try:
            directory = Directory(self._settings, self._clock, threads.later)
        except LdapFault as fault:
            names = " or ".join(fault.variables)
            raise UnusableDirectoryError(f"{names}: {fault.detail}") from None
        self._threads = threads
        prover = Prover(directory, self._settings, self._clock, self._entropy, threads)
        self._census = Census(directory, self._settings, self._clock).take
        self._prove, self._close = prover.prove, directory.close

    async def prove(self, login_name: str, password: Secret) -> Identity | str:
        """Return who it is, or why that is not proved as one word.

        Raises:
            LdapFault: the directory could not be asked.
        """
        if self._prove is None:
            raise RuntimeError("the directory was not started")
        return await self._prove(login_name, password)

    async def take_census(self, links: Sequence[Link]) -> dict[int, Standing]:
        """Return how accounts stand in the directory, by their row ids.

        Raises:
            LdapFault: something could not be asked; half an answer is none.
        """
        census, threads = self._census, self._threads
        if census is None or threads is None:
            raise RuntimeError("the directory was not started")
        return await threads.run(lambda d: census(links, d), seconds=CENSUS_SECONDS)

    def admit(self, connection: Connection, identity: Identity) -> Admitted | Refused:
        """Find or make the account of somebody proved, in the transaction of the sign-in."""
        allow_sign_up = self._settings is not None and self._settings.allow_sign_up
        now = to_microseconds(self._clock.now_utc())
        return admit_identity(connection, identity, allow_sign_up=allow_sign_up, now=now)

    def stop(self) -> None:
        """Close what is open; what runs comes to its own end."""
        if self._threads is not None and self._close is not None:
            self._threads.stop()
            self._close()
