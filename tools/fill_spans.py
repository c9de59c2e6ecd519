"""Fill a database with realistic spans, straight through the store, for measurements by hand.

    .venv/bin/python tools/fill_spans.py --sqlite /tmp/full/bennu.db --spans 1000000
    .venv/bin/python tools/fill_spans.py --postgres postgresql://user:password@host/name

The database is made and migrated when it is empty. Spans go into one project, in traces of five
(a chain with a retriever, two models and a tool), three traces to a session; every 50th trace has
an error. The same seed gives the same ids, so a second run with it adds nothing.
"""

import argparse
import asyncio
import random  # noqa: TID251 - repeatable made-up data, no secret
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bennu.kernel.clock import SystemClock
from bennu.kernel.env_file import env_of
from bennu.storage.database import Database, Lane
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings
from bennu.traces.projects.store import project_rows_made
from bennu.traces.spans.model import Span
from bennu.traces.spans.openinference import describe_attributes
from bennu.traces.spans.store import SpanBatch, insert_spans

SPANS_PER_TRACE = 5
TRACES_PER_SESSION = 3
TRACES_PER_COMMIT = 400
TEMPLATES = 200
SECOND_NS = 1_000_000_000
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so")
#: name, kind and text bytes of the spans of a trace; the first is the root.
SHAPE = (
    ("chain", "CHAIN", 300),
    ("retrieve", "RETRIEVER", 1400),
    ("ChatCompletion", "LLM", 1500),
    ("call_tool", "TOOL", 400),
    ("ChatCompletion", "LLM", 1500),
)


def made_up_text(rng: random.Random, size: int) -> str:
    """Return text of about this size that compresses about as well as real text."""
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(size // 5)]
    return " ".join(words)[:size]


def attributes_of(rng: random.Random, kind: str, size: int) -> dict[str, object]:
    """Return the attributes that an instrumented application would send."""
    common: dict[str, object] = {
        "openinference.span.kind": kind,
        "user.id": f"user-{rng.randint(0, 99)}",
        "metadata": msgspec.json.encode({"tier": rng.choice(["gold", "free"])}).decode(),
        "input.value": made_up_text(rng, size // 4),
        "output.value": made_up_text(rng, size // 4),
    }
    if kind == "LLM":
        prompt, completion = rng.randint(200, 900), rng.randint(20, 300)
        common |= {
            "llm.provider": "openai",
            "llm.model_name": rng.choice(["gpt-4o", "gpt-4o-mini"]),
            "llm.invocation_parameters": '{"temperature": 0.2, "max_tokens": 512}',
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": made_up_text(rng, size // 4),
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": made_up_text(rng, size // 4),
            "llm.token_count.prompt": prompt,
            "llm.token_count.completion": completion,
            "llm.token_count.total": prompt + completion,
        }
    if kind == "RETRIEVER":
        for place in range(3):
            key = f"retrieval.documents.{place}.document"
            common[f"{key}.content"] = made_up_text(rng, size // 6)
            common[f"{key}.score"] = round(rng.random(), 3)
    if kind == "TOOL":
        common |= {"tool.name": "search", "tool.parameters": '{"query": "birds", "limit": 5}'}
    return common


class Filler:
    """Makes traces; payloads are drawn from a few hundred templates, ids and times are new."""

    def __init__(self, seed: int, traces: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - likewise
        self._traces = traces
        self._first_ns = time.time_ns() - traces * SECOND_NS
        self._templates = [
            [self._described(kind, size) for _ in range(TEMPLATES)] for _, kind, size in SHAPE
        ]

    def _described(self, kind: str, size: int) -> tuple[bytes, int | None, int | None]:
        given = attributes_of(self._rng, kind, size)
        described = describe_attributes(tuple(given), list(given.values()))
        return described.attributes, described.prompt_tokens, described.completion_tokens

    def traces(self, first: int, count: int) -> Iterator[Span]:
        """Yield the spans of some traces, the newest trace last."""
        for number in range(first, min(first + count, self._traces)):
            yield from self._trace(number)

    def _trace(self, number: int) -> Iterator[Span]:
        rng = self._rng
        trace_id, root_id = rng.randbytes(16), rng.randbytes(8)
        start_ns = self._first_ns + number * SECOND_NS
        latency_ns = int(rng.lognormvariate(0.0, 1.0) * SECOND_NS)
        step_ns = latency_ns // len(SHAPE)
        for place, (name, kind, _) in enumerate(SHAPE):
            attributes, prompt, completion = rng.choice(self._templates[place])
            is_error = kind == "TOOL" and number % 50 == 0
            begins = start_ns + place * step_ns
            yield Span(
                trace_id=trace_id,
                span_id=root_id if place == 0 else rng.randbytes(8),
                parent_id=None if place == 0 else root_id,
                name=name,
                span_kind=kind,
                start_ns=begins,
                end_ns=begins + (latency_ns if place == 0 else step_ns),
                status_code="ERROR" if is_error else "OK",
                status_message="boom" if is_error else "",
                attributes=attributes,
                events=b"[]",
                session_id=f"session-{number // TRACES_PER_SESSION}" if place == 0 else None,
                prompt_tokens=prompt,
                completion_tokens=completion,
            )


async def fill(database: Database, project: str, spans: int, seed: int) -> None:
    """Write the spans, one commit for a few thousand of them, and tell how far it is."""
    traces = -(-spans // SPANS_PER_TRACE)
    filler = Filler(seed, traces)
    rows = await database.write(lambda c: project_rows_made(c, [project], time.time_ns() // 1000))
    began = time.monotonic()
    for first in range(0, traces, TRACES_PER_COMMIT):
        made = list(filler.traces(first, TRACES_PER_COMMIT))
        batch = SpanBatch(rows[project], "filler", made)
        await database.write(lambda c, b=batch: insert_spans(c, [b]), lane=Lane.INGEST)
        done = min(first + TRACES_PER_COMMIT, traces) * SPANS_PER_TRACE
        if done % 100_000 == 0 or done >= spans:
            seconds = time.monotonic() - began
            print(f"{done:>9} spans, {seconds:6.1f} s, {done / seconds:7.0f} spans/s", flush=True)


async def run(settings: StorageSettings, arguments: argparse.Namespace) -> None:
    """Open or make the database, fill it, close it."""
    database = Database(settings, SystemClock())
    await database.start()
    try:
        await migrate(database, settings)
        await fill(database, arguments.project, arguments.spans, arguments.seed)
    finally:
        await database.stop()


def main() -> int:
    """Read the arguments and fill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--sqlite", help="path of the database file")
    where.add_argument("--postgres", help="postgresql://user:password@host/name")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--project", default="filled")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    url = arguments.postgres or f"sqlite:///{Path(arguments.sqlite).resolve()}"
    settings = StorageSettings.from_env(env_of({"PHOENIX_SQL_DATABASE_URL": url}))
    asyncio.run(run(settings, arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
