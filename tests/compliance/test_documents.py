"""What docs/compliance/security-decisions.md says is what the source does.

Source: OWASP ASVS 5.0, the requirements on documentation of each chapter. docs/compliance/asvs.md.
"""

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest
from tools.generate_permissions import application_routes

from bennu.access import BUILT_IN_ROLES
from bennu.audit.query import MOST_RECORDS
from bennu.audit.settings import AuditSettings
from bennu.auth.api_keys import rules
from bennu.auth.credential import CredentialKind
from bennu.auth.local import passwords
from bennu.auth.local.mails import MAILS_PER_HOUR
from bennu.auth.lockout import ACCOUNT_FACTOR
from bennu.auth.oauth2.handshake import MOST_UNDER_WAY
from bennu.auth.settings import AuthSettings
from bennu.encryption.secret import KDF_ITERATIONS, KDF_NAME
from bennu.httpio.request import JSON_BODY_LIMIT_BYTES
from bennu.httpio.route import Door, Limit
from bennu.network.rate_rules import BUILT_IN
from bennu.network.settings import NetworkSettings
from bennu.privacy.jobs import _MOST_EXPORTS
from bennu.roles.model import _NAME
from bennu.roles.model import DESCRIPTION_LIMIT as ROLE_DESCRIPTION_LIMIT
from bennu.storage.schema import metadata
from bennu.traces.annotations.flow import MOST_WAITING
from bennu.traces.expressions.tokens import MOST_CHARACTERS
from bennu.traces.projects.store import MAX_NAME_BYTES
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.filters import MOST_ATTRIBUTE_FILTERS
from bennu.users.model import _EMAIL_LIMIT, _NAME_LIMIT
from bennu.web.forms import _MOST_FIELDS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "bennu"
PAGE = (ROOT / "docs" / "compliance" / "security-decisions.md").read_text("utf-8")


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next of its level."""
    level = heading.split(" ", maxsplit=1)[0]
    start = PAGE.index(f"\n{heading}\n")
    rest = PAGE[start + len(heading) + 2 :]
    return re.split(rf"\n#{{2,{len(level)}}} ", rest)[0]


def tables(heading: str) -> list[list[list[str]]]:
    """Return the tables of a section: rows of cells, without the head."""
    found: list[list[list[str]]] = [[]]
    for line in section(heading).splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif found[-1]:
            found.append([])
    return [table[2:] for table in found if table]


def missing_tests(rows: list[list[str]]) -> list[str]:
    """Return the tests that a table names in its last column and that are not there."""
    assert rows
    missing = []
    for row in rows:
        path, _, name = row[-1].strip("`").partition("::")
        file = ROOT / "tests" / path
        if not file.is_file() or f"def {name}(" not in file.read_text("utf-8"):
            missing.append(row[-1])
    return missing


def number(text: str) -> int:
    return int(text.split(" ", maxsplit=1)[0])


@pytest.mark.asvs("2.1.1")
def test_rules_of_input_are_those_of_the_code() -> None:
    traces = TracesSettings()
    expected = {
        "e-mail address": _EMAIL_LIMIT,
        "user name": _NAME_LIMIT,
        "password": passwords.MAX_LENGTH,
        "name of a role": 64,
        "name of an API key": rules.NAME_LIMIT,
        "description of an API key or role": rules.DESCRIPTION_LIMIT,
        "projects of a restricted API key": rules.PROJECTS_LIMIT,
        "name of a project": MAX_NAME_BYTES,
        "body in JSON": JSON_BODY_LIMIT_BYTES,
        "body of an export, as sent": traces.max_body_bytes,
        "body of an export, decompressed": traces.max_decompressed_bytes,
        "filter expression": MOST_CHARACTERS,
        "attribute filters of a request": MOST_ATTRIBUTE_FILTERS,
        "fields of a form": _MOST_FIELDS,
    }
    (rows,) = tables("## What input must look like")
    assert {row[0]: number(row[2]) for row in rows} == expected
    assert rules.DESCRIPTION_LIMIT == ROLE_DESCRIPTION_LIMIT
    assert _NAME.fullmatch("a" * 64)
    assert not _NAME.fullmatch("a" * 65)


@pytest.mark.asvs("2.1.2")
def test_every_rule_of_combined_values_names_a_test() -> None:
    (rows,) = tables("## What must fit together")
    assert len(rows) >= 14
    assert missing_tests(rows) == []


@pytest.mark.asvs("2.1.3")
def test_limits_are_those_of_the_code() -> None:
    auth, network, traces = AuthSettings(), NetworkSettings(), TracesSettings()
    attempts = auth.brute_force_max_attempts
    expected = {f"`{one.name}`": (one.count, one.window_seconds) for one in BUILT_IN.values()}
    expected |= {
        "failed sign-ins of an account from one address": (attempts, 900),
        "failed sign-ins of an account from new addresses": (attempts * ACCOUNT_FACTOR, 3_600),
        "mails that others can cause": (MAILS_PER_HOUR, 3_600),
        "passwords that wait to be checked": (passwords.MOST_WAITING, 0),
        "sign-ins at a provider under way": (MOST_UNDER_WAY, 0),
        "exports of data that wait": (_MOST_EXPORTS, 0),
        "connections": (network.max_connections_per_address, 0),
        "spans that wait for their commit": (traces.max_queue_spans, 0),
        "bytes of spans that wait": (traces.max_queue_bytes, 0),
        "annotations that wait for their span": (MOST_WAITING, 0),
        "records of a page of the audit trail": (MOST_RECORDS, 0),
    }
    (rows,) = tables("## Limits")
    assert {row[0]: (int(row[2]), int(row[3].replace("-", "0"))) for row in rows} == expected


@pytest.mark.asvs("6.1.1")
def test_what_is_said_of_guessing_is_true() -> None:
    page = (ROOT / "docs" / "operations" / "guessing.md").read_text("utf-8")
    attempts = AuthSettings().brute_force_max_attempts
    assert f"`PHOENIX_BRUTE_FORCE_LOGIN_PROTECTION_MAX_ATTEMPTS` ({attempts})" in page
    assert "Nobody locks out somebody else" in page
    lockout = (SOURCE / "auth" / "lockout.py").read_text("utf-8")
    assert "most, timedelta(minutes=5), timedelta(minutes=15)" in lockout
    assert re.search(r"within 15 minutes \| this address waits 5 minutes", page)
    assert ACCOUNT_FACTOR == 10
    assert re.search(r"ten times as many within an hour \| one attempt a minute", page)
    assert "most * ACCOUNT_FACTOR, timedelta(minutes=1), timedelta(hours=1)" in lockout
    for name in re.findall(r"PHOENIX_[A-Z_]+", page):
        assert name in (ROOT / "docs" / "configuration.md").read_text("utf-8"), name


@pytest.mark.asvs("6.1.2")
def test_words_of_this_product_are_those_of_the_code() -> None:
    listed = section("### Words that are no password").partition(";")[0]
    assert set(re.findall(r"`([^`]+)`", listed)) == passwords.OWN_WORDS


@pytest.mark.asvs("6.1.3")
def test_every_way_in_is_listed() -> None:
    (rows,) = tables("## Ways in")
    told = {route for row in rows for route in re.findall(r"`([A-Z]+ /[^`]+)`", row[1])}
    limits = {Limit.SIGN_IN, Limit.SIGN_IN_CALLBACK, Limit.PASSWORD_RESET_USE}
    opened = [one for one in application_routes() if one.permission is Door.OPEN]
    ways = {one for one in opened if one.limit in limits or one.path.endswith("/login")}
    ways -= {one for one in ways if (one.method, one.path) == ("GET", "/login")}
    assert told == {f"{one.method} {one.path}" for one in ways}
    prefixes = {"uk": "API key", "sk": "API key", "at": "session", "rt": "session"}
    kinds = {str(kind) for kind in CredentialKind} - {"pr"}
    assert kinds == prefixes.keys()
    names = {row[0] for row in rows}
    assert set(prefixes.values()) | {"mailed link", "admin secret", "client certificate"} <= names


@pytest.mark.asvs("6.8.4")
def test_nothing_depends_on_the_strength_of_a_sign_in_elsewhere() -> None:
    """The fallback that is written down holds: claims of strength are read nowhere."""
    text = section("## Ways in")
    assert "counts as signed in by a password" in text
    for path in (SOURCE / "auth").rglob("*.py"):
        constants = {
            node.value
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant)
        }
        assert not constants & {"acr", "amr", "auth_time"}, path
    # What somebody may do comes from the role alone, which does not know the way of signing in.
    assert all(isinstance(allowed, frozenset) for allowed in BUILT_IN_ROLES.values())


@pytest.mark.asvs("7.1.1")
def test_lifetimes_are_those_of_the_code() -> None:
    auth = AuthSettings()
    minute = timedelta(minutes=1)
    expected = {
        "`PHOENIX_ACCESS_TOKEN_EXPIRY_MINUTES`": f"{auth.access_lifetime // minute} minutes",
        "`PHOENIX_SESSION_IDLE_TIMEOUT_MINUTES`": f"{auth.session_idle_limit // minute} minutes",
        "`PHOENIX_REFRESH_TOKEN_EXPIRY_MINUTES`": f"{auth.refresh_lifetime // minute} minutes",
        "`PHOENIX_SESSION_MAX_LIFETIME_DAYS`": f"{auth.session_absolute_lifetime.days} days",
        "`PHOENIX_PASSWORD_RESET_TOKEN_EXPIRY_MINUTES`": f"{auth.reset_lifetime // minute} minutes",
    }
    assert {row[2]: row[1] for row in tables("## Sessions")[0]} == expected
    assert "NIST SP 800-63B" in section("## Sessions")


@pytest.mark.asvs("7.1.3")
def test_what_is_said_of_providers_sessions_names_its_tests() -> None:
    rows = tables("## Sessions")[1]
    assert len(rows) == 5
    assert missing_tests(rows) == []


@pytest.mark.asvs("8.1.2")
def test_rules_of_fields_name_their_tests() -> None:
    (rows,) = tables("## Fields")
    assert len(rows) >= 9
    assert missing_tests(rows) == []


@pytest.mark.asvs("11.1.1", "11.1.2")
def test_every_key_is_in_the_inventory() -> None:
    rows = tables("## Keys and algorithms")[0]
    constants: dict[str, str] = {}
    wanted: list[tuple[str, dict[str, str]]] = []
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        own = dict(re.findall(r'^(\w+): Final = "([\w-]+)"', text, re.MULTILINE))
        constants |= own
        wanted += [(name, own) for name in re.findall(r"purpose_key\(\w+, ([A-Z_]+)\)", text)]
    purposes = {own.get(name) or constants[name] for name, own in wanted}
    assert purposes
    assert {row[0].strip("`") for row in rows if "sealed" in row[3]} == purposes
    assert all(all(row) for row in rows)
    rotation = (ROOT / "docs" / "operations" / "rotation.md").read_text("utf-8")
    for name in ("PHOENIX_SECRET", "PHOENIX_ADMIN_SECRET", "TLS certificate", "API keys"):
        assert name in rotation


def _everything() -> str:
    return "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))


@pytest.mark.asvs("11.1.2")
def test_every_algorithm_is_in_the_inventory() -> None:
    rows = tables("## Keys and algorithms")[1]
    told = " ".join(row[0] for row in rows)
    assert KDF_NAME in told
    assert f"{KDF_ITERATIONS:,} rounds" in told
    for word, text in (
        ("Fernet", "from cryptography.fernet import Fernet"),
        ("argon2id, 19 MiB, 2 rounds", "_MEMORY_KIBIBYTES: Final = 19_456\n_ROUNDS: Final = 2"),
        ("HMAC-SHA256", '"sha256").hex()'),
        ("Ed25519", "Ed25519PrivateKey"),
        ("SHA-256", "hashlib.sha256"),
        ("ECDHE and AES-GCM or ChaCha20", 'CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"'),
        ("RS, PS and ES", "RS256"),
    ):
        assert word in told
        named = [row[2].strip("`") for row in rows if word in row[0]]
        assert any(text in (SOURCE / name).read_text("utf-8") for name in named), word
    used = set(
        re.findall(r"import (\w+Cipher\w*|ChaCha\w+|AESGCM|AESCCM|X25519\w+)", _everything())
    )
    assert used == set()


@pytest.mark.asvs("13.1.1")
def test_every_call_is_documented() -> None:
    plan = (SOURCE / "firewall" / "plan.py").read_text("utf-8")
    called = re.findall(r'yield f?"([^"{]+?)(?: \{[^"]*)?", ', plan)
    (rows,) = tables("## What the server calls")
    assert {row[0] for row in rows} == set(called)
    assert len(called) >= 6


@pytest.mark.asvs("14.1.1")
def test_every_marked_column_is_classified() -> None:
    (rows,) = tables("## Classes of data")
    told = {row[0]: set(re.findall(r"`(\w+\.\w+)`", row[1])) for row in rows}
    columns = [(f"{t}.{c.name}", c.info) for t in metadata.tables.values() for c in t.columns]
    sealed = {name for name, info in columns if info.get("sealed")}
    personal = {name for name, info in columns if info.get("personal")}
    assert told["secrets"] == sealed
    assert told["personal"] | told["content"] == personal
    assert not told["personal"] & told["content"]


@pytest.mark.asvs("14.1.2")
def test_each_class_of_data_says_how_it_is_protected() -> None:
    (rows,) = tables("## Classes of data")
    protection = {row[0]: row[2] for row in rows}
    for name in ("secrets", "personal", "content"):
        for word in ("log", "deleted|kept", "sealed|0600|encrypt|as personal"):
            assert re.search(word, protection[name]), (name, word)
    assert f"kept {AuditSettings().retention_days} days" in protection["evidence"]


@pytest.mark.asvs("15.1.1")
def test_times_for_remedies_are_given() -> None:
    (rows,) = tables("## Updates")
    days = [number(row[1]) for row in rows]
    assert len(days) == 5
    assert days == sorted(days)
    assert "three working days" in (ROOT / "SECURITY.md").read_text("utf-8")


@pytest.mark.asvs("15.1.3")
def test_what_costs_much_names_its_bound() -> None:
    (rows,) = tables("## What costs much")
    assert len(rows) >= 9
    assert all(row[1] for row in rows)
    assert missing_tests(rows) == []


@pytest.mark.asvs("16.1.1")
def test_every_logger_is_in_the_inventory() -> None:
    (rows,) = tables("## Logs")
    used = {
        name
        for name in re.findall(r'getLogger\(\s*"(bennu[\w.]*)"\s*\)', _everything())
        if name != "bennu"
    }
    assert {row[0].strip("`") for row in rows} == used
    assert all(row[1] for row in rows)
    days = AuditSettings().retention_days
    assert f"`PHOENIX_AUDIT_RETENTION_DAYS` says ({days})" in section("## Logs").replace("\n", " ")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+\.md)", PAGE))))
def test_pages_that_are_named_exist(link: str) -> None:
    assert (ROOT / "docs" / "compliance" / link).is_file()
