"""Connections of ledger_auditor, kept between questions: to open one costs more than most answers."""

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tierproof_evidence_ledger.moments import Rows

# A plan made for other values than the question's may read the whole log; and compiling one costs more than running it.
_OPTIONS = "-c plan_cache_mode=force_custom_plan -c jit=off -c statement_timeout={limit}"


class Readers:
    """Hands out connections to one thread at a time; each use is one transaction that sees one state and can only read.

    `limit_ms` ends a query that takes longer (psycopg.errors.QueryCanceled), 0 never.
    """

    def __init__(self, dsn: str, limit_ms: int = 0) -> None:
        self._dsn, self._limit_ms = dsn, limit_ms
        self._idle: queue.LifoQueue[psycopg.Connection[dict[str, Any]]] = queue.LifoQueue()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Rows]:
        """Lend a connection; raises psycopg.Error. One that breaks is not lent again, nor are those opened before it."""
        connection = self._opened()
        try:
            yield connection
        finally:
            self._take_back(connection)

    def _take_back(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        with contextlib.suppress(psycopg.Error):
            connection.rollback()
        if connection.closed:
            self.close()
        else:
            self._idle.put(connection)

    def _opened(self) -> psycopg.Connection[dict[str, Any]]:
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        options = _OPTIONS.format(limit=self._limit_ms)
        connection = psycopg.connect(self._dsn, row_factory=dict_row, prepare_threshold=None, options=options)
        connection.isolation_level, connection.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        return connection

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()
