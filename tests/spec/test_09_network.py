"""Network security (spec 205-218): origins, CSRF, rate limits and headers, as deployed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bennu.access import EVERYBODY, Caller
from bennu.app import Application
from bennu.httpio.route import Route
from bennu.network.rate_counters import MemoryCounters
from bennu.network.rate_limit import LimitExceededError, RateLimits
from bennu.network.rate_rules import LimitTable, check_rules_meet_routes, parse_rate_rules
from fakes.clock import FrozenClock
from fakes.settings import SECRET, read_settings
from peers.mail import MailPeer
from peers.redis import RedisServer
from started import FIRST_PASSWORD, PASSWORD, StartedServer

Routes = tuple[Route, ...]

#: The two lines that the spec prints (208 and 211).
SPEC_LISTS = {
    "PHOENIX_ALLOWED_ORIGINS": "https://app.example.com,https://dashboard.example.com",
    "PHOENIX_CSRF_TRUSTED_ORIGINS": "https://phoenix.example.com",
}
LIMITS_ON = {"PHOENIX_DISABLE_RATE_LIMIT": "false"}

#: lists: none, or the spec's two lines. request: what is asked. by: credential that comes along.
#: site: Sec-Fetch-Site. "own" stands for the server's own origin, "-" for a header that is absent.
CASES = """
lists  request   by      origin                         site         referer                       answer
none   create    cookie  -                              -            -                             pass
none   create    cookie  own                            same-origin  own/projects                  pass
none   create    cookie  own                            -            -                             pass
none   create    cookie  -                              same-origin  -                             pass
none   create    cookie  -                              none         -                             pass
none   create    cookie  -                              same-site    -                             403
none   create    cookie  -                              cross-site   -                             403
none   create    cookie  -                              same-origin  https://evil.example/x        pass
none   create    cookie  -                              -            own/projects                  pass
none   create    cookie  -                              -            https://evil.example/x        403 referer
none   create    cookie  https://evil.example           cross-site   https://evil.example/x        403
none   create    cookie  https://evil.example           same-origin  own/projects                  403
none   create    cookie  null                           cross-site   -                             403
none   create    cookie  null                           -            -                             403
none   create    cookie  http://localhost:PORT          same-site    -                             403
none   create    cookie  https://127.0.0.1:PORT         cross-site   -                             403
none   create    cookie  http://127.0.0.1               same-site    -                             403
none   create    cookie  http://127.0.0.1.evil.example  cross-site   -                             403
none   create    cookie  https://app.example.com        cross-site   -                             403
none   create    bearer  https://evil.example           cross-site   https://evil.example/x        pass
none   create    bearer  null                           cross-site   -                             pass
none   read      cookie  https://evil.example           cross-site   https://evil.example/x        pass
none   read      cookie  -                              cross-site   https://wiki.example/page     pass
none   sign-in   -       -                              -            -                             pass
none   sign-in   -       own                            same-origin  own/login                     pass
none   sign-in   -       https://evil.example           cross-site   https://evil.example/form     403
none   sign-in   -       null                           cross-site   -                             403
none   sign-in   -       -                              cross-site   -                             403
none   sign-in   -       -                              -            https://evil.example/form     403 referer
none   sign-out  cookie  https://evil.example           cross-site   -                             403
none   sign-out  -       https://evil.example           cross-site   -                             403
none   refresh   cookie  https://evil.example           cross-site   -                             403
none   refresh   -       own                            same-origin  -                             pass
none   export    bearer  https://evil.example           cross-site   -                             pass
none   export    -       https://evil.example           cross-site   -                             pass
none   export    cookie  https://evil.example           cross-site   -                             403
none   delete    cookie  https://evil.example           cross-site   -                             403
none   delete    cookie  own                            same-origin  -                             pass
spec   create    cookie  own                            same-origin  -                             pass
spec   create    cookie  https://app.example.com        cross-site   https://app.example.com/      pass
spec   create    cookie  https://dashboard.example.com  cross-site   -                             pass
spec   create    cookie  https://phoenix.example.com    cross-site   -                             pass
spec   create    cookie  https://PHOENIX.example.com    cross-site   -                             pass
spec   create    cookie  https://app.example.com:443    cross-site   -                             pass
spec   create    cookie  -                              -            https://app.example.com/page  pass
spec   create    cookie  http://app.example.com         cross-site   -                             401
spec   create    cookie  https://app.example.com:8443   cross-site   -                             401
spec   create    cookie  https://x.app.example.com      cross-site   -                             401
spec   create    cookie  https://app.example.com.example  cross-site   -                             401
spec   create    cookie  https://evil.example           same-origin  -                             401
spec   create    cookie  null                           -            -                             401
spec   create    cookie  -                              cross-site   https://app.example.com/page  401
spec   create    cookie  -                              -            https://evil.example/x        401 referer
spec   create    bearer  https://evil.example           cross-site   -                             pass
spec   read      cookie  https://evil.example           cross-site   -                             pass
spec   sign-in   -       https://app.example.com        cross-site   -                             pass
spec   sign-in   -       https://evil.example           cross-site   -                             401
spec   sign-out  cookie  https://evil.example           cross-site   -                             401
spec   export    bearer  https://evil.example           cross-site   -                             pass
spec   delete    cookie  https://evil.example           cross-site   -                             401
"""  # noqa: E501 - a table is read across
REQUESTS = {
    "create": ("POST", "/v1/projects"),
    "delete": ("DELETE", "/v1/projects/no-such-project"),
    "read": ("GET", "/v1/projects"),
    "export": ("POST", "/v1/traces"),
    "sign-in": ("POST", "/auth/login"),
    "sign-out": ("POST", "/auth/logout"),
    "refresh": ("POST", "/auth/refresh"),
}
ROWS = [tuple(line.split()) for line in CASES.splitlines()[2:]]


@dataclass
class Lists:
    """A server with one setting of the lists, and the cookies of a session on it."""

    server: StartedServer
    cookies: str


def started_with(folder: Path, lists: dict[str, str]) -> Iterator[Lists]:
    with StartedServer(folder, lists) as server:
        jar = server.admin().cookies
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
        yield Lists(server, cookies)


@pytest.fixture(scope="module")
def without_lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lists]:
    yield from started_with(tmp_path_factory.mktemp("none"), {})


@pytest.fixture(scope="module")
def with_spec_lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lists]:
    yield from started_with(tmp_path_factory.mktemp("spec"), SPEC_LISTS)


def send(method: str, url: str, **more: Any) -> httpx.Response:
    """Send one request, however busy the machine is."""
    return httpx.request(method, url, timeout=60, **more)


def test_the_table_is_large_enough() -> None:
    assert len(ROWS) >= 40
    assert len(set(ROWS)) == len(ROWS)


@pytest.mark.asvs("3.5.1", "3.5.2")
@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_who_may_make_a_browser_change_something(
    row: tuple[str, ...], without_lists: Lists, with_spec_lists: Lists
) -> None:
    """Spec 207-211."""
    lists, request, by, origin, site, referer, *answer = row
    chosen = without_lists if lists == "none" else with_spec_lists
    server = chosen.server

    def real(text: str) -> str:
        return text.replace("own", server.base_url).replace("PORT", str(server.port))

    headers = {
        "origin": real(origin),
        "sec-fetch-site": site,
        "referer": real(referer),
        "cookie": chosen.cookies if by == "cookie" else "-",
        "authorization": f"Bearer {server.env['PHOENIX_ADMIN_SECRET']}" if by == "bearer" else "-",
    }
    method, path = REQUESTS[request]
    sent = {name: value for name, value in headers.items() if value != "-"}
    got = send(method, server.base_url + path, headers=sent, json={})
    is_refused = got.text.startswith("untrusted")
    if answer == ["pass"]:
        assert not is_refused, got.text
        return
    what = "untrusted referer" if "referer" in answer else "untrusted origin"
    assert (got.status_code, got.text) == (int(answer[0]), what)
    assert "www-authenticate" not in got.headers


@pytest.mark.asvs("16.3.3")
def test_a_cross_origin_request_with_a_cookie_is_recorded(without_lists: Lists) -> None:
    server = without_lists.server
    headers = {"cookie": without_lists.cookies, "origin": "https://evil.example"}
    assert send("POST", f"{server.base_url}/v1/projects", headers=headers).status_code == 403
    client = server.client(server.env["PHOENIX_ADMIN_SECRET"])
    records = client.get("/v1/audit_events", params={"event": "auth.denied"}).json()["data"]
    assert any(record["reason"] == "untrusted_origin" for record in records)


def test_the_lists_of_the_spec_work_together(with_spec_lists: Lists) -> None:
    """Spec 208, 211: a page of the CORS list reads the answer and may change something."""
    url = f"{with_spec_lists.server.base_url}/v1/projects"
    app = {"origin": "https://app.example.com"}
    asked = {**app, "access-control-request-method": "POST"}
    preflight = send("OPTIONS", url, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == app["origin"]
    assert preflight.headers["access-control-allow-credentials"] == "true"
    headers = {**app, "cookie": with_spec_lists.cookies}
    made = send("POST", url, headers=headers, json={"name": "by-app"})
    assert made.status_code == 200
    assert made.headers["access-control-allow-origin"] == app["origin"]
    assert made.headers["vary"] == "Origin"
    evil = send("OPTIONS", url, headers={**asked, "origin": "https://evil.example"})
    assert (evil.status_code, evil.text) == (400, "Disallowed CORS origin")


# --- rate limits ---------------------------------------------------------------------------


def sign_in(server: StartedServer, **headers: str) -> httpx.Response:
    """Try to sign in; an empty body is an attempt too, and costs no hashing."""
    return send("POST", f"{server.base_url}/auth/login", json={}, headers=headers)


@pytest.mark.asvs("2.4.1", "15.3.4")
def test_signing_in_is_limited_and_nothing_else_eats_its_budget(tmp_path: Path) -> None:
    """Spec 214: five a minute per IP; also as gRPC and refresh go on."""
    with StartedServer(tmp_path, LIMITS_ON) as server:
        for path in ("/auth/refresh", "/auth/logout"):
            for _ in range(6):
                assert send("POST", server.base_url + path).status_code in {204, 401}
        statuses = [sign_in(server).status_code for _ in range(5)]
        assert statuses == [401] * 5
        for spoofed in (
            {},
            {"x-forwarded-for": "198.51.100.1"},
            {"forwarded": "for=198.51.100.1"},
            {"x-real-ip": "198.51.100.1"},
        ):
            sixth = sign_in(server, **spoofed)
            assert (sixth.status_code, sixth.text) == (429, "Too Many Requests")
            assert 50 <= int(sixth.headers["retry-after"]) <= 60
            assert sixth.headers["ratelimit-policy"] == '"sign_in";q=5;w=60'
            assert sixth.headers["ratelimit"].startswith('"sign_in";r=0;t=')
        assert send("POST", f"{server.base_url}/auth/refresh").status_code == 401
        client = server.client(server.env["PHOENIX_ADMIN_SECRET"])
        asked = {"event": "rate_limit.exceeded"}
        (record,) = client.get("/v1/audit_events", params=asked).json()["data"]
        assert record["target"]["id"] == "sign_in"
        assert record["address"] == "127.0.0.1"


@pytest.mark.asvs("2.3.2")
def test_three_mails_an_hour_may_be_asked_for(tmp_path: Path, plain_mail_server: MailPeer) -> None:
    """Spec 214: the fourth is refused with the time to wait, whatever address is named."""
    env = {
        **LIMITS_ON,
        "PHOENIX_SMTP_HOSTNAME": "127.0.0.1",
        "PHOENIX_SMTP_PORT": str(plain_mail_server.port),
        "PHOENIX_SMTP_USERNAME": "bennu",
        "PHOENIX_SMTP_PASSWORD": PASSWORD,
    }
    with StartedServer(tmp_path, env) as server:

        def ask(email: str) -> httpx.Response:
            url = f"{server.base_url}/auth/password-reset-email"
            return send("POST", url, json={"email": email})

        assert [ask(f"nobody{n}@example.com").status_code for n in range(3)] == [204] * 3
        for email in ("nobody@example.com", "admin@localhost"):
            fourth = ask(email)
            assert fourth.status_code == 429
            assert 3_500 <= int(fourth.headers["retry-after"]) <= 3_600
            assert fourth.headers["ratelimit-policy"] == '"password_reset";q=3;w=3600'
        assert sign_in(server).status_code == 401
        assert plain_mail_server.attempts == 0


def test_the_sign_in_form_shares_the_budget_and_another_website_cannot_use_it_up(
    tmp_path: Path,
) -> None:
    """A form posted from another site is refused as a page and does not count."""
    with StartedServer(tmp_path, LIMITS_ON) as server:

        def post(**headers: str) -> httpx.Response:
            data = {"email": "a@example.com", "password": "guess"}
            return send("POST", f"{server.base_url}/login", data=data, headers=headers)

        for _ in range(6):
            foreign = post(origin="https://evil.example")
            assert foreign.status_code == 403
            assert "text/html" in foreign.headers["content-type"]
        assert [sign_in(server).status_code for _ in range(4)] == [401] * 4
        assert post().status_code == 403  # without its token; an attempt all the same
        sixth = post()
        assert sixth.status_code == 429
        assert int(sixth.headers["retry-after"]) > 40
        assert "text/html" in sixth.headers["content-type"]


def test_while_one_address_guesses_the_owner_signs_in_from_another(tmp_path: Path) -> None:
    proxied = {**LIMITS_ON, "PHOENIX_TRUSTED_PROXIES": "127.0.0.0/8"}
    with StartedServer(tmp_path, proxied) as server:

        def attempt(address: str, password: str) -> int:
            return send(
                "POST",
                f"{server.base_url}/auth/login",
                json={"email": "admin@localhost", "password": password},
                headers={"x-forwarded-for": address},
            ).status_code

        assert [attempt("198.51.100.1", "guess") for _ in range(5)] == [401] * 5
        assert attempt("198.51.100.1", FIRST_PASSWORD) == 429
        assert attempt("2001:db8::1", FIRST_PASSWORD) == 204
        for number in range(4):
            assert attempt(f"2001:db8::{number}:2", "guess") == 401
        assert attempt("2001:db8::ffff", FIRST_PASSWORD) == 429


def test_two_processes_share_their_counts_over_redis(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    shared = {**LIMITS_ON, "PHOENIX_RATE_LIMIT_STORAGE_URL": redis_server.tls_url}
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    with StartedServer(folders[0], shared) as one, StartedServer(folders[1], shared) as other:
        statuses = [sign_in(server).status_code for server in (one, other) * 4]
        assert statuses == [401] * 5 + [429] * 3
        redis_server.stop()
        assert sign_in(one).status_code in {401, 429}
        assert "rate_limit.storage.away" in one.log() + other.log()


@pytest.mark.asvs("2.4.1")
def test_limits_per_endpoint_hold_for_http_and_grpc_together(tmp_path: Path) -> None:
    """Spec 216."""
    rules = "POST /v1/traces = 3/minute per key; GET /v1/* = 2/minute per ip"
    with StartedServer(tmp_path, {**LIMITS_ON, "PHOENIX_RATE_LIMITS": rules}) as server:
        secret = server.env["PHOENIX_ADMIN_SECRET"]
        client = server.client(secret)
        headers = {"content-type": "application/x-protobuf"}
        for path in ("/v1/traces", "/api/v1/traces"):
            assert client.post(path, content=b"", headers=headers).status_code == 200
        assert export_over_grpc(server, secret) == ("OK", 0)
        assert export_over_grpc(server, secret)[0] == "RESOURCE_EXHAUSTED"
        assert export_over_grpc(server, secret)[1] > 0
        refused = client.post("/v1/traces", content=b"", headers=headers)
        assert refused.status_code == 429
        assert refused.headers["ratelimit-policy"] == '"POST /v1/traces";q=3;w=60'
        reads = [client.get("/v1/projects").status_code for _ in range(3)]
        assert reads == [200, 200, 429]
        assert client.get("/healthz").status_code == 200


def export_over_grpc(server: StartedServer, bearer: str) -> tuple[str, int]:
    """Send an empty export; return the status and the seconds to wait."""
    import grpc  # noqa: PLC0415 - only here
    from google.rpc import error_details_pb2  # noqa: PLC0415

    path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call: Any = channel.unary_unary(path)
        try:
            call(b"", metadata=(("authorization", f"Bearer {bearer}"),), timeout=20)
        except grpc.RpcError as error:
            status: Any = error
            trailers = dict(status.trailing_metadata())
            info = error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
            return status.code().name, info.retry_delay.seconds
        return "OK", 0


def documented_rules() -> list[str]:
    """Return the rules that the page of the documents prints, each sample in one text."""
    page = Path(__file__).parents[2] / "docs" / "operations" / "network.md"
    return re.findall(r'^PHOENIX_RATE_LIMITS="(.+)"$', page.read_text(), re.MULTILINE)


def test_the_page_prints_samples() -> None:
    assert len(documented_rules()) >= 3


@pytest.mark.parametrize("text", documented_rules())
async def test_every_sample_rule_of_the_documents_works(text: str, routes: Routes) -> None:
    """Each meets a route, lets exactly its number pass, and tells truly how long to wait."""
    rules = parse_rate_rules(text)
    check_rules_meet_routes(rules, routes)
    for rule in rules:
        clock, path = FrozenClock(), re.sub(r"\*|\{\w+\}", "x", rule.path)
        counters = MemoryCounters(clock.monotonic_seconds)
        limits = RateLimits(LimitTable([rule], ()), counters, nobody_listens)
        met = limits.limits_of(rule.method or "GET", path)
        assert met == (rule.limit,)
        caller = Caller(EVERYBODY, "192.0.2.1")
        for _ in range(rule.limit.count):
            await limits.admit(met, caller, "http")
        clock.advance(rule.limit.window_seconds / 4)
        with pytest.raises(LimitExceededError) as caught:
            await limits.admit(met, caller, "http")
        wait = int(caught.value.headers["retry-after"])
        assert 0 <= wait - rule.limit.window_seconds * 3 / 4 < 1
        clock.advance(wait)
        await limits.admit(met, caller, "http")


async def nobody_listens(*_: object) -> None:
    """Hear of refusals and do nothing."""


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Routes:
    """The whole table of routes, pages included."""
    folder = tmp_path_factory.mktemp("routes")
    env = {"PHOENIX_ENABLE_AUTH": "true", "PHOENIX_SECRET": SECRET}
    return Application(read_settings(env, PHOENIX_WORKING_DIR=str(folder))).routes


def test_a_rule_that_meets_no_route_stops_the_start(tmp_path: Path) -> None:
    env = {**LIMITS_ON, "PHOENIX_RATE_LIMITS": "POST /v1/trace = 1/second"}
    refused = pytest.raises(AssertionError, match=r"no route is matched by 'POST /v1/trace'")
    with refused, StartedServer(tmp_path, env):
        pass


def test_limits_switched_off_are_warned_of_at_every_start(tmp_path: Path) -> None:
    """Spec 217-218."""
    with StartedServer(tmp_path) as server:
        assert "PHOENIX_DISABLE_RATE_LIMIT" in server.log()
        assert {sign_in(server).status_code for _ in range(8)} == {401}


# --- headers and hosts ---------------------------------------------------------------------


@pytest.mark.asvs("3.2.1", "3.4.4", "3.4.5", "3.4.6", "14.2.2", "14.3.2")
def test_every_route_carries_the_headers(without_lists: Lists, routes: Routes) -> None:
    """With a credential, with a session and with none; pages and files included."""
    server = without_lists.server
    callers = (
        server.client(server.env["PHOENIX_ADMIN_SECRET"]),
        server.client(cookie=without_lists.cookies),
        server.client(),
    )
    asked = [(route.path, route.method) for route in routes if route.path != "/auth/logout"]
    assert len(asked) > 60
    for path, method in [*asked, ("/nope", "GET"), ("/v1/projects", "OPTIONS")]:
        url = re.sub(r"[{}]|:path", "", path)
        for caller in callers if method == "GET" else callers[2:]:
            headers = caller.request(method, url).headers
            where = f"{method} {path}"
            assert headers["x-content-type-options"] == "nosniff", where
            assert headers["x-frame-options"] == "DENY", where
            assert "frame-ancestors 'none'" in headers["content-security-policy"], where
            assert "unsafe" not in headers["content-security-policy"], where
            assert headers["referrer-policy"] == "same-origin", where
            assert headers["cross-origin-opener-policy"] == "same-origin", where
            assert headers["cross-origin-resource-policy"] == "same-origin", where
            assert "camera=()" in headers["permissions-policy"], where
            is_file = path.startswith("/static/") or path == "/favicon.ico"
            assert is_file or headers["cache-control"] == "no-store", where
            assert "server" not in headers, where
            assert "strict-transport-security" not in headers, where


def test_an_https_root_url_means_hsts_and_its_host(tmp_path: Path) -> None:
    with StartedServer(tmp_path, {"PHOENIX_ROOT_URL": "https://phoenix.example.com"}) as server:

        def status(host: str, path: str = "/arize_phoenix_version") -> int:
            return send("GET", server.base_url + path, headers={"host": host}).status_code

        headers = send("GET", f"{server.base_url}/arize_phoenix_version").headers
        assert headers["strict-transport-security"].startswith("max-age=31536000")
        assert status("phoenix.example.com") == 200
        assert status("localhost:6006") == 200
        assert status("evil.example") == 400
        assert status("evil.example", "/healthz") == 200
        body = {"email": "admin@localhost", "password": PASSWORD}
        origin = {"origin": "https://phoenix.example.com"}
        answer = send("POST", f"{server.base_url}/auth/login", json=body, headers=origin)
        assert answer.text == "Invalid email and/or password"


def test_lists_with_empty_items_are_no_lists(tmp_path: Path) -> None:
    with StartedServer(tmp_path, {"PHOENIX_CSRF_TRUSTED_ORIGINS": " , ,"}) as server:
        assert sign_in(server, origin="https://evil.example").status_code == 403
