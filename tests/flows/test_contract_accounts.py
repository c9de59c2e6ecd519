"""Answers about accounts, keys and refusals are those that scripts for the reference rely on.

``fixtures/contract/accounts.json`` holds what was seen on the wire of the reference, in the order
in which it was asked: who asked what, and the answer. Ids, times and keys need only look alike,
and answers may hold more than they did there.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bennu.kernel.ids import parse_global_id
from started import ADMIN_SECRET, StartedServer

SEEN = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "contract" / "accounts.json").read_text()
)
PASSWORD = "a-Password-for-everybody-7"
#: Automation for the reference never changed a first password.
ENV = {"PHOENIX_ENFORCE_PASSWORD_RESET": "false", "PHOENIX_DISABLE_RATE_LIMIT": "true"}


class Script:
    """Asks one after the other, and remembers the keys and cookies that it was given."""

    def __init__(self, server: StartedServer) -> None:
        self._server = server
        self._keys = {"admin secret": ADMIN_SECRET, "bad key": "bad"}
        self._cookies: dict[str, httpx.Cookies] = {}

    def ask(self, seen: dict[str, Any]) -> httpx.Response:
        name = seen["as"]
        headers, content = {}, None
        if name in self._keys:
            headers["authorization"] = f"Bearer {self._keys[name]}"
        if name == "other header":
            headers["api_key"] = ADMIN_SECRET
        body = json.loads(json.dumps(seen.get("send")).replace("$PASSWORD", PASSWORD))
        if seen["path"] == "/v1/traces":
            headers["content-type"] = "application/x-protobuf"
            content = ExportTraceServiceRequest().SerializeToString()
        with self._server.client(**headers) as client:
            client.cookies = self._cookies.get(name, httpx.Cookies())
            answer = client.request(
                seen["method"], seen["path"], content=content, json=body or None
            )
        self._remember(seen, answer)
        return answer

    def _remember(self, seen: dict[str, Any], answer: httpx.Response) -> None:
        who = seen["label"].rpartition("_")[2]
        if seen["path"] == "/auth/login" and answer.status_code == 204:
            self._cookies[f"cookie {who}"] = answer.cookies
        if answer.status_code == 201 and "key" in answer.json()["data"]:
            owner = "sys" if seen["label"].startswith("syskey") else who
            self._keys.setdefault(f"key {owner}", answer.json()["data"]["key"])


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[tuple[dict[str, Any], httpx.Response]]]:
    with StartedServer(tmp_path_factory.mktemp("contract"), ENV) as server:
        script = Script(server)
        yield [(seen, script.ask(seen)) for seen in SEEN]


def is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def misfits(seen: Any, got: Any, way: str = "") -> Iterator[str]:
    """Yield where an answer is not like the one that was seen."""
    if isinstance(seen, dict) and isinstance(got, dict):
        for name, value in seen.items():
            if name not in got:
                yield f"{way}.{name} is missing"
            else:
                yield from misfits(value, got[name], f"{way}.{name}")
    elif isinstance(seen, list) and isinstance(got, list) and len(seen) == len(got):
        for place, (one, other) in enumerate(zip(seen, got, strict=True)):
            yield from misfits(one, other, f"{way}[{place}]")
    elif not is_alike(seen, got):
        yield f"{way}: {got!r} instead of {seen!r}"


def is_alike(seen: Any, got: Any) -> bool:
    if not isinstance(seen, str) or not isinstance(got, str):
        return bool(seen == got)
    if seen == "<jwt>":
        return got.startswith("bnu_")
    identifier = parse_global_id(seen)
    if identifier is not None:
        found = parse_global_id(got)
        return found is not None and found[0] == identifier[0]
    return (is_time(seen) and is_time(got)) or seen == got


def test_every_answer_is_the_one_that_was_seen(
    answers: list[tuple[dict[str, Any], httpx.Response]],
) -> None:
    assert len(answers) == 43
    wrong = []
    for seen, answer in answers:
        problems = []
        if answer.status_code != seen["status"]:
            problems.append(f"{answer.status_code} {answer.text} instead of {seen['status']}")
        elif "json" in seen:
            problems += misfits(seen["json"], answer.json())
        elif "text" in seen and answer.text != seen["text"]:
            problems.append(f"{answer.text!r} instead of {seen['text']!r}")
        if answer.headers.get("content-type", "").partition(";")[0] != seen["type"]:
            problems.append(f"type {answer.headers.get('content-type')}")
        if answer.status_code == 401 and 'realm="Arize Phoenix"' not in answer.headers.get(
            "www-authenticate", ""
        ):
            problems.append("no WWW-Authenticate")
        wrong += [f"{seen['label']}: {problem}" for problem in problems]
    assert wrong == []
