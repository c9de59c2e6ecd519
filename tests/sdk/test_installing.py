"""``import phoenix as px`` works whichever of the distributions came first.

Spec: lines 146-151.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk.conftest import CLIENT, OTEL, SDK, Workshop
from started import ADMIN_SECRET, StartedServer

ORDERS = list(itertools.permutations((SDK, CLIENT, OTEL)))
#: A day of a user: one span sent, and everything read back that the official client reads.
USE = """
import json, sys
import phoenix as px
assert "phoenix.client" not in sys.modules, "an import of phoenix alone loads no client"
from phoenix.otel import register
import phoenix.client
endpoint, key, project = {endpoint!r}, {key!r}, {project!r}
provider = register(
    endpoint=endpoint + "/v1/traces", project_name=project, verbose=False, batch=False,
    headers={{"authorization": "Bearer " + key}}, set_global_tracer_provider=False,
)
with provider.get_tracer("sdk").start_as_current_span("root") as span:
    span.set_attribute("session.id", "talk-1")
provider.shutdown()
client = px.Client(
endpoint = endpoint ,
api_key = key
)
official = phoenix.client.Client(base_url=endpoint, api_key=key)
for name in ("projects", "spans", "traces", "sessions", "datasets", "experiments", "prompts"):
    assert type(getattr(client, name)) is type(getattr(official, name)), name
spans = client.spans.get_spans(project_identifier=project)
print(json.dumps({{
    "projects": [p["name"] for p in client.projects.list()],
    "spans": [s["name"] for s in spans],
    "traces": len(client.traces.get_traces(project_identifier=project)),
    "sessions": [s["session_id"] for s in client.sessions.list(project_name=project)],
    "path": list(px.__path__),
}}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    env = {"PHOENIX_DISABLE_RATE_LIMIT": "true"}
    with StartedServer(tmp_path_factory.mktemp("server"), env) as started:
        yield started


def use(server: StartedServer, project: str) -> str:
    return USE.format(endpoint=server.base_url, key=ADMIN_SECRET, project=project)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(d[-4:] for d in order))
def test_any_order_of_installing(
    workshop: Workshop, server: StartedServer, order: tuple[str, ...]
) -> None:
    project = "then".join(distribution[-4:] for distribution in order)
    found = workshop.make(project, order).run(use(server, project))
    assert project in found["projects"]
    assert found["spans"] == ["root"]
    assert found["traces"] == 1
    assert found["sessions"] == ["talk-1"]


def test_distributions_in_several_folders(
    workshop: Workshop, server: StartedServer, tmp_path: Path
) -> None:
    python = workshop.make("several", [SDK])
    workshop.install(python, OTEL, "--target", tmp_path)
    found = python.run(use(server, "several"), PYTHONPATH=str(tmp_path))
    assert found["spans"] == ["root"]
    assert len(found["path"]) == 2


def test_uninstalling_ours_leaves_the_others(workshop: Workshop) -> None:
    python = workshop.make("uninstalling", [CLIENT, OTEL, SDK])
    workshop.uninstall(python, SDK)
    code = "import phoenix.client, phoenix.otel, phoenix, json; print(json.dumps({}))".format(
        "hasattr(phoenix, 'Client')"
    )
    assert python.run(code) is False
