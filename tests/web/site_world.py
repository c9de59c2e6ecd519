"""A server with something to show on every page: traces of every shape, people, keys, roles."""

import re
from dataclasses import dataclass

import httpx
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from tools.generate_permissions import application_routes

from started import StartedServer
from web.browsing import signed_in_browser

PROVIDER = {
    "PHOENIX_OAUTH2_KEYCLOAK_CLIENT_ID": "bennu",
    "PHOENIX_OAUTH2_KEYCLOAK_CLIENT_SECRET": "a-secret-of-the-client",
    "PHOENIX_OAUTH2_KEYCLOAK_OIDC_CONFIG_URL": "https://127.0.0.1:9/.well-known/openid-configuration",
    "PHOENIX_OAUTH2_KEYCLOAK_DISPLAY_NAME": "Keycloak of the house",
}
PROSE = "Orders leave **today**:\n\n- one lamp\n- two chairs\n\n```\nGET /orders\n```"
_KINDS = ("CHAIN", "RETRIEVER", "RERANKER", "EMBEDDING", "GUARDRAIL", "EVALUATOR", "PROMPT")


@dataclass(frozen=True)
class SiteWorld:
    """What there is: ``addresses`` holds one of each page, by the path of its route."""

    server: StartedServer
    cookies: dict[str, str]
    addresses: dict[str, str]


def page_routes() -> set[str]:
    """Return the paths of all pages that the application has."""
    return {
        route.path
        for route in application_routes()
        if route.method == "GET" and "text/html" in str(route.responses_media)
    }


def exporting(server: StartedServer, key: str, project: str = "shop") -> TracerProvider:
    """Return a provider of tracers that sends every span at once."""
    exporter = OTLPSpanExporter(
        endpoint=f"{server.base_url}/v1/traces", headers={"authorization": f"Bearer {key}"}
    )
    provider = TracerProvider(resource=Resource({"openinference.project.name": project}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def filled_site(server: StartedServer) -> SiteWorld:
    """Fill a started server and return where everything is."""
    client = signed_in_browser(server)
    provider = exporting(server, server.api_key(client))
    tracer = provider.get_tracer("shop")
    for number in range(3):
        _send_order(tracer, number)
    provider.shutdown()
    user = client.post(
        "/v1/users",
        json={
            "user": {
                "email": "ann@example.com",
                "username": "ann",
                "role": "MEMBER",
                "auth_method": "LOCAL",
                "password": "a-first-Password-11",
            }
        },
    )
    assert user.status_code == 201, user.text
    role = client.post(
        "/v1/roles", json={"name": "READER", "permissions": ["traces:read", "projects:read"]}
    )
    assert role.status_code == 201, role.text
    kept = {"secrets": [{"key": "MODEL_KEY", "value": "a-secret-value"}]}
    assert client.put("/v1/secrets", json=kept).status_code == 200
    return SiteWorld(server, dict(client.cookies.items()), _addresses(client))


def _send_order(tracer: Tracer, number: int) -> None:
    kinds = {"openinference.span.kind": "AGENT", "session.id": "visit-1"}
    with tracer.start_as_current_span(f"order {number}", attributes=kinds):
        for kind in _KINDS:
            told = {
                "openinference.span.kind": kind,
                "input.value": PROSE,
                "output.value": '{"a": 1}',
            }
            with tracer.start_as_current_span(kind.lower(), attributes=told):
                pass
        found = {
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.content": "A lamp gives light.",
            "retrieval.documents.0.document.id": "lamp",
            "retrieval.documents.0.document.score": 0.75,
            "retrieval.documents.0.document.metadata": '{"shelf": 3}',
        }
        with tracer.start_as_current_span("search", attributes=found):
            pass
        with tracer.start_as_current_span("answer", attributes=_model_attributes()) as span:
            span.add_event("first token", {"after": 3})
            if number == 0:
                span.record_exception(ValueError("the model said no"))
                span.set_status(Status(StatusCode.ERROR, "no"))


def _model_attributes() -> dict[str, str | int]:
    call = "llm.output_messages.0.message.tool_calls.0.tool_call"
    return {
        "openinference.span.kind": "LLM",
        "llm.model_name": "large-1",
        "llm.provider": "somebody",
        "llm.token_count.prompt": 1200,
        "llm.token_count.completion": 87,
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "You sell lamps.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": PROSE,
        "llm.output_messages.0.message.role": "assistant",
        f"{call}.id": "call-1",
        f"{call}.function.name": "find_lamp",
        f"{call}.function.arguments": '{"colour": "green"}',
    }


def _addresses(client: httpx.Client) -> dict[str, str]:
    project = _first(client, "/projects", r'href="(/projects/[^"/?]+)">shop<')
    trace = _first(client, project, r'data-testid="trace-row".*?href="([^"]+/traces/[^"]+)"')
    key = _first(client, "/settings/api-keys", r'href="(/settings/api-keys/[^"]+)/rotate"')
    user = _first(client, "/settings/users", r'href="(/settings/users/[^"?/]+)"[^>]*>ann')
    role = "/settings/roles/READER"
    policy = _first(client, "/settings/retention", r'href="(/settings/retention/[^"]+)"')
    plain = {path: path for path in page_routes() if "{" not in path}
    plain["/reset-password-with-token"] += "?token=a-token"
    return {
        **plain,
        "/projects/{project}": project,
        "/projects/{project}/traces/{trace_id}": trace,
        "/settings/api-keys/{key_id}/revoke": f"{key}/revoke",
        "/settings/api-keys/{key_id}/rotate": f"{key}/rotate",
        "/settings/users/{user_id}": user,
        "/settings/users/{user_id}/delete": f"{user}/delete",
        "/settings/roles/{role}": role,
        "/settings/secrets/{key}/delete": "/settings/secrets/MODEL_KEY/delete",
        "/settings/retention/{policy_id}": policy,
        "/settings/sign-in/{provider}": "/settings/sign-in/keycloak",
        "/settings/sign-in/{provider}/delete": "/settings/sign-in/keycloak/delete",
    }


def _first(client: httpx.Client, page: str, pattern: str) -> str:
    found = re.search(pattern, client.get(page).text, re.DOTALL)
    assert found is not None, (page, pattern, client.get(page).text)
    return found[1]
