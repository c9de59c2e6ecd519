"""Projects and their tables, as a browser without scripts sees them."""

import re
import threading
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from bennu.web.pages_projects import rows_of_spans
from started import StartedServer
from web.browsing import texts
from web.watched_span import watched_span

HOSTILE = '"><script>alert(1)</script>{{7*7}}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("projects")) as started:
        fill(started, started.api_key())
        yield started


@pytest.fixture(scope="module")
def client(server: StartedServer) -> httpx.Client:
    return server.admin()


def fill(server: StartedServer, key: str) -> None:
    exporter = OTLPSpanExporter(
        endpoint=f"{server.base_url}/v1/traces", headers={"authorization": f"Bearer {key}"}
    )
    provider = TracerProvider(resource=Resource({"openinference.project.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    for number in range(3):
        kinds = {"openinference.span.kind": "AGENT", "session.id": "visit-1"}
        with tracer.start_as_current_span(f"order {number}", attributes=kinds):
            model = {
                "openinference.span.kind": "LLM",
                "llm.model_name": "m1",
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": f"- **hello**\n- {HOSTILE}",
            }
            with tracer.start_as_current_span("ask", attributes=model) as span:
                if number == 0:
                    span.record_exception(ValueError("the model said no"))
                    span.set_status(Status(StatusCode.ERROR, "no"))
    with tracer.start_as_current_span(HOSTILE, attributes={HOSTILE: HOSTILE}):
        pass
    provider.shutdown()


def project_address(client: httpx.Client) -> str:
    found = re.search(r'href="(/projects/[^"]+)">shop<', client.get("/projects").text)
    assert found is not None
    return found[1]


def test_the_list_tells_what_happened(client: httpx.Client) -> None:
    page = client.get("/projects")
    rows = texts(page, "project-row")
    (shop,) = (row for row in rows if "shop" in row)
    assert " 4 " in f" {shop} "
    assert page.text.count('<svg class="bars') == 2 * len(rows)


def test_a_name_narrows_the_list(client: httpx.Client) -> None:
    assert len(texts(client.get("/projects?name_contains=SHO"), "project-row")) == 1
    assert "No project of that name" in client.get("/projects?name_contains=zzz").text


def test_tables(client: httpx.Client) -> None:
    address = project_address(client)
    assert len(texts(client.get(address), "trace-row")) == 4
    assert len(texts(client.get(f"{address}?tab=spans"), "span-row")) == 7
    assert len(texts(client.get(f"{address}?tab=sessions"), "trace-session-row")) == 1
    assert client.get(f"{address}?tab=nothing").status_code == 422


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("errors=1", 1),
        ("range=1h", 4),
        ("slower_than=100", 0),
        ("session=visit-1", 3),
        ("tab=spans&errors=1", 1),
        ("tab=spans&kind=LLM", 3),
        ("tab=spans&model=m1&status=ERROR", 1),
        ("tab=spans&name=order+1", 1),
        ("tab=spans&model=zzz", 0),
        ("filter=error_count+>+0", 1),
        ("filter=span_kind+==+'LLM'+and+llm.model_name+==+'m1'", 3),
        ("filter=error_count+>+0&errors=1&slower_than=100", 0),
        ("tab=spans&filter=llm.model_name+==+'m1'", 3),
        ("tab=spans&filter='nothing'+in+name", 0),
        ("tab=spans&filter=parent_id+is+None&name=order+1", 1),
    ],
)
def test_filters(client: httpx.Client, query: str, count: int) -> None:
    page = client.get(f"{project_address(client)}?{query}")
    assert page.status_code == 200
    rows = texts(page, "span-row" if "tab=spans" in query else "trace-row")
    assert len(rows) == count
    assert ("Nothing fits this filter" in page.text) is (count == 0)


def test_a_mistake_in_a_filter_stands_beside_it(client: httpx.Client) -> None:
    page = client.get(f"{project_address(client)}?slower_than=fast")
    assert 'id="wrong-slower_than"' in page.text


def test_an_expression_narrows_sessions(client: httpx.Client) -> None:
    address = f"{project_address(client)}?tab=sessions"
    assert len(texts(client.get(f"{address}&filter=trace_count+==+3"), "trace-session-row")) == 1
    assert "Nothing fits" in client.get(f"{address}&filter=trace_count+>+3").text


@pytest.mark.parametrize("tab", ["traces", "spans", "sessions"])
def test_a_mistake_in_an_expression_stands_beside_it_with_its_place(
    client: httpx.Client, tab: str
) -> None:
    page = client.get(project_address(client), params={"tab": tab, "filter": f"{HOSTILE} == 1"})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    (told,) = texts(page, "form-error")
    assert "at character 1" in told
    assert 'data-position="0"' in page.text
    assert "<mark>&#34;</mark>" in page.text
    assert "The expression cannot be understood" in page.text
    assert not texts(page, "trace-row") + texts(page, "span-row")


def test_an_expression_is_kept_over_paging(client: httpx.Client) -> None:
    spans = [
        {
            "name": f"s{number}",
            "context": {"trace_id": f"{number + 1:032x}", "span_id": f"{number + 1:016x}"},
            "span_kind": "CHAIN",
            "start_time": "2026-11-24T10:00:00+00:00",
            "end_time": f"2026-11-24T10:00:{number % 2:02}+00:00",
            "status_code": "OK",
        }
        for number in range(120)
    ]
    answer = client.post("/v1/projects/paged/spans", json={"data": spans})
    assert answer.status_code == 202, answer.text
    found = re.search(r'href="(/projects/[^"]+)">paged<', client.get("/projects").text)
    assert found is not None
    for tab, row in (("traces", "trace-row"), ("spans", "span-row")):
        page = client.get(found[1], params={"tab": tab, "filter": "latency_ms > 500"})
        assert len(texts(page, row)) == 50
        following = re.search(r'rel="next" href="([^"]+)"', page.text)
        assert following is not None
        rest = client.get(following[1].replace("&amp;", "&"))
        assert len(texts(rest, row)) == 10
        assert 'value="latency_ms &gt; 500"' in rest.text


@pytest.mark.asvs("1.3.7")
def test_nothing_sent_is_executed(client: httpx.Client) -> None:
    address = project_address(client)
    for page in (client.get(address), client.get(f"{address}?tab=spans")):
        assert "<script>alert" not in page.text
        assert "49" not in re.sub(r"[0-9a-f]{8,}|\d\d:\d\d:\d\d", "", " ".join(texts(page, "x")))
        assert "{{7*7}}" in page.text


def test_what_is_not_there_is_a_page_that_says_so(client: httpx.Client) -> None:
    page = client.get("/projects/no-such-project")
    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text


def test_strangers_are_led_to_the_way_in(server: StartedServer) -> None:
    answer = server.client().get("/projects?name_contains=a", follow_redirects=False)
    assert answer.headers["location"] == "/login?returnUrl=%2Fprojects%3Fname_contains%3Da"


def test_an_unknown_address_is_a_page_for_browsers_only(
    server: StartedServer, client: httpx.Client
) -> None:
    browser = {"accept": "text/html"}
    page = client.get("/no/such/page", headers=browser)
    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text
    assert 'aria-label="Main"' in page.text
    form = client.put("/projects", headers=browser)
    assert (form.status_code, form.headers["allow"]) == (405, "GET, HEAD")
    assert "<h1>This cannot be done here</h1>" in form.text
    stranger = server.client().get("/no/such/page", headers=browser)
    assert (stranger.status_code, "To the sign-in" in stranger.text) == (404, True)
    assert "content-security-policy" in stranger.headers
    assert client.get("/no/such/page").text == "Not Found"
    assert client.get("/v1/nothing", headers=browser).text == "Not Found"
    assert client.put("/projects").text == "Method Not Allowed"


# --- one trace -----------------------------------------------------------------------------


def trace_address(client: httpx.Client, name: str) -> str:
    page = client.get(project_address(client))
    found = re.search(rf'href="(/projects/[^"]+/traces/[0-9a-f]+)">{name}<', page.text)
    assert found is not None
    return found[1]


def test_a_trace_shows_its_tree_and_one_span_in_full(client: httpx.Client) -> None:
    address = trace_address(client, "order 0")
    page = client.get(address)
    rows = texts(page, "span-row")
    assert [row.split(" agent")[0].split(" llm")[0] for row in rows] == ["order 0", "ask"]
    assert "error" in rows[1]
    assert page.text.count('<svg class="bar"') == 2
    chosen = re.search(r'href="([^"]+)#span"[^>]*>\s*<span class="line indent-1"', page.text)
    assert chosen is not None
    detail = client.get(chosen[1].replace("&amp;", "&"))
    assert "<strong>hello</strong>" in detail.text
    assert "the model said no" in detail.text
    assert "<script>alert" not in detail.text
    assert "m1" in detail.text


@pytest.mark.parametrize("ending", ["/traces/00", "/traces/" + "ab" * 16, "/traces/x"])
def test_a_trace_that_is_not_there(client: httpx.Client, ending: str) -> None:
    assert client.get(project_address(client) + ending).status_code == 404


@pytest.mark.parametrize("query", ["span=zz", "span=" + "0" * 16])
def test_a_span_that_is_not_there(client: httpx.Client, query: str) -> None:
    assert client.get(f"{trace_address(client, 'order 1')}?{query}").status_code == 404


@pytest.mark.parametrize("part", ["-1", "x", "99999999999999999999", "1"])
def test_a_part_of_the_tree_that_is_not_there(client: httpx.Client, part: str) -> None:
    page = client.get(f"{trace_address(client, 'order 1')}?from={part}")
    assert page.status_code == 200
    assert len(texts(page, "span-row")) == 2


async def test_what_a_program_sent_is_read_in_a_thread() -> None:
    span = watched_span()
    assert await rows_of_spans([span])
    assert span.readers
    assert threading.get_ident() not in span.readers
