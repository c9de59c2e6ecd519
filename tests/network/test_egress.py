"""The one way out, against real servers on loopback. Issue: SSRF."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bennu.kernel.errors import UnavailableError
from bennu.kernel.secret import Secret
from bennu.network.destinations import DestinationRefusedError, Destinations, Resolver
from bennu.network.egress import Egress, EgressError, Outbound, target_of
from fakes.http_peer import HttpPeer, Reply, Seen
from peers.pki import Pki

LOOPBACK = Destinations(frozenset({"localhost", "idp.example.com"}))


def names(**known: str) -> Resolver:
    async def resolve(host: str, _: int) -> Sequence[str]:
        return (known[host.replace(".", "_")],)

    return resolve


def tls_server(pki: Pki) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    named = pki.authority.issue("idp", "/O=Test/CN=idp", names="DNS:idp.example.com")
    context.load_cert_chain(named.cert, named.key)
    return context


def trusting(pki: Pki) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pki.authority.cert))


@pytest.mark.asvs("1.3.6", "12.3.1", "12.3.3")
@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a.example/", "file:///etc/passwd", "//a.example", "https:a.example", "https://"),
        *("https://user@a.example/", "https://user:pw@a.example/", "https://a.example@b.example/"),
        *(
            "https://a.example\\@b.example/",
            "https://a.example#@b.example/",
            "https://a.example:0/",
        ),
        *("https://a.example:99999/", "https://a.example:/", "https://a.example/\r\nhost: b"),
        *("https://a.example/ b", "https://exämple.com/", "https://a.example/" + "x" * 9000),
        *("https://[::1", "https://[fe80::1%25eth0]/", "http://a.example/", "http://127.0.0.2/"),
        "https://a%2eexample/",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(EgressError):
        target_of(url)


def test_an_address_is_taken_apart() -> None:
    target = target_of("https://IdP.example.com:8443?a=b")
    assert (target.host, target.port, target.rest) == ("idp.example.com", 8443, "/?a=b")
    assert target.host_header == "idp.example.com:8443"
    assert target_of("http://[::1]:80/x").host_header == "[::1]"


async def test_a_form_is_sent_and_the_answer_comes_back() -> None:
    with HttpPeer(lambda _: Reply(400, b'{"error":"x"}', {"x-some": "y"})) as peer:
        outbound = Outbound(f"{peer.url}/token", "POST", {"a": "b c"}, {"authorization": "Basic x"})
        answer = await Egress(LOOPBACK).send(outbound)
    assert (answer.status, answer.body, answer.headers["x-some"]) == (400, b'{"error":"x"}', "y")
    (seen,) = peer.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/token", b"a=b+c")
    assert seen.headers["authorization"] == "Basic x"
    assert seen.headers["host"] == f"localhost:{peer.port}"
    assert seen.headers["accept-encoding"] == "identity"


@pytest.mark.asvs("1.3.6", "13.2.5")
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "0177.0.0.1"),
        *("[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "rebound.example"),
        *("metadata.google.internal", "127.0.0.1."),
    ],
)
async def test_what_only_this_machine_reaches_is_not_called(host: str) -> None:
    known = {"rebound_example": "127.0.0.1", "metadata_google_internal": "169.254.169.254"}
    resolve = names(localhost="127.0.0.1", **known)
    with HttpPeer() as peer:
        for scheme in ("http", "https"):
            with pytest.raises(UnavailableError):
                await Egress(Destinations(), resolve=resolve).send(
                    Outbound(f"{scheme}://{host}:{peer.port}/")
                )
    assert peer.seen == []


@pytest.mark.asvs("12.3.2")
async def test_the_connection_goes_to_what_was_resolved_and_the_name_is_what_is_proved(
    pki: Pki,
) -> None:
    """Nothing else knows this name, so a second resolution would fail."""
    with HttpPeer(lambda _: Reply(body=b"here"), tls_server(pki)) as peer:
        egress = Egress(LOOPBACK, resolve=names(idp_example_com="127.0.0.1"), trust=trusting(pki))
        answer = await egress.send(Outbound(f"https://idp.example.com:{peer.port}/a"))
        assert answer.body == b"here"
        assert peer.seen[0].headers["host"] == f"idp.example.com:{peer.port}"
        by_another_name = Egress(
            LOOPBACK, resolve=names(localhost="127.0.0.1"), trust=trusting(pki)
        )
        untrusting = Egress(LOOPBACK, resolve=names(idp_example_com="127.0.0.1"))
        for refusing, host in ((by_another_name, "localhost"), (untrusting, "idp.example.com")):
            with pytest.raises(EgressError) as refusal:
                await refusing.send(Outbound(f"https://{host}:{peer.port}/a"))
            assert "certificate not accepted" in refusal.value.detail


def test_an_authority_of_one_s_own_is_named_by_ssl_cert_file(pki: Pki) -> None:
    """As every program that uses OpenSSL takes it."""
    program = (
        "import asyncio, sys\n"
        "from bennu.network.destinations import Destinations\n"
        "from bennu.network.egress import Egress, Outbound\n"
        "egress = Egress(Destinations(frozenset({'localhost'})))\n"
        "print(asyncio.run(egress.send(Outbound(sys.argv[1]))).body.decode())\n"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.cert, pki.server.key)
    with HttpPeer(lambda _: Reply(body=b"trusted"), context) as peer:
        done = subprocess.run(
            [sys.executable, "-c", program, peer.url],
            env={"SSL_CERT_FILE": str(pki.authority.cert)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "trusted\n", done.stderr


async def test_a_second_address_is_tried_when_nobody_answers_at_the_first() -> None:
    async def two(_: str, __: int) -> Sequence[str]:
        return ("127.0.0.2", "127.0.0.1")

    with HttpPeer(lambda _: Reply(body=b"here")) as peer:
        answer = await Egress(LOOPBACK, resolve=two).send(Outbound(peer.url))
    assert answer.body == b"here"


async def test_redirects_stay_on_the_same_origin() -> None:
    def answer(seen: Seen) -> Reply:
        if seen.path == "/a":
            return Reply(302, headers={"location": "/b"})
        return Reply(body=b"there") if seen.path == "/b" else Reply(302, headers={"location": "/c"})

    with HttpPeer(answer) as peer:
        egress = Egress(LOOPBACK)
        assert (await egress.send(Outbound(f"{peer.url}/a"))).body == b"there"
        as_it_is = await egress.send(Outbound(f"{peer.url}/a", follow_redirects=False))
        assert as_it_is.status == 302
        with pytest.raises(EgressError, match="outside") as refusal:
            await egress.send(Outbound(f"{peer.url}/c"))
        assert "too often" in refusal.value.detail
        with pytest.raises(EgressError):
            await egress.send(Outbound(f"{peer.url}/a", "POST", {}))


@pytest.mark.asvs("15.3.2")
@pytest.mark.parametrize(
    "location",
    [
        *("http://169.254.169.254/latest/meta-data", "//169.254.169.254/", "http://127.0.0.1/"),
        *("https://elsewhere.example/", "http://localhost:1/", "file:///etc/passwd", ""),
        *("https://[", "//[::1", "http://[x]/", "//a]b/"),
    ],
)
async def test_a_redirect_elsewhere_is_not_followed(location: str) -> None:
    with HttpPeer(lambda _: Reply(302, headers={"location": location})) as peer:
        with pytest.raises(EgressError):
            await Egress(LOOPBACK).send(Outbound(f"{peer.url}/a"))
        assert set(peer.paths()) == {"/a"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"x" * 2000),
        Reply(headers={"content-length": "104857600"}, body=b"x"),
        Reply(endless=True),
        Reply(body=b"x", headers={"content-encoding": "gzip"}),
    ],
)
async def test_an_answer_that_is_too_large_or_compressed_is_refused(reply: Reply) -> None:
    with HttpPeer(lambda _: reply) as peer, pytest.raises(EgressError):
        await Egress(LOOPBACK).send(Outbound(peer.url, most_bytes=1000))


async def test_a_server_that_never_answers_is_left() -> None:
    with HttpPeer(lambda _: Reply(silent=True)) as peer, pytest.raises(EgressError) as refusal:
        await Egress(LOOPBACK).send(Outbound(peer.url, total_seconds=0.3))
    assert refusal.value.retry_after_seconds
    assert "localhost" in refusal.value.detail


async def test_a_closed_port_is_said_to_be_closed() -> None:
    with HttpPeer() as peer:
        url = peer.url
    with pytest.raises(EgressError) as refusal:
        await Egress(LOOPBACK).send(Outbound(url))
    assert "ConnectError" in refusal.value.detail


# --- proxy ---------------------------------------------------------------------------------


@asynccontextmanager
async def proxy_to(port: int, asked: list[str]) -> AsyncIterator[int]:
    """A proxy that leads every CONNECT to one port of this machine."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        inner = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def test_a_proxy_gets_the_name_and_tls_goes_to_the_far_end(pki: Pki) -> None:
    async def nobody(_: str, __: int) -> Sequence[str]:
        raise AssertionError

    asked: list[str] = []
    with HttpPeer(lambda _: Reply(body=b"far"), tls_server(pki)) as peer:
        async with proxy_to(peer.port, asked) as port:
            proxy = Secret(f"http://me:word@127.0.0.1:{port}")
            egress = Egress(LOOPBACK, proxy=proxy, resolve=nobody, trust=trusting(pki))
            answer = await egress.send(Outbound("https://idp.example.com/a"))
            assert answer.body == b"far"
            assert asked[0].startswith("CONNECT idp.example.com:443 ")
            assert "proxy-authorization: basic" in asked[0].lower()
            with pytest.raises(DestinationRefusedError):
                await egress.send(Outbound("https://metadata.google.internal/"))
            assert len(asked) == 1


async def test_some_hosts_are_called_without_the_proxy(pki: Pki) -> None:
    with HttpPeer(lambda _: Reply(body=b"near"), tls_server(pki)) as peer:
        egress = Egress(
            LOOPBACK,
            proxy=Secret("http://127.0.0.1:1"),
            no_proxy=("example.com",),
            resolve=names(idp_example_com="127.0.0.1"),
            trust=trusting(pki),
        )
        answer = await egress.send(Outbound(f"https://idp.example.com:{peer.port}/"))
    assert answer.body == b"near"


async def test_loopback_is_called_without_the_proxy() -> None:
    with HttpPeer(lambda _: Reply(body=b"near")) as peer:
        egress = Egress(LOOPBACK, proxy=Secret("http://127.0.0.1:1"))
        assert (await egress.send(Outbound(peer.url))).body == b"near"
