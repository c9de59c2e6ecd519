"""A browser without scripts: follows links and sends forms with what their pages hold."""

import re
from html import unescape

import httpx

from started import StartedServer

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def token_on(page: httpx.Response) -> str:
    """Return the token of the forms of a page."""
    found = _TOKEN.search(page.text)
    assert found is not None, page.text
    return unescape(found[1])


def send(
    client: httpx.Client, page: str, fields: dict[str, str | list[str]], target: str = ""
) -> httpx.Response:
    """Open a page and send its form; ``target`` where the form goes, if not to the page itself."""
    token = token_on(client.get(page))
    address = target or page.partition("?")[0]
    return client.post(address, data={"csrf_token": token, **fields}, follow_redirects=False)


def texts(page: httpx.Response, testid: str) -> list[str]:
    """Return the text of every element with this mark, without the elements inside it."""
    pattern = rf'<(\w+)[^>]*data-testid="{testid}"[^>]*>(.*?)</\1>'
    found = re.findall(pattern, page.text, re.DOTALL)
    return [unescape(" ".join(re.sub(r"<[^>]+>", " ", body).split())) for _, body in found]


def signed_in_browser(server: StartedServer) -> httpx.Client:
    """Return a client that is signed in as the first admin."""
    return server.admin()
