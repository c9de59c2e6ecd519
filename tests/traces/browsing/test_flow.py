"""What the pages about traces read, and that it stays within what the caller may see."""

import pytest

from bennu.access import EVERYBODY, Caller, Permission, Principal, PrincipalKind
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import DeniedError, NotFoundError
from bennu.storage.database import Database
from bennu.traces.browsing.flow import Browsing
from bennu.traces.browsing.model import ACTIVITY_DAYS, DAY_NS
from bennu.traces.projects.store import find_project
from bennu.traces.traces.model import StoredTrace
from fakes.clock import START, FrozenClock
from fakes.spans import make_span, span_id, trace_id
from fakes.stored import Stored

ANYBODY = Caller(EVERYBODY)
NOW_NS = to_microseconds(START) * 1_000


@pytest.fixture
def stored(database: Database) -> Stored:
    return Stored(database)


@pytest.fixture
def browsing(database: Database, clock: FrozenClock) -> Browsing:
    return Browsing(database, clock)


async def test_activity_counts_by_day(
    stored: Stored, browsing: Browsing, database: Database
) -> None:
    today, yesterday = NOW_NS, NOW_NS - DAY_NS
    await stored.add(
        "p",
        make_span(1, 1, start_ns=today, end_ns=today + 1, prompt_tokens=5, completion_tokens=2),
        make_span(2, 2, start_ns=yesterday, end_ns=yesterday + 1, status_code="ERROR"),
        make_span(3, 3, start_ns=1, end_ns=2),
    )
    project = await database.read(lambda c: find_project(c, "p"))
    assert project is not None
    (activity,) = await browsing.activity_of([project])
    assert activity.traces[-2:] == (1, 1)
    assert sum(activity.traces) == 2
    assert activity.tokens[-1] == 7
    assert activity.errors[-2:] == (1, 0)
    assert len(activity.traces) == ACTIVITY_DAYS
    assert activity.last_ns == today
    assert await browsing.activity_of([]) == []


async def test_what_arrived_since_is_counted(stored: Stored, browsing: Browsing) -> None:
    await stored.add("p", make_span(1))
    mark = await browsing.newest_row()
    await stored.add("p", make_span(2, trace=2), make_span(3, trace=3))
    await stored.add("q", make_span(4, trace=4))
    await stored.add("p", make_span(5, parent=1))
    assert await browsing.count_newer(ANYBODY, "p", mark) == 2
    assert await browsing.count_newer(ANYBODY, "q", mark) == 1
    assert await browsing.count_newer(ANYBODY, "p", await browsing.newest_row()) == 0


async def test_a_whole_trace_and_a_whole_span(stored: Stored, browsing: Browsing) -> None:
    await stored.add(
        "p",
        make_span(1, session_id="s", attributes={"a.b": 1}),
        make_span(2, parent=1),
        make_span(9, trace=2),
    )
    whole = await browsing.whole_trace(ANYBODY, "p", trace_id(1).hex())
    assert [span.span_id for span in whole.spans] == [span_id(1), span_id(2)]
    assert (whole.session_id, whole.is_cut, whole.project.name) == ("s", False, "p")
    span = await browsing.whole_span(ANYBODY, "p", trace_id(1).hex(), span_id(1).hex())
    assert span.span.attributes == b'{"a":{"b":1}}'
    assert span.sender == "user:1"


async def test_rows_tell_the_first_root(stored: Stored, browsing: Browsing) -> None:
    await stored.add("p", make_span(2, name="later"), make_span(1, name="root"), make_span(3, 2, 9))
    project = await stored.project("p")
    first = StoredTrace(1, trace_id(1), project, None, 0, 0, 0, 0)
    second = StoredTrace(2, trace_id(2), project, None, 0, 0, 0, 0)
    rows = await browsing.rows_of_traces([first, second])
    assert [(row.name, row.span_count) for row in rows] == [("root", 2), ("", 1)]


@pytest.mark.parametrize("wrong", ["", "x", "00" * 16, "zz" * 16, "01"])
async def test_what_is_not_there_is_not_found(
    stored: Stored, browsing: Browsing, wrong: str
) -> None:
    await stored.add("p", make_span(1))
    with pytest.raises(NotFoundError):
        await browsing.whole_trace(ANYBODY, "p", wrong)
    with pytest.raises(NotFoundError):
        await browsing.whole_span(ANYBODY, "p", trace_id(1).hex(), wrong)


async def test_projects_that_one_may_not_see_are_not_found(
    stored: Stored, browsing: Browsing
) -> None:
    await stored.add("p", make_span(1))
    other = await stored.project("other")
    caller = Caller(
        Principal(
            PrincipalKind.USER_KEY,
            permissions=frozenset({Permission.TRACES_READ}),
            project_ids=frozenset({other}),
        )
    )
    with pytest.raises(NotFoundError):
        await browsing.whole_trace(caller, "p", trace_id(1).hex())
    with pytest.raises(NotFoundError):
        await browsing.whole_trace(caller, "other", trace_id(1).hex())
    nobody = Caller(Principal(PrincipalKind.USER_KEY))
    with pytest.raises(DeniedError):
        await browsing.whole_trace(nobody, "p", trace_id(1).hex())
