"""How a server starts: with nothing set, in memory, secured; and what makes it refuse."""

import json
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from started import SECRET, StartedServer

NOTHING = {
    "PHOENIX_ENABLE_AUTH": "",
    "PHOENIX_SECRET": "",
    "PHOENIX_ADMIN_SECRET": "",
    "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": "",
    "PHOENIX_HOST": "",
}


def refusal(server: StartedServer) -> tuple[int, str]:
    """Start a server that must not start; return exit status and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "bennu", "serve"],
        env={"PATH": "/usr/bin:/bin", **{k: v for k, v in server.env.items() if v}},
        cwd=server.folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def listening_addresses(pid: int) -> set[str]:
    """Return the local addresses on which a process listens, from the kernel's own table."""
    inodes = {
        target[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if (target := str(link.readlink())).startswith("socket:[")
    }
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].split(":")[0])
    return found


def test_without_any_setting_it_serves_loopback_without_authentication(tmp_path: Path) -> None:
    with StartedServer(tmp_path, NOTHING) as server:
        with server.client() as client:
            assert client.get("/v1/projects").json()["data"][0]["name"] == "default"
            assert client.get("/v1/user").json() == {"data": {"auth_method": "ANONYMOUS"}}
            key = client.post("/v1/user/api_keys", json={"data": {"name": "k"}})
            assert key.status_code == 403
            assert "PHOENIX_ENABLE_AUTH" in key.text
        loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
        assert listening_addresses(server.pid) <= loopback
        assert "Password" not in server.log()
        for name in ("bennu.db", "bennu.key"):
            mode = stat.S_IMODE((tmp_path / "work" / name).stat().st_mode)
            assert mode == 0o600, name


def test_a_secret_given_later_adopts_what_the_key_file_sealed(tmp_path: Path) -> None:
    with StartedServer(tmp_path, NOTHING):
        pass
    with StartedServer(tmp_path) as server:
        assert server.admin().get("/v1/projects").status_code == 200


def test_a_database_in_memory_works(tmp_path: Path) -> None:
    with StartedServer(tmp_path, {"PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:"}) as server:
        key = server.api_key()
        with server.client(key) as client:
            assert client.post("/v1/projects", json={"name": "p"}).status_code == 200
            assert len(client.get("/v1/projects").json()["data"]) == 2
    assert not list(tmp_path.rglob("*.db"))


@pytest.mark.asvs("6.3.2")
def test_a_random_first_password_is_printed_once(tmp_path: Path) -> None:
    server = StartedServer(tmp_path, {"PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": ""})
    with server:
        (line,) = [line for line in server.log().splitlines() if "Password  " in line]
        password = line.split()[-1]
        assert server.sign_in(password=password).get("/v1/user").status_code == 200
    with server:
        assert server.log().count("Password  ") == 1


