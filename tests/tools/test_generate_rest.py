"""The REST reference is current and says what the interface document says."""

import re

from tools.generate_permissions import application_routes
from tools.generate_rest import PAGE, rest_page


def test_the_page_is_current_and_complete() -> None:
    page = rest_page()
    assert PAGE.read_text("utf-8") == page
    for route in application_routes():
        shown = re.sub(r":\w+}", "}", route.path)
        assert page.count(f"\n### {route.method} {shown}\n") == (0 if route.hidden else 1)


def test_what_a_call_takes_and_answers_is_told() -> None:
    call = rest_page().split("\n### POST /v1/projects\n")[1].split("\n### ")[0]
    assert "Needs `projects:create`." in call
    assert "- body: [CreateProjectBody](#createprojectbody)" in call
    assert "- 409: " in call
    body = rest_page().split("\n### CreateProjectBody\n")[1].split("\n### ")[0]
    assert "| `name` | string, characters, at least 1 | yes |" in body
    assert "| `description` | string or null | `null` |" in body
