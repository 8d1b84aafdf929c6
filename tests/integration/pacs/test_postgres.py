"""What the tests rely on of the throw-away PostgreSQL."""

import contextlib
import socket
from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.pacs.postgres import Postgres

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def connected(server: Postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def test_what_was_committed_survives_a_kill(postgres: Postgres) -> None:
    with connected(postgres) as connection:
        connection.execute("CREATE TABLE films (uid text PRIMARY KEY)")
        connection.execute("INSERT INTO films VALUES ('1.2')")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO films VALUES ('3.4')")
        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("COMMIT")
    assert not postgres.answers()

    postgres.start()

    with connected(postgres) as connection:
        assert connection.execute("SELECT uid FROM films").fetchall() == [("1.2",)]


def test_it_listens_on_loopback_only(postgres: Postgres) -> None:
    with connected(postgres) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin").fetchall() == [("discern",)]

    postgres.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", postgres.port), timeout=1)
    postgres.start()
