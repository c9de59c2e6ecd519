"""Settings, Security: the best practices as checks. Spec: lines 226-250."""

from pathlib import Path

from started import StartedServer
from web.browsing import texts

PAGE = "/settings/security"


def test_checks_are_shown_with_reason_and_setting_what_is_unsafe_first(tmp_path: Path) -> None:
    with StartedServer(tmp_path, {"PHOENIX_DISABLE_RATE_LIMIT": "true"}) as server:
        client = server.admin()
        page = client.get(PAGE)
        rows = texts(page, "security-row")
        assert rows[0].startswith("unsafe")
        assert any("rate limit" in row and "PHOENIX_DISABLE_RATE_LIMIT" in row for row in rows)
        assert any(row.startswith("good") and "PHOENIX_ENABLE_AUTH" in row for row in rows)
        assert any(row.startswith("good") and "PHOENIX_SECRET" in row for row in rows)
        assert server.env["PHOENIX_SECRET"] not in page.text
        assert server.client().get(PAGE, follow_redirects=False).status_code == 303
