"""The one story: from the first start to a revoked key, by browser and official client.

Spec: lines 1-21, 136-154, 252-260.
"""

from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from phoenix.otel import register
from playwright.sync_api import Browser, Page, expect

from peers.browser import watched_page
from started import ADMIN_EMAIL, FIRST_PASSWORD, PASSWORD, StartedServer

PROJECT = "story"


def sign_in(page: Page, password: str) -> None:
    page.goto("/")
    page.get_by_label("E-mail").fill(ADMIN_EMAIL)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def choose_password(page: Page) -> None:
    expect(page.get_by_role("heading", name="Choose a password of your own")).to_be_visible()
    page.get_by_label("Current password").fill(FIRST_PASSWORD)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("The password was changed")).to_be_visible()


def make_key(page: Page, name: str) -> str:
    page.get_by_role("link", name="API Keys").click()
    page.get_by_role("button", name="Create API Key").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create API Key").click()
    key = page.get_by_test_id("new-api-key").text_content()
    assert key
    page.get_by_role("link", name="API Keys").click()
    expect(page.get_by_role("main")).not_to_contain_text(key)
    return key


def export(server: StartedServer, key: str) -> SpanExportResult:
    """Send one trace by the official client over gRPC; return how its last export ended."""
    exporter = OTLPSpanExporter(
        endpoint=f"http://127.0.0.1:{server.grpc_port}",
        insecure=True,
        headers={"authorization": f"Bearer {key}"},
        timeout=5,
    )
    provider = register(
        endpoint=f"http://127.0.0.1:{server.grpc_port}",
        protocol="grpc",
        project_name=PROJECT,
        api_key=key,
        verbose=False,
        set_global_tracer_provider=False,
    )
    tracer = provider.get_tracer("story")
    told = {"openinference.span.kind": "LLM", "input.value": "one lamp, please"}
    with tracer.start_as_current_span("order a lamp", attributes=told) as span:
        pass
    provider.force_flush()
    provider.shutdown()
    result = exporter.export([span])  # type: ignore[list-item]  # an ended span is readable
    exporter.shutdown()
    return result


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "plain"])
def test_the_story(browser: Browser, tmp_path: Path, has_scripts: bool) -> None:
    with (
        StartedServer(tmp_path) as server,
        watched_page(browser, server.base_url, has_scripts=has_scripts) as page,
    ):
        sign_in(page, FIRST_PASSWORD)
        choose_password(page)
        sign_in(page, PASSWORD)
        expect(page.get_by_role("heading", name="Projects", level=1)).to_be_visible()
        key = make_key(page, "key of the story")
        assert export(server, key) is SpanExportResult.SUCCESS
        open_trace(page)
        annotate(page)
        revoke(page, "key of the story")
        assert export(server, key) is SpanExportResult.FAILURE
        look_for_all_of_it(page)


def open_trace(page: Page) -> None:
    page.get_by_role("link", name="Projects").first.click()
    page.get_by_role("link", name=PROJECT, exact=True).click()
    row = page.get_by_test_id("trace-row").first
    row.get_by_role("link", name="order a lamp").click()
    expect(page.get_by_test_id("span-row")).to_have_count(1)
    expect(page.get_by_text("one lamp, please").first).to_be_visible()


def annotate(page: Page) -> None:
    page.get_by_text("Annotate", exact=True).click()
    page.get_by_label("What is judged").fill("correctness")
    page.get_by_label("Label").fill("right")
    page.get_by_label("Score").fill("1")
    page.get_by_role("button", name="Save the annotation").click()
    expect(page.get_by_test_id("annotation-row")).to_contain_text("correctness")


def revoke(page: Page, name: str) -> None:
    page.get_by_role("link", name="API Keys").click()
    page.get_by_test_id("api-key-row").filter(has_text=name).get_by_test_id(
        "revoke-api-key"
    ).click()
    expect(page.get_by_role("main")).to_contain_text(name)
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("No keys yet")).to_be_visible()


def look_for_all_of_it(page: Page) -> None:
    page.get_by_role("link", name="Audit log").click()
    rows = page.get_by_test_id("audit-row")
    for event, name in (
        ("auth.sign_in.succeeded", "admin"),
        ("auth.password.changed", "admin"),
        ("api_key.created", "key of the story"),
        ("api_key.revoked", "key of the story"),
        ("auth.denied", ""),
    ):
        expect(rows.filter(has_text=event).filter(has_text=name).first).to_be_visible()
