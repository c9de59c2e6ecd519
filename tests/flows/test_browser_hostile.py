"""Hostile texts in every place that takes one: none runs, every page still renders.

Spec: lines 226-239. Source: OWASP Cross Site Scripting Prevention, ASVS 5.0 V1.2.
"""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from peers.browser import TRAP, heard_on, watched_page
from started import ADMIN_EMAIL, PASSWORD, StartedServer
from web.site_world import exporting

_CALL = f"{TRAP}(1)"
#: 60 of them: markup, attributes, addresses, scripts, templates, Markdown, Unicode, formulas.
HOSTILE = (
    f"<script>{_CALL}</script>",
    f"<ScRiPt>{_CALL}</sCrIpT>",
    f"<script/x>{_CALL}</script>",
    f"<<script>{_CALL}//<</script>",
    f"<scr<script>ipt>{_CALL}</scr</script>ipt>",
    f"</script><script>{_CALL}</script>",
    f"</title><script>{_CALL}</script>",
    f"</textarea><script>{_CALL}</script>",
    f"</style><script>{_CALL}</script>",
    f"--><script>{_CALL}</script>",
    f"]]><script>{_CALL}</script>",
    f"<img src=x onerror={_CALL}>",
    f'"><img src=x onerror={_CALL}>',
    f"'><img src=x onerror={_CALL}>",
    f"`><img src=x onerror={_CALL}>",
    f"<img/src/onerror={_CALL}>",
    f"<svg onload={_CALL}>",
    f"<svg><script>{_CALL}</script></svg>",
    f"<svg><animate onbegin={_CALL} attributeName=x dur=1s>",
    f'<svg><a href="javascript:{_CALL}"><text>x</text></a></svg>',
    f"<math><mi href='javascript:{_CALL}'>x</mi></math>",
    f"<body onload={_CALL}>",
    f"<iframe srcdoc='<script>parent.{_CALL}</script>'></iframe>",
    f'<iframe src="javascript:parent.{_CALL}"></iframe>',
    f"<object data='javascript:{_CALL}'></object>",
    f"<embed src='javascript:{_CALL}'>",
    f"<details open ontoggle={_CALL}>x</details>",
    f"<input autofocus onfocus={_CALL}>",
    f"<select autofocus onfocus={_CALL}></select>",
    f"<video><source onerror={_CALL}></video>",
    f"<audio src=x onerror={_CALL}>",
    f"<marquee onstart={_CALL}>x</marquee>",
    f'<meta http-equiv="refresh" content="0;url=javascript:{_CALL}">',
    '<meta http-equiv="refresh" content="0;url=http://elsewhere.invalid/">',
    '<base href="http://elsewhere.invalid/">',
    '<link rel="stylesheet" href="http://elsewhere.invalid/x.css">',
    "<style>@import 'http://elsewhere.invalid/x.css';</style>",
    '<img src="http://elsewhere.invalid/x.png">',
    f'<form action="javascript:{_CALL}"><button>x</button></form>',
    f'" onmouseover="{_CALL}" autofocus onfocus="{_CALL}" x="',
    f"' onmouseover='{_CALL}' autofocus onfocus='{_CALL}' x='",
    f'" style="animation-name:x" onanimationstart="{_CALL}',
    f"javascript:{_CALL}",
    f"JaVaScRiPt:{_CALL}",
    f"java\tscript:{_CALL}",
    f"data:text/html,<script>{_CALL}</script>",
    f"[press](javascript:{_CALL})",
    f"[press](JAVASCRIPT:{_CALL} 'x')",
    f"[press](data:text/html;base64,PHNjcmlwdD4= '{_CALL}')",
    f"![x](http://elsewhere.invalid/x.png) ![x](x) **b** <img src=x onerror={_CALL}>",
    f"**b** <script>{_CALL}</script>\n\n```html\n</code></pre><script>{_CALL}</script>\n```",
    f"[x]: javascript:{_CALL}\n\n- [x]\n- <javascript:{_CALL}>",
    "{{7*7}}${7*7}#{7*7}<%= 7*7 %>{% raw %}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    f"${{{_CALL}}}`${{{_CALL}}}`",
    f"&lt;script&gt;{_CALL}&lt;/script&gt;&#60;script&#62;{_CALL}",
    f"\u2028{_CALL}\u2029\u202etxet\u200b\ufeff<b>",
    f"\uff1cscript\uff1e{_CALL}\uff1c/script\uff1e \U0001f468\u200d\U0001f469 e\u0301\u0489\u0489",
    f'=HYPERLINK("http://elsewhere.invalid/","x")+cmd|{_CALL}',
    "../../../etc/passwd%00%2e%2e%2f?x=1#y&z=%3Cscript%3E",
)
LISTS = (
    "/settings/api-keys?new=1",
    "/settings/audit",
    "/settings/audit?event=api_key.created",
    "/settings/roles",
    "/account/sessions",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("hostile")) as started:
        yield started


