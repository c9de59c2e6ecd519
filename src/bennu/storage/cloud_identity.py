"""Tokens of a cloud as passwords of PostgreSQL: IAM of RDS, managed identities of Azure.

Each new connection gets a token of its own; nothing is kept that could be stolen from a file.
The clients of both clouds are optional, and imported when the first token is asked for. They find
their own credentials (variables, instance, container, workload identity), outside of our settings.

Spec: line 241 (AWS RDS with IAM authentication). Contract: section 1b.
"""

import importlib.util
import re
import threading
from collections.abc import Callable
from typing import Any, Final

from bennu.kernel.errors import InvalidError, UnavailableError
from bennu.storage.settings import PostgresSettings

#: The names of RDS and Aurora servers say in which region they are.
_RDS_HOST: Final = re.compile(r".+\.([a-z]{2}(?:-[a-z]+)+-[0-9])\.rds\.amazonaws\.com(?:\.cn)?")
_RETRY_AFTER_SECONDS: Final = 5.0


class MissingCloudClientError(InvalidError):
    """The settings ask for tokens of a cloud, and its client is not installed."""

    code = "missing_cloud_client"


class NoTokenError(UnavailableError):
    """The cloud gives no token now: no credentials, no region, or its service is away.

    Args:
        detail: what its client said, for the log.
    """

    code = "no_token"

    def __init__(self, detail: str) -> None:
        public = "The database is not available"
        super().__init__(public, detail=detail, retry_after_seconds=_RETRY_AFTER_SECONDS)


def cloud_password_source(settings: PostgresSettings) -> Callable[[], str] | None:
    """Return what makes the password of each new connection, None when the settings hold it.

    What is returned blocks, for the network perhaps, and is called in a thread.

    Raises:
        MissingCloudClientError: the client of that cloud is not installed.
    """
    if settings.use_aws_iam_auth:
        _require("boto3", "PHOENIX_POSTGRES_USE_AWS_IAM_AUTH", "aws")
        return RdsTokens(settings).token
    if settings.use_azure_managed_identity:
        _require("azure.identity", "PHOENIX_POSTGRES_USE_AZURE_MANAGED_IDENTITY", "azure")
        return AzureTokens(settings.azure_scope).token
    return None


def _require(module: str, variable: str, extra: str) -> None:
    try:
        is_there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent of a dotted name
        is_there = False
    if not is_there:
        raise MissingCloudClientError(
            f"{variable} needs a library that is not installed: pip install 'bennu[{extra}]'"
        )


def region_of(host: str) -> str | None:
    """Return the region in the name of an RDS server, None when the name is another one."""
    found = _RDS_HOST.fullmatch(host.lower())
    return found[1] if found else None


class RdsTokens:
    """Signs a token for one server and user; each is good for 15 minutes, to sign in with."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client: Any = None

    def token(self) -> str:
        """Return a fresh token.

        Raises:
            NoTokenError: there are no credentials, or no region is known.
        """
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - half a second, optional

        settings = self._settings
        try:
            token: str = self._signer().generate_db_auth_token(
                DBHostname=settings.host, Port=settings.port, DBUsername=settings.user
            )
        except BotoCoreError as error:
            raise NoTokenError(f"IAM token for {settings.host}: {error}") from error
        return token

    def _signer(self) -> Any:  # noqa: ANN401 - boto3 has no types
        """Return the client, made once: a client may be shared by threads, its making not."""
        import boto3  # noqa: PLC0415 - half a second, optional

        with self._lock:
            if self._client is None:
                session = boto3.session.Session()
                region = region_of(self._settings.host)
                self._client = session.client("rds", region_name=region)
            return self._client


class AzureTokens:
    """Asks for tokens of the identity that this machine has; the client renews what it keeps."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._credential: Any = None

    def token(self) -> str:
        """Return a token that is good for minutes at least.

        Raises:
            NoTokenError: this machine has no identity, or its service is away.
        """
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - optional

        try:
            token: str = self._identity().get_token(self._scope).token
        except AzureError as error:
            first_line = str(error).partition("\n")[0]
            raise NoTokenError(f"token for {self._scope}: {first_line}") from error
        return token

    def _identity(self) -> Any:  # noqa: ANN401 - imported late
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - optional

        with self._lock:
            if self._credential is None:
                self._credential = DefaultAzureCredential()
            return self._credential