def test_a_reload_without_certificates_ends_nothing(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        server.send_signal("SIGHUP")
        server.wait_for_log("server.nothing_to_reload")
        assert server.client().get("/readyz").status_code == 200


@pytest.mark.asvs("16.2.4")
def test_structured_logs_are_json_from_the_first_line_on(tmp_path: Path) -> None:
    """What they hold is in tests/spec/test_11_audit.py."""
    env = {"PHOENIX_LOGGING_MODE": "structured", "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": ""}
    with StartedServer(tmp_path, env) as server:
        (first,) = [r for r in server.log_records() if r["message"] == "server.first_sign_in"]
        assert server.sign_in(first["user"], first["password"]).get("/v1/user").status_code == 200
        password = first["password"]
    with StartedServer(tmp_path, {**env, "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": "x"}) as server:
        assert "server.started" in [record["message"] for record in server.log_records()]
        assert server.log().count(password) == 1


def test_a_refused_start_is_a_line_of_structured_logs(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = {"PHOENIX_PORT": port, "PHOENIX_LOGGING_MODE": "structured"}
        status, said = refusal(StartedServer(tmp_path, env))
    assert status == 1
    last = json.loads(said.splitlines()[-1])
    assert last["message"] == "server.refused"
    assert "PHOENIX_PORT" in last["why"]


@pytest.mark.asvs("16.2.3")
@pytest.mark.parametrize("mode", ["default", "structured"])
def test_everything_goes_to_standard_output(tmp_path: Path, mode: str) -> None:
    errors = tmp_path / "errors.txt"
    script = f'exec 2>{errors}; exec "$@"'
    server = StartedServer(tmp_path, {"PHOENIX_LOGGING_MODE": mode})
    try:
        server.start("sh", "-c", script, "sh")
        with server.client("nonsense") as client:
            assert client.get("/v1/projects").status_code == 401
        assert server.terminate()[0] == 0
    finally:
        server.kill()
    assert errors.read_text() == ""
    assert "http.request" in server.log()


def test_a_database_of_arize_phoenix_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "phoenix.db"
    connection = sqlite3.connect(path)
    for table in ("projects", "traces", "spans", "project_sessions", "alembic_version"):
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    server = StartedServer(tmp_path, {"PHOENIX_SQL_DATABASE_URL": f"sqlite:///{path}"})
    status, said = refusal(server)
    assert status == 1
    assert "Phoenix" in said
    assert "Traceback" not in said
    assert path.read_bytes() == before


def test_another_secret_is_refused_and_names_the_variable(tmp_path: Path) -> None:
    with StartedServer(tmp_path):
        pass
    other = "another-secret-of-more-than-32-chars-1"
    status, said = refusal(StartedServer(tmp_path, {"PHOENIX_SECRET": other}))
    assert status == 1
    assert "PHOENIX_SECRET" in said
    assert other not in said
    assert SECRET not in said


@pytest.mark.parametrize("variable", ["PHOENIX_PORT", "PHOENIX_GRPC_PORT"])
def test_a_port_in_use_is_refused_by_name(tmp_path: Path, variable: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, said = refusal(StartedServer(tmp_path, {variable: port}))
    assert status == 1
    assert variable in said
    assert "Traceback" not in said


def test_a_port_of_the_metrics_in_use_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = {"PHOENIX_ENABLE_PROMETHEUS": "true", "PHOENIX_PROMETHEUS_PORT": port}
        status, said = refusal(StartedServer(tmp_path, env))
    assert status == 1
    assert "PHOENIX_PROMETHEUS_PORT: cannot listen" in said
    assert "Traceback" not in said
    assert list(tmp_path.rglob("bennu.db")) == []


def test_wrong_settings_end_with_status_2_and_are_all_named(tmp_path: Path) -> None:
    wrong = {"PHOENIX_PORT": "many", "PHOENIX_SECRET": "short", "PHOENIX_LOGGING_MODE": "json"}
    status, said = refusal(StartedServer(tmp_path, wrong))
    assert status == 2
    assert all(name in said for name in wrong)
    assert "short" not in said


def test_init_writes_a_file_that_a_shell_and_the_server_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bennu"]
    file = tmp_path / "bennu.env"
    subprocess.run([*command, "init", "--env-file", str(file)], check=True, capture_output=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = subprocess.run([*command, "init", "--env-file", str(file)], check=False)
    assert again.returncode == 1
    shell = shutil.which("sh") or "/bin/sh"
    script = f'set -a; . {file}; printf %s "$PHOENIX_SECRET" | wc -c'
    length = subprocess.run([shell, "-c", script], check=True, capture_output=True).stdout
    assert int(length) >= 32
    checked = subprocess.run(
        [*command, "config", "check", "--env-file", str(file), "--json"],
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["errors"] == []


def test_named_admins_are_made_for_the_way_in_that_is_open(tmp_path: Path) -> None:
    env = {
        "PHOENIX_ADMINS": "Ada=ada@example.com",
        "PHOENIX_DISABLE_BASIC_AUTH": "true",
        "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": "",
        "PHOENIX_OAUTH2_CORP_CLIENT_ID": "c",
        "PHOENIX_OAUTH2_CORP_CLIENT_SECRET": "s",
        "PHOENIX_OAUTH2_CORP_OIDC_CONFIG_URL": "https://id.example.com/x",
    }
    with StartedServer(tmp_path, env) as server:
        with server.client(server.env["PHOENIX_ADMIN_SECRET"]) as client:
            users = {user["email"]: user for user in client.get("/v1/users").json()["data"]}
        assert users["ada@example.com"]["auth_method"] == "OAUTH2"
        assert users["ada@example.com"]["role"] == "ADMIN"
        body = {"email": "admin@localhost", "password": "x"}
        assert server.client().post("/auth/login", json=body).status_code == 403
        # Nobody can use the first password, so nobody is told it.
        assert "Password " not in server.log()
