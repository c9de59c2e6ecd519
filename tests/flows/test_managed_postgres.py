"""A server on PostgreSQL as a cloud manages it: a token for each connection, TLS forced.

Spec: lines 239-244.
"""

from pathlib import Path

from fakes.exports import PROTOBUF, export_request
from peers.iam import ACCESS_KEY, REGION, SECRET_KEY, token_service
from peers.postgres import IAM_USER, PostgresServer
from started import StartedServer


def test_a_server_lives_on_tokens(tmp_path: Path, postgres_server: PostgresServer) -> None:
    port = postgres_server.port
    with (
        postgres_server.fresh_database() as name,
        token_service(postgres_server.token_port, "127.0.0.1", port, IAM_USER) as service,
    ):
        postgres_server.sql(f"ALTER DATABASE {name} OWNER TO {IAM_USER}")
        env = {
            "PHOENIX_POSTGRES_HOST": "127.0.0.1",
            "PHOENIX_POSTGRES_PORT": str(port),
            "PHOENIX_POSTGRES_USER": IAM_USER,
            "PHOENIX_POSTGRES_DB": name,
            "PHOENIX_POSTGRES_USE_AWS_IAM_AUTH": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }
        with StartedServer(tmp_path, env) as server:
            with server.client(server.api_key()) as client:
                sent = client.post("/v1/traces", content=export_request(1), headers=PROTOBUF)
                assert sent.status_code == 200
                assert len(client.get("/v1/projects/default/spans").json()["data"]) == 1
            sessions = postgres_server.sql(
                f"""SELECT count(*), bool_and(s.ssl)
                FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)
                WHERE a.usename = '{IAM_USER}'"""  # noqa: S608 - a name of ours
            )
            count, _, are_encrypted = sessions.partition("|")
            assert are_encrypted == "t"
            assert 2 <= int(count) <= len(service.taken)
            assert service.refused == []
            assert "X-Amz" not in server.log()
            assert SECRET_KEY not in server.log()
