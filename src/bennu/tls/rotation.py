"""Certificates that change while the server runs: seen within seconds, or at once on SIGHUP.

Spec: lines 179-196, 286-288.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bennu.kernel.clock import Clock
from bennu.kernel.errors import AppError
from bennu.tls.certificate import CertificateFacts
from bennu.tls.context import ExchangeableContext, exchangeable_context
from bennu.tls.material import (
    TlsFiles,
    TlsMaterial,
    load_tls_material,
    read_tls_files,
    remarks_on,
)
from bennu.tls.pair import WARN_DAYS, days_left
from bennu.tls.settings import TlsSettings

logger: Final = logging.getLogger("bennu.tls")

#: Two looks fit into the five seconds that are promised: files are often exchanged one by one.
LOOK_EVERY_SECONDS: Final = 2.0
_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """What happened to the files.

    Args:
        before: what was served.
        after: what is served now; None when the new files cannot be used and the old ones stay.
    """

    before: TlsMaterial
    after: TlsMaterial | None


class LiveCertificates:
    """What both listeners serve, kept up to date.

    Args:
        settings: with TLS on for at least one listener.
        clock: for dates.
        on_change: told of every change, such as to record it; an AppError that it raises makes
            it be told again at the next look.

    Raises:
        TlsFileError: the files cannot be used, so the server must not start.
        TlsContextError: alike.
    """

    def __init__(
        self,
        settings: TlsSettings,
        clock: Clock,
        on_change: Callable[[CertificateChange], Awaitable[None]],
    ) -> None:
        self._settings, self._clock, self._on_change = settings, clock, on_change
        self._look_now = asyncio.Event()
        self._untold: list[CertificateChange] = []
        self._problem = self._reported = ""
        self._warned_at: float | None = None
        self.material = load_tls_material(settings, read_tls_files(settings), clock.now_utc())
        self._context: ExchangeableContext | None = None
        if self.material.context is not None:
            self._context = exchangeable_context(self.material.context)
        self._remark()
        self._warn_of_age()

    @property
    def context(self) -> ExchangeableContext | None:
        """What the HTTP listener holds; None when it speaks plain HTTP."""
        return self._context

    @property
    def certificate(self) -> CertificateFacts:
        """The certificate that is shown now."""
        return self.material.certificate

    @property
    def days_left(self) -> int:
        """How many whole days the certificate is still good; negative once it has expired."""
        return days_left(self.certificate, self._clock.now_utc())

    def look_now(self) -> None:
        """Look at the files at once; for SIGHUP."""
        self._look_now.set()

    async def watch(self) -> None:
        """Look at the files again and again, until cancelled.

        A look that fails in a way nobody thought of is logged: no file may end the looking.
        """
        while True:
            is_asked = await self._wait()
            try:
                await self.look(is_asked=is_asked)
            except Exception:
                logger.exception("tls.certificate.look_failed")

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_EVERY_SECONDS):
                await self._look_now.wait()
        except TimeoutError:
            return False
        self._look_now.clear()
        return True

    async def look(self, *, is_asked: bool = False) -> None:
        """Take over files that have changed; those that cannot be used are reported once.

        Args:
            is_asked: somebody wants to know, so nothing is waited for: otherwise files that do
                not fit are looked at twice before they are reported, as the other half of the
                pair may be on its way.
        """
        problem = ""
        try:
            files = await asyncio.to_thread(read_tls_files, self._settings)
            if files != self.material.files:
                await self._take_over(files)
        except AppError as error:
            problem = error.public
        if problem and (is_asked or self._reported != problem == self._problem):
            self._reported = problem
            logger.error("tls.certificate.refused", extra={"why": problem})
            self._untold.append(CertificateChange(self.material, None))
        if not problem:
            self._reported = ""
        self._problem = problem
        self._warn_of_age()
        await self._tell()

    async def _take_over(self, files: TlsFiles) -> None:
        now = self._clock.now_utc()
        new = await asyncio.to_thread(load_tls_material, self._settings, files, now)
        before, self.material = self.material, new
        if self._context is not None and new.context is not None:
            self._context.current = new.context
        self._warned_at = None
        logger.warning("tls.certificate.changed", extra=_shown(new.certificate))
        self._remark()
        self._untold.append(CertificateChange(before, new))

    async def _tell(self) -> None:
        while self._untold:
            try:
                await self._on_change(self._untold[0])
            except AppError as error:
                logger.warning("tls.certificate.untold", extra={"reason": error.detail})
                return
            self._untold.pop(0)

    def _remark(self) -> None:
        for text in remarks_on(self._settings, self.material):
            logger.warning("tls.certificate.remark", extra={"why": text})

    def _warn_of_age(self) -> None:
        """Write a line a day from the thirtieth day before the end on."""
        left = self.days_left
        if left > WARN_DAYS:
            return
        now = self._clock.monotonic_seconds()
        if self._warned_at is not None and now - self._warned_at < _DAY_SECONDS:
            return
        self._warned_at = now
        fields = {**_shown(self.certificate), "days_left": left}
        if left < 0:
            logger.error("tls.certificate.expired", extra=fields)
        else:
            logger.warning("tls.certificate.expires", extra=fields)


def _shown(certificate: CertificateFacts) -> dict[str, object]:
    return {
        "certificate": certificate.subject,
        "fingerprint": certificate.fingerprint,
        "not_after_utc": certificate.not_after_utc.isoformat(),
    }
