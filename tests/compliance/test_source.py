"""What the source must not hold, looked for in the source itself: reading it is the only proof.

Source: OWASP ASVS 5.0, chapters 1, 3, 6, 11, 13 and 15. docs/compliance/asvs.md.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from bennu.network.headers import PAGE_POLICY
from bennu.storage.schema import metadata

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "bennu"
WEB = SOURCE / "web"
MODULES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
}
TEMPLATES = {path.name: path.read_text("utf-8") for path in (WEB / "templates").rglob("*.html")}
SCRIPTS = {path.name: path.read_text("utf-8") for path in (WEB / "static").glob("*.js")}

#: Libraries that the server uses; none of them speaks XPath, XML, LaTeX, JNDI or memcache.
LIBRARIES = {
    *("aiosmtplib", "alembic", "argon2", "asyncpg", "azure", "boto3", "botocore", "certifi"),
    *("click", "cryptography", "google", "grpc", "httpx", "jinja2", "jmespath", "joserfc", "ldap"),
    *("markdown_it", "markupsafe", "msgspec", "opentelemetry", "prometheus_client", "redis"),
    *("sqlalchemy", "starlette", "uvicorn", "uvloop", "zstandard"),
}
#: Parts of Python that run, load or make objects from what they are given.
DANGEROUS_MODULES = {
    *("code", "codeop", "dbm", "dill", "marshal", "pickle", "runpy", "shelve", "subprocess"),
    *("pty", "xml", "xmlrpc", "yaml", "ftplib", "telnetlib", "pdb"),
}
#: Modules that draw random numbers, and who may ask for them.
RANDOM_SOURCES = {"kernel/ids.py"}


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the full names of what a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of these names, ``re.compile`` or ``.format`` for a method of anything."""
    for path, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                is_method = isinstance(node.func, ast.Attribute)
                if called in names or (is_method and f".{called.rpartition('.')[2]}" in names):
                    yield f"{path}:{node.lineno}", node


def constants_of(path: str) -> set[str]:
    """Return the names that a module gives a value once, at its top."""
    given = [node for node in MODULES[path].body if isinstance(node, ast.Assign | ast.AnnAssign)]
    targets = [t for n in given for t in (n.targets if isinstance(n, ast.Assign) else [n.target])]
    return {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}