def sow(server: StartedServer, client: httpx.Client) -> None:
    """Put every text wherever a text is taken."""
    key = server.api_key(client)
    provider = exporting(server, key, "hostile")
    tracer = provider.get_tracer("t")
    for place, text in enumerate(HOSTILE):
        told = {
            "openinference.span.kind": text if place % 2 else "LLM",
            text: text,
            "session.id": text,
            "llm.model_name": text,
            "input.value": text,
            "output.value": text,
            "output.mime_type": text,
            "llm.input_messages.0.message.role": text,
            "llm.input_messages.0.message.content": text,
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": text,
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": text,
            "retrieval.documents.0.document.content": text,
            "retrieval.documents.0.document.id": text,
        }
        with tracer.start_as_current_span(text, attributes=told) as span:
            span.add_event(text, {text: text})
            span.record_exception(ValueError(text))
    provider.shutdown()
    for place, text in enumerate(HOSTILE):
        client.post("/v1/projects", json={"name": text, "description": text})
        account = {"email": f"h{place}@example.com", "username": text, "role": "MEMBER"}
        client.post("/v1/users", json={"user": {**account, "auth_method": "OAUTH2"}})
        agent = text.encode("ascii", "replace").decode().translate({9: " ", 10: " "})
        named = {"name": text, "description": text}
        made = client.post("/v1/user/api_keys", json={"data": named}, headers={"user-agent": agent})
        assert made.status_code == 201, made.text
        if place % 20 == 0:
            body = {"email": ADMIN_EMAIL, "password": PASSWORD}
            server.client(**{"user-agent": agent}).post("/auth/login", json=body)


class Visitor:
    """Opens one address after the other and keeps what stands there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: dict[str, str] = {}

    def visit(self, *addresses: str) -> None:
        for address in addresses:
            answer = self.page.goto(address, wait_until="domcontentloaded")
            assert answer is not None
            assert answer.status == 200, address
            assert heard_on(self.page) == [], address
            assert self.page.locator("main h1").count() == 1, address
            self.seen[address] = self.page.locator("main").text_content() or ""

    def links(self, pattern: str) -> list[str]:
        found = self.page.locator(f'main a[href*="{pattern}"]').evaluate_all(
            "all => all.map(one => one.getAttribute('href'))"
        )
        return list(dict.fromkeys(str(address) for address in found))

    def visit_traces(self, project: str) -> None:
        """Open all pages of a project's table, then every trace of them."""
        traces: list[str] = []
        following: str | None = project
        while following:
            self.visit(following)
            traces += self.links("/traces/")
            more = self.page.locator('a[rel="next"]')
            following = more.get_attribute("href") if more.count() else None
        assert len(traces) == len(HOSTILE)
        self.visit(*traces)


@pytest.mark.asvs("1.2.1", "1.3.4", "3.2.2")
@pytest.mark.timeout(600)
def test_no_text_runs_and_every_page_renders(browser: Browser, server: StartedServer) -> None:
    assert len(set(HOSTILE)) == 60
    client = server.admin()
    sow(server, client)
    cookies = dict(client.cookies.items())
    with watched_page(browser, server.base_url, cookies=cookies) as page:
        visitor = Visitor(page)
        visitor.visit("/projects?name_contains=hostile")
        project = page.get_by_role("link", name="hostile", exact=True).get_attribute("href")
        assert project
        visitor.visit("/projects", f"{project}?tab=sessions", f"{project}?tab=spans")
        visitor.visit_traces(project)
        visitor.visit(*LISTS)
        for path in ("/settings/api-keys", "/settings/users"):
            visitor.visit(path)
            visitor.visit(*visitor.links(f"{path}/")[:4])
    everything = " ".join(visitor.seen.values())
    assert "{{7*7}}" in everything
    assert f"<script>{_CALL}</script>" in everything
