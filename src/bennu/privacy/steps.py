"""Steps of a job: each is one transaction that also notes what it did and where to go on.

So a kill between two steps loses and repeats nothing.

Spec: lines 265-266.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from bennu.privacy.jobs_store import Job, change_job
from bennu.privacy.lease import Lease
from bennu.storage.database import Database, Lane


class JobSteps:
    """The steps of one job.

    Args:
        database: where the job stands.
        lease: of this process over all jobs.
        job: as it is stored.
    """

    def __init__(self, database: Database, lease: Lease, job: Job) -> None:
        self._database, self._lease, self._row = database, lease, job.row_id
        self.counts: Counter[str] = Counter(job.counts)
        self.position: dict[str, Any] = dict(job.position)

    async def do(
        self,
        work: Callable[[Connection], Mapping[str, int]],
        *,
        progress: float,
        position: Mapping[str, Any] | None = None,
    ) -> Mapping[str, int]:
        """Run one step.

        Args:
            work: returns what to add to the counts.
            progress: 0 to 1, after the step.
            position: what to remember, beside what is remembered already.

        Returns:
            What the work returned.

        Raises:
            LeaseLostError: another process does this job now; nothing was changed.
        """
        where = {**self.position, **(position or {})}

        def step(connection: Connection) -> Mapping[str, int]:
            self._lease.prove(connection)
            done = work(connection)
            counts = dict(self.counts + Counter(done))
            change_job(
                connection, self._row, counts=counts, position=where, progress=min(progress, 1.0)
            )
            return done

        done = await self._database.write(step, lane=Lane.INGEST)
        self.counts.update(done)
        self.position = where
        return done
