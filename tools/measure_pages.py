"""Measure how long pages take on a full database: run by hand, numbers go to docs/performance.md.

.venv/bin/python tools/measure_pages.py --spans 100000 [--rounds 40] [--only /projects]
"""

import argparse
import gzip
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from peers.browser import CHROMIUM  # noqa: E402 - found by the line above
from started import StartedServer  # noqa: E402 - found by the line above

SPANS_OF_THE_LONG_TRACE = 2_000
ROUNDS_IN_CHROMIUM = 10
PAGES = (
    "/login",
    "/projects",
    "{project}",
    "{project}?errors=1",
    "{project}?tab=spans",
    "{project}?tab=spans&kind=LLM",
    "{project}?tab=sessions",
    "{trace}",
    "{long}",
    "/settings/api-keys",
    "/settings/users",
    "/settings/roles",
    "/settings/sign-in",
    "/settings/secrets",
    "/settings/audit",
    "/account",
    "/account/sessions",
)


def long_trace(client: httpx.Client, project: str) -> str:
    """Send a trace of 2,000 spans; return the address of its page."""
    trace_id = "f" * 32
    spans = []
    for number in range(SPANS_OF_THE_LONG_TRACE):
        begun = f"2026-11-24T10:00:{number % 60:02}+00:00"
        spans.append(
            {
                "name": f"step {number}",
                "context": {"trace_id": trace_id, "span_id": f"{number + 1:016x}"},
                "parent_id": None if number == 0 else f"{(number + 1) // 2:016x}",
                "span_kind": "CHAIN",
                "start_time": begun,
                "end_time": begun.replace("+", ".5+"),
                "status_code": "OK",
                "attributes": {"input.value": "words " * 50},
            }
        )
    answer = client.post(f"/v1/projects/{project}/spans", json={"data": spans}, timeout=120)
    answer.raise_for_status()
    return trace_id


def first(pattern: str, text: str) -> str:
    """Return the first group of the first match."""
    found = re.search(pattern, text, re.DOTALL)
    if found is None:
        raise SystemExit(f"not found: {pattern}")
    return found[1]


def first_visit_bytes(client: httpx.Client, server: StartedServer) -> int:
    """Return what a browser loads at its first visit of the list of projects, compressed."""
    page = client.get("/projects")
    total = len(gzip.compress(page.content))
    for address in set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)):
        with server.client().stream("GET", address) as answer:
            total += sum(len(part) for part in answer.iter_raw())
    return total


def opened_in_chromium(client: httpx.Client, server: StartedServer, address: str) -> None:
    """Print how long a page takes in a browser: from the click until all of it is there."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(base_url=server.base_url)
        for name, value in client.cookies.items():
            context.add_cookies([{"name": name, "value": value, "url": server.base_url}])
        page = context.new_page()
        took: dict[str, list[float]] = {"domInteractive": [], "loadEventEnd": []}
        painted = []
        for _ in range(ROUNDS_IN_CHROMIUM):
            page.goto(address, wait_until="load")
            times = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
            for event, values in took.items():
                values.append(times[event])
            # Two frames later what was loaded is on the screen and takes clicks.
            now = "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r("
            painted.append(page.evaluate(now + "performance.now()))))"))
        rows = page.locator('[data-testid="span-row"]').count()
        browser.close()
    for event, values in {**took, "painted": painted}.items():
        shown = f"p50 {statistics.median(values):.0f} ms, slowest {max(values):.0f} ms"
        print(f"in Chromium, {rows} spans shown: {event} {shown}")


def main() -> None:
    """Fill, start, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", action="append", choices=PAGES, metavar="PAGE")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        server = StartedServer(Path(folder))
        data = Path(folder) / "bennu.db"
        server.env["PHOENIX_SQL_DATABASE_URL"] = f"sqlite:///{data}"
        if asked.spans:
            fill = [sys.executable, str(ROOT / "tools" / "fill_spans.py")]
            fill += ["--sqlite", str(data), "--spans", str(asked.spans)]
            subprocess.run(fill, check=True)  # noqa: S603 - our own tool
        with server:
            client = server.admin()
            listed = client.get("/v1/projects").json()["data"]
            name = max(listed, key=lambda one: one["name"] != "default")["name"]
            trace_id = long_trace(client, name)
            project = first(rf'href="(/projects/[^"/?]+)">{name}<', client.get("/projects").text)
            rows = client.get(f"{project}?range=all").text
            trace = first(r'data-testid="trace-row".*?href="([^"]+/traces/[^"]+)"', rows)
            print(f"first visit {first_visit_bytes(client, server) / 1000:.1f} kB")
            for page in asked.only or PAGES:
                address = page.format(
                    project=project, trace=trace, long=f"{project}/traces/{trace_id}"
                )
                took = []
                for _ in range(asked.rounds):
                    began = time.perf_counter()
                    answer = client.get(address)
                    took.append((time.perf_counter() - began) * 1_000)
                    answer.raise_for_status()
                p50, p95 = statistics.median(took), sorted(took)[int(len(took) * 0.95) - 1]
                kilobytes = len(gzip.compress(answer.content)) / 1000
                print(f"| `{page}` | {p50:.1f} | {p95:.1f} | {kilobytes:.1f} |")
            opened_in_chromium(client, server, f"{project}/traces/{trace_id}")


if __name__ == "__main__":
    main()
