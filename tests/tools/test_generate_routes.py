"""The page of routes is current and holds every route."""

from tools.generate_permissions import application_routes
from tools.generate_routes import PAGE, routes_page


def test_the_page_is_current_and_complete() -> None:
    page = routes_page()
    assert PAGE.read_text("utf-8") == page
    for route in application_routes():
        assert page.count(f"| `{route.method} {route.path}` |") == 1


def test_limits_events_and_reasons_are_told() -> None:
    row = next(line for line in routes_page().splitlines() if "`POST /auth/login`" in line)
    assert row.split(" | ")[2:] == [
        "`open`",
        "5 in 60 s per ip",
        "`auth.sign_in.succeeded`, `auth.sign_in.failed`, `auth.session.ended` |",
    ]
    row = next(line for line in routes_page().splitlines() if "`POST /v1/traces`" in line)
    assert "none: ingest is what the server is for" in row
