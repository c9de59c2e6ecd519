"""The whole examination, in the order of the specification.

Spec: lines 226-250, 273-292.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bennu.doctor.database import DatabaseCheck
from bennu.doctor.files import check_files
from bennu.doctor.model import Finding, State
from bennu.doctor.peers import (
    TryCounters,
    TryMail,
    TryProvider,
    check_counters,
    check_directory,
    check_mail,
    check_providers,
)
from bennu.doctor.practices import check_practices
from bennu.kernel.clock import Clock
from bennu.kernel.env import SettingsError
from bennu.settings import Settings


@dataclass(frozen=True, slots=True)
class Trials:
    """How the examination reaches others; None where a trial cannot be made."""

    database: DatabaseCheck | None
    provider: TryProvider
    mail: TryMail
    counters: TryCounters


async def examine(
    settings: Settings, env_file: Path | None, clock: Clock, trials: Trials | None
) -> AsyncIterator[Finding]:
    """Yield every finding as soon as it is known.

    Args:
        settings: of the deployment.
        env_file: where they came from, if from a file.
        clock: for dates.
        trials: None asks nobody and looks at this machine only.
    """
    for finding in check_practices(settings):
        yield finding
    for finding in check_files(settings, env_file, clock):
        yield finding
    if trials is None:
        yield Finding("others", State.SKIP, "nobody was asked: --offline")
        return
    if trials.database is not None:
        async for finding in trials.database.run():
            yield finding
    for check in (
        check_directory(settings, clock),
        check_providers(settings, trials.provider),
        check_mail(settings, trials.mail),
        check_counters(settings, trials.counters),
    ):
        for finding in await check:
            yield finding


def settings_findings(error: SettingsError) -> list[Finding]:
    """Turn settings that do not allow a start into findings."""
    return [
        Finding(
            "settings",
            State.FAIL,
            f"read {problem.read} from {problem.source}",
            problem.name,
            "The server does not start with it.",
            f"allowed: {problem.allowed}",
            275,
        )
        for problem in error.problems
    ]
