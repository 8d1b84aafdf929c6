"""The database behind the job table: SQLite for one machine, PostgreSQL where several workers share the work."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from app.domain.errors import StorageFullError, StorageUnavailableError
from app.storage.schema import bring_up_to_date

_BUSY_S: Final = 30
_CONNECT_S: Final = 5
_STATEMENT_MS: Final = 30_000


class Database:
    """One database, its transactions, and its failures in our own words.

    Parameters
    ----------
    url
        ``sqlite:///path`` or ``postgresql+psycopg://…``.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StorageUnavailableError("database_url is no database address") from error
        self.dialect = parsed.get_backend_name()
        if self.dialect == "sqlite":
            self.engine = _sqlite(url)
        elif self.dialect == "postgresql":
            self.engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_pre_ping=True,
                pool_size=8,
                max_overflow=16,
                pool_timeout=_CONNECT_S,
                hide_parameters=True,
                connect_args={
                    "connect_timeout": _CONNECT_S,
                    "options": f"-c statement_timeout={_STATEMENT_MS} -c timezone=UTC",
                    "keepalives_idle": 10,
                },
            )
        else:
            raise StorageUnavailableError(f"database_url is of {self.dialect}; sqlite or postgresql expected")
        with self._translated():
            bring_up_to_date(self.engine)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run statements that are committed together, durably, or not at all.

        Raises
        ------
        StorageUnavailableError, StorageFullError
            If the database does not answer, or has no room.
        """
        with self._translated(), self.engine.begin() as connection:
            if self.dialect == "sqlite":
                connection.execute(text("BEGIN IMMEDIATE"))  # a reader that turns writer would fail as busy
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run queries."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    def insert(self, table: Any) -> Any:  # Any: the dialects' inserts have no common type
        """Give the dialect's own insert, which knows what to do on a conflict."""
        if self.dialect == "sqlite":
            from sqlalchemy.dialects.sqlite import insert
        else:
            from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]  # the same interface
        return insert(table)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if "disk is full" in str(error.orig) or "No space left" in str(error.orig):
                raise StorageFullError("the database has no room") from error
            raise StorageUnavailableError(f"the database failed: {type(error.orig).__name__}") from error
        except SQLAlchemyError as error:
            raise StorageUnavailableError(f"the database failed: {type(error).__name__}") from error


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun by us
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_S * 1000}"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