def is_written_in_the_source(node: ast.expr, path: str) -> bool:
    """Whether an expression is made of literals and constants of its module alone."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id in constants_of(path)
    if isinstance(node, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.FormattedValue) else v for v in node.values)
        return all(is_written_in_the_source(part, path) for part in parts)
    if isinstance(node, ast.BinOp):
        return all(is_written_in_the_source(side, path) for side in (node.left, node.right))
    return False


def imported(*names: str) -> list[str]:
    """Return which modules import one of these, or something inside."""
    return [
        f"{path} imports {name}"
        for path, tree in MODULES.items()
        for name in imports(tree)
        if any(name == one or name.startswith(f"{one}.") for one in names)
    ]


@pytest.mark.asvs("1.2.7", "1.3.8", "1.3.9")
def test_only_known_libraries_are_used() -> None:
    tops = {name.split(".")[0] for tree in MODULES.values() for name in imports(tree)}
    assert tops - set(sys.stdlib_module_names) - {"bennu"} == LIBRARIES


@pytest.mark.asvs("1.2.5", "1.3.2")
def test_nothing_sent_can_be_executed() -> None:
    dangerous = ("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.startfile")
    assert [place for place, _ in calls(*dangerous)] == []
    started = (".execv", ".execvp", ".posix_spawn", ".create_subprocess_exec", ".fork")
    assert [place for place, _ in calls(*started, ".create_subprocess_shell")] == []
    assert imported("subprocess", "code", "codeop", "runpy", "pty", "pdb") == []
    # The one import by name chooses among the commands of the command line.
    loaded = list(calls("importlib.import_module", "import_module"))
    assert [(p.partition(":")[0], ast.unparse(c.args[0])) for p, c in loaded] == [
        ("cli/main.py", "f'bennu.cli.{entry.module}'")
    ]


@pytest.mark.asvs("1.5.2")
def test_nothing_is_deserialised_into_objects() -> None:
    assert imported(*DANGEROUS_MODULES) == []
    # msgspec makes the declared types only; a hook that makes others stands nowhere.
    assert [place for place, call in calls(".decode") if "ext_hook" in ast.unparse(call)] == []


@pytest.mark.asvs("1.2.9")
def test_patterns_are_written_in_the_source() -> None:
    functions = ("compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer")
    made = [
        place
        for place, call in calls(*(f"re.{name}" for name in functions))
        if not is_written_in_the_source(call.args[0], place.partition(":")[0])
    ]
    # Rules of rate limits become patterns; network/test_paths.py shows that they are escaped.
    # Paths of the table of routes are compiled once more, with another end.
    assert {place.partition(":")[0] for place in made} == {"network/paths.py", "httpio/dispatch.py"}
    assert "re.escape(" in (SOURCE / "network" / "paths.py").read_text("utf-8")


@pytest.mark.asvs("1.3.10")
def test_format_strings_are_written_in_the_source() -> None:
    made = [
        (place.partition(":")[0], ast.unparse(call.func))
        for place, call in calls(".format", ".format_map", ".vformat")
        if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Constant)
    ]
    allowed = {
        # Statements are constants; what is put in are question marks.
        ("storage/bulk.py", "statement.text.format"),
        # No format strings: these write a log line and indented JSON.
        ("app.py", "JsonLines().format"),
        ("web/content.py", "msgspec.json.format"),
        ("privacy/export_archive.py", "msgspec.json.format"),
    }
    assert set(made) <= allowed
    percent = [
        f"{path}:{node.lineno}"
        for path, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mod)
        and isinstance(node.left, ast.JoinedStr)
    ]
    assert percent == []


@pytest.mark.asvs("1.3.7")
def test_templates_come_from_the_package() -> None:
    assert [place for place, _ in calls(".from_string", "Template", "jinja2.Template")] == []
    (made,) = calls("Environment")
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in made[1].keywords}
    assert made[0].startswith("web/pages.py:")
    assert given["loader"] == "PackageLoader('bennu.web')"
    assert given["autoescape"] == "True"
    unescaped = [name for name, text in TEMPLATES.items() if re.search(r"\|\s*safe\b", text)]
    assert unescaped == []
    assert not [name for name, text in TEMPLATES.items() if "autoescape false" in text]
    # The one text that is markup already is the output of the Markdown renderer.
    assert {place.partition(":")[0] for place, _ in calls("Markup")} == {"web/content.py"}


@pytest.mark.asvs("1.2.3", "3.2.2")
def test_no_script_is_made_from_data() -> None:
    for name, text in TEMPLATES.items():
        scripts = re.findall(r"<script\b([^>]*)>(.*?)</script>", text, re.DOTALL)
        assert all("src=" in attributes and not body for attributes, body in scripts), name
        assert not re.search(r"<[^>]*\son[a-z]+\s*=", text), name
        assert "javascript:" not in text, name
    for name, text in SCRIPTS.items():
        for sink in (
            *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("),
            *("new Function", "setTimeout('", 'setTimeout("', "createContextualFragment"),
            *("srcdoc", "setHTML", "DOMParser"),
        ):
            assert sink not in text, f"{name}: {sink}"


@pytest.mark.asvs("3.5.5", "14.3.3")
def test_scripts_listen_only_to_their_own_server_and_store_nothing() -> None:
    """Server-sent events come from an address that the page itself names; no other host may."""
    assert b"connect-src 'self';" in PAGE_POLICY
    for name, text in SCRIPTS.items():
        for forbidden in (
            *("postMessage", '"message"', "'message'", "onmessage", "BroadcastChannel"),
            *("localStorage", "sessionStorage", "indexedDB", "document.cookie", "caches."),
            *("serviceWorker", "WebSocket", "cookieStore"),
        ):
            assert forbidden not in text, f"{name}: {forbidden}"
        streams = re.findall(r"EventSource\(([^)]*)\)", text)
        assert len(streams) == text.count("EventSource"), name
        assert set(streams) <= {"address"}, name
        for address in re.findall(r"\bfollow\(([^,]+),", text):
            assert re.fullmatch(r"\w+\.dataset\.\w+", address), f"{name}: {address}"


@pytest.mark.asvs("15.3.6")
def test_scripts_write_no_named_properties() -> None:
    """No object takes its keys from data, so that no name can reach a prototype."""
    for name, text in SCRIPTS.items():
        for forbidden in ("__proto__", "Object.assign", "JSON.parse", ".prototype", "for (const k"):
            assert forbidden not in text, f"{name}: {forbidden}"
        assert not re.search(r"\w\[[^\]]+\]\s*=[^=]", text), name
        assert not re.search(r"\bfor\s*\([^)]*\bin\b", text), name


@pytest.mark.asvs("3.7.1")
def test_pages_use_no_plugins() -> None:
    for name, text in TEMPLATES.items():
        plugin = r"<(object|embed|applet|iframe|frame|portal|marquee|blink)\b"
        found = re.search(plugin, text, re.IGNORECASE)
        assert found is None, f"{name}: {found}"


@pytest.mark.asvs("6.2.6", "6.2.7")
def test_password_fields_hide_and_take_what_is_pasted() -> None:
    fields = [
        field
        for name, text in TEMPLATES.items()
        for field in re.findall(r"<input\b[^>]*>|\{\{ field\(.*?\) \}\}", text, re.DOTALL)
        # That of the mail server, and one to try the directory with, are not the reader's own.
        if name not in {"secrets.html", "sign_in_settings.html"}
        if re.search(r'(name=|field\()"[a-z_]*password[a-z_]*"', field)
    ]
    assert len(fields) >= 6
    for field in fields:
        assert re.search(r'type="password"', field), field
        assert re.search(r'autocomplete="(current|new)-password"', field), field
    everything = " ".join((*TEMPLATES.values(), *SCRIPTS.values()))
    for event in ("paste", "copy", "contextmenu", "drop"):
        assert f"on{event}" not in everything
        assert f'addEventListener("{event}"' not in everything


@pytest.mark.asvs("6.4.2")
def test_nothing_but_a_password_recovers_an_account() -> None:
    columns = {f"{table}.{c.name}" for table in metadata.tables.values() for c in table.columns}
    words = re.compile("hint|question|answer|maiden|memorable", re.IGNORECASE)
    assert [name for name in columns if words.search(name)] == []
    fields = re.findall(r'name="(\w+)"', " ".join(TEMPLATES.values()))
    assert len(fields) > 20
    assert [name for name in fields if words.search(name)] == []


@pytest.mark.asvs("11.2.1")
def test_cryptography_comes_from_known_libraries() -> None:
    known = ("argon2", "cryptography", "hashlib", "hmac", "joserfc", "secrets", "ssl")
    others = ("Crypto", "Cryptodome", "nacl", "rsa", "ecdsa", "jwt", "jose", "passlib", "bcrypt")
    assert imported(*others) == []
    assert all(imported(name) for name in known)


@pytest.mark.asvs("11.3.1", "11.3.2")
def test_only_approved_ciphers_are_used() -> None:
    """Fernet is AES-128 in CBC under HMAC-SHA256; TLS picks its own, see tls/context.py."""
    allowed = {
        "cryptography.fernet",
        "cryptography.exceptions",
        "cryptography.x509",
        "cryptography.hazmat.primitives.hashes",
        "cryptography.hazmat.primitives.serialization",
        "cryptography.hazmat.primitives.kdf.pbkdf2",
        "cryptography.hazmat.primitives.asymmetric.ec",
        "cryptography.hazmat.primitives.asymmetric.ed448",
        "cryptography.hazmat.primitives.asymmetric.ed25519",
        "cryptography.hazmat.primitives.asymmetric.rsa",
    }
    found = {
        name
        for tree in MODULES.values()
        for name in imports(tree)
        if name.startswith("cryptography.")
    }
    assert [n for n in found if not any(n == a or n.startswith(f"{a}.") for a in allowed)] == []
    text = "\n".join(ast.unparse(tree) for tree in MODULES.values())
    assert not re.search(r"\b(ECB|PKCS1v15|TripleDES|ARC4|Blowfish|RC4|DES3)\b", text)


@pytest.mark.asvs("11.4.1", "11.4.3")
def test_only_approved_hashes_are_used() -> None:
    weak = re.compile(r"\b(md2|md4|md5|sha1|ripemd160|crc32c)\b", re.IGNORECASE)
    for path, tree in MODULES.items():
        found = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
        found += [str(n.value) for n in ast.walk(tree) if _is_word(n)]
        assert [text for text in found if weak.fullmatch(text.rpartition(".")[2])] == [], path


def _is_word(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value


@pytest.mark.asvs("11.5.1")
def test_randomness_comes_from_the_system() -> None:
    assert imported("random", "numpy", "uuid.uuid1", "uuid.uuid4") == []
    assert [place for place, _ in calls("uuid.uuid1", "uuid.uuid4", "uuid.uuid3")] == []
    drawn = {
        place.partition(":")[0]
        for place, _ in calls("os.urandom", "secrets.token_bytes", "secrets.randbits")
    }
    assert drawn <= RANDOM_SOURCES
    assert drawn


@pytest.mark.asvs("13.4.2")
def test_nothing_is_run_in_debug_mode() -> None:
    for place, call in calls(".Starlette", "Starlette", ".Config", "Config", ".run", "asyncio.run"):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("debug", "False") in {"False", "None"}, place
        assert given.get("reload", "False") == "False", place
    assert [place for place, _ in calls(".set_debug", "breakpoint", "tracemalloc.start")] == []
    assert imported("pdb", "tracemalloc", "cProfile") == []


@pytest.mark.asvs("13.4.1", "15.2.3")
def test_only_the_package_is_shipped() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"] == {"packages": ["src/bennu"]}
    names = {path.name for path in SOURCE.rglob("*") if "__pycache__" not in path.parts}
    extra = re.compile(r"^(\.|test_|conftest|example|sample)|\.(orig|bak|rej|map|sh|md)$")
    assert [name for name in names if extra.search(name)] == []
    assert [path for path, tree in MODULES.items() if "pytest" in set(imports(tree))] == []


@pytest.mark.asvs("15.1.2")
def test_every_library_is_listed_and_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[><=]", one)[0] for one in wanted}
    listed = (ROOT / "docs" / "decisions" / "dependencies.md").read_text("utf-8")
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", listed)] == []
    locked = (ROOT / "requirements" / "runtime.txt").read_text("utf-8")
    pinned = r"^([a-z0-9_.-]+)(?:\[[a-z]+\])?==[^\n]+ \\\n +--hash=sha256:"
    pins = re.findall(pinned, locked, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z]", locked, re.MULTILINE))
    direct = {re.split(r"[\[><=]", one)[0] for one in project["dependencies"]}
    assert direct <= set(pins)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_there_are_scripts_to_read(name: str) -> None:
    assert SCRIPTS[name]
    assert len(TEMPLATES) > 20
    assert len(MODULES) > 200
