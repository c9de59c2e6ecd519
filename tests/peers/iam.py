"""What stands behind PostgreSQL at RDS: a service that takes signed tokens as passwords.

PostgreSQL asks it by LDAP, as a simple bind whose password is the token, so that the server under
test and its driver do exactly what they do with RDS. It checks the signature by itself.
"""

import contextlib
import hashlib
import hmac
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

ACCESS_KEY, SECRET_KEY, REGION = "AKIDEXAMPLE", "secret-of-the-tests", "eu-central-1"
_SUCCESS, _INVALID_CREDENTIALS = 0, 49


class TokenService:
    """Takes a token once it has proved it, and keeps every one that it took.

    Args:
        port: on which PostgreSQL asks.
        host: of the database, as the client knows it.
        database_port: likewise.
        user: whom the tokens are for.
    """

    def __init__(self, port: int, host: str, database_port: int, user: str) -> None:
        self._host, self._user = f"{host}:{database_port}", user
        self.taken: list[str] = []
        self.refused: list[str] = []
        self.takes_nothing = False
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(10)
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        """Answer one bind request (RFC 4511, section 4.2)."""
        ((_, message),) = _elements(connection.recv(65_536))
        (_, identifier), (_, bind) = _elements(message)[:2]
        _version, _name, (_, password) = _elements(bind)
        code = _SUCCESS if self._check(password.decode()) else _INVALID_CREDENTIALS
        answer = bytes((0x61, 7, 0x0A, 1, code, 4, 0, 4, 0))
        head = bytes((2, len(identifier))) + identifier
        connection.sendall(bytes((0x30, len(head) + len(answer))) + head + answer)

    def _check(self, token: str) -> bool:
        is_good = not self.takes_nothing and self._is_signed(token)
        (self.taken if is_good else self.refused).append(token)
        return is_good

    def _is_signed(self, token: str) -> bool:
        """Check a presigned request as AWS Signature Version 4 describes it."""
        parts = urlsplit(f"//{token}")
        query = dict(parse_qsl(parts.query))
        signature = query.pop("X-Amz-Signature", "")
        began = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        scope = f"{began:%Y%m%d}/{REGION}/rds-db/aws4_request"
        canonical = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in sorted(query.items())
        )
        request = f"GET\n/\n{canonical}\nhost:{parts.netloc}\n\nhost\n{_sha256(b'')}"
        text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{_sha256(request.encode())}"
        key = f"AWS4{SECRET_KEY}".encode()
        for part in (f"{began:%Y%m%d}", REGION, "rds-db", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return (
            hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)
            and query["DBUser"] == self._user
            and parts.netloc == self._host
            and query["X-Amz-Credential"] == f"{ACCESS_KEY}/{scope}"
            and abs(datetime.now(UTC) - began) < timedelta(seconds=int(query["X-Amz-Expires"]))
        )

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element (X.690)."""
    found = []
    while data:
        size, start = _length(data)
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def _length(data: bytes) -> tuple[int, int]:
    """Return the length of the first element's content and where it starts (X.690, 8.1.3)."""
    first = data[1]
    if first < 0x80:
        return first, 2
    count = first & 0x7F
    return int.from_bytes(data[2 : 2 + count], "big"), 2 + count


@contextlib.contextmanager
def token_service(port: int, host: str, database_port: int, user: str) -> Iterator[TokenService]:
    """Run the service for as long as the context lasts."""
    service = TokenService(port, host, database_port, user)
    try:
        yield service
    finally:
        service.stop()
