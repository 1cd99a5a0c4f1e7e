"""The pool, and the two doors to data.

Each table with tenant data has forced row level security. `tenant_scope(tenant_id)` shows the rows of one tenant; `system_scope()` shows all,
for the scheduler, the dispatcher, sign-in and operators' commands; outside a door no row is visible.

A door is a transaction on one connection: it commits at its end and rolls back on an error, queries inside it take turns (no `gather`), and no
call to the outside waits in it. It gives the asyncpg connection, for the SQL that matters; Piccolo queries inside it use the same connection.
Inside a door use `SAVEPOINT` and not `connection.transaction()`: asyncpg doesn't know about our `BEGIN`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self
from uuid import UUID

import asyncpg
import structlog
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

from app.errors import StartRefused, Unavailable
from app.observability import metrics
from app.secret import Secret

ACQUIRE_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10.0
# A server that hangs, or a way to it that swallows everything, is noticed this late. No statement of ours takes a tenth of it.
STATEMENT_TIMEOUT_S = 60.0
# A process that is stopped, or whose machine is gone without a word, in the middle of a transaction: the server gives up what it had locked this late. Where it
# was in the middle of a statement, app.runs.sweep has to tell the server so.
IDLE_TIMEOUT_S = 10
APPLICATION_NAME = "stock-tracker"
# How long connections that are in use may hold up the end of the process.
CLOSE_TIMEOUT_S = 1.0

LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
)
"""How asyncpg says that the connection is gone."""

# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html: too few resources, such as a full disk; an operator's intervention,
# such as a restart; trouble of the system, such as a failing disk; a transaction that lost against another; a standby that only reads, in a failover.
TRANSIENT = ("53", "57", "58", "40", "25006", "25P03", "55P03")
"""How the codes begin of errors that are no fault of the statement: the same one may succeed later."""

log = structlog.get_logger(__name__)


class Connection(Protocol):
    """What we use of an asyncpg connection, which has no types of its own. Placeholders are `$1`, `$2`, …

    `execute` gives the command tag, such as `UPDATE 3`.
    """

    async def execute(self, query: str, /, *arguments: object) -> str: ...
    async def fetch(self, query: str, /, *arguments: object) -> list[Any]: ...
    async def fetchrow(self, query: str, /, *arguments: object) -> Any: ...
    async def fetchval(self, query: str, /, *arguments: object) -> Any: ...
    def terminate(self) -> None: ...
    def is_closed(self) -> bool: ...


class Door(PostgresTransaction):
    """A transaction that begins with its scope, in one message.

    Instead of Piccolo's own transaction, which keeps the connection for ever when a COMMIT fails.
    """

    def __init__(self, engine: "Database", setting: str) -> None:
        super().__init__(engine, allow_nested=False)
        self._engine = engine
        self._begin = f"BEGIN; SET LOCAL {setting}"

    async def __aenter__(self) -> Self:
        self.connection = await self._engine.acquire()
        try:
            await self.connection.execute(self._begin)
        except BaseException as error:  # noqa: BLE001 - it is raised again
            await self._fail(error)
        self._engine.current_transaction.set(self)
        return self

    async def __aexit__(
        self, exception_type: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._engine.current_transaction.set(None)
        if exception is not None:
            try:
                await self.connection.execute("ROLLBACK")
            except asyncio.CancelledError as error:
                await self._fail(error)
            except BaseException:  # noqa: BLE001 - what the body raised says more
                await self._fail(exception)
            await self._engine.release(self.connection)
            if _is_transient(exception):
                metrics.database_unavailable.labels("refused").inc()
                raise Unavailable("The database can't do that at present.") from exception
            return False
        try:
            outcome = await self.connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - it is raised again
            await self._fail(error)
        await self._engine.release(self.connection)
        if outcome != "COMMIT":
            raise RuntimeError("A statement had failed and its error was caught, so the transaction could only be rolled back.")
        return False

    async def _fail(self, error: BaseException) -> NoReturn:
        """Close the connection, whose state is unknown, so that the pool makes a new one, and say what happened.

        Raises:
            Unavailable: the server or the way to it is gone. After a COMMIT nobody knows whether it was carried out.
        """
        lost = isinstance(error, LOST) or (isinstance(error, asyncpg.PostgresError | asyncpg.InternalClientError) and self._is_closed())
        with suppress(asyncpg.InterfaceError):  # asyncpg took it back itself
            self.connection.terminate()
        await self._engine.release(self.connection)
        if lost or _is_transient(error):
            metrics.database_unavailable.labels("connection_lost").inc()
            raise Unavailable("The database went away.") from error
        raise error

    def _is_closed(self) -> bool:
        try:
            return self.connection.is_closed()
        except asyncpg.InterfaceError:
            return True


def _is_transient(error: BaseException) -> bool:
    # No call to the outside waits inside a door, so what ran out of time there was a statement.
    if isinstance(error, TimeoutError):
        return True
    return isinstance(error, asyncpg.PostgresError) and (getattr(error, "sqlstate", None) or "").startswith(TRANSIENT)


class Database(PostgresEngine):
    """The one engine of the process. It connects in `open()`, not when it is made, so importing it does nothing."""

    def __init__(self) -> None:
        super().__init__(config={}, extensions=())

    async def check_version(self) -> None:
        """Piccolo would connect here, at import."""

    async def prep_database(self) -> None:
        """Likewise: we need no extension."""

    def configure(self, url: Secret) -> None:
        """Say where the database is, for commands that open single connections."""
        self.config = {"dsn": url.reveal(), "timeout": CONNECT_TIMEOUT_S, "server_settings": {"application_name": APPLICATION_NAME}}

    async def open(self, url: Secret, *, pool_size: int, production: bool) -> None:
        """Connect, and refuse a role that the walls between tenants don't hold.

        Raises:
            StartRefused: no connection, or, in production, a role that bypasses row level security.
        """
        self.configure(url)
        try:
            await self.start_connection_pool(
                min_size=1, max_size=pool_size, init=_bound_silence, reset=_keep_session, command_timeout=STATEMENT_TIMEOUT_S
            )
            connection = await self.acquire()
            try:
                bypasses: bool = await connection.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
            finally:
                await self.release(connection)
        except (OSError, Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            # asyncpg's message may repeat the URL's parts, but never the password.
            raise StartRefused(f"DATABASE_URL: can't connect to the database: {str(error) or type(error).__name__}") from error
        if bypasses and production:
            await self.close()
            raise StartRefused(
                "DATABASE_URL: this role is a superuser or has BYPASSRLS, so the walls between tenants would not hold; "
                "use an ordinary role that owns the database (CREATE ROLE stock_tracker LOGIN; ALTER DATABASE … OWNER TO stock_tracker)."
            )
        if bypasses:
            log.warning("database.role_bypasses_row_level_security", advice="use an ordinary role, production will refuse this one")

    async def close(self) -> None:
        """Give up the connections; those that are still in use, or whose server does not answer, are cut."""
        pool, self.pool = self.pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def acquire(self) -> Connection:
        """A connection of the pool.

        Raises:
            Unavailable: the database can't be reached, or none became free in time.
        """
        pool = self._pool()
        try:
            with metrics.timing(metrics.database_wait):
                connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except (
            OSError,
            TimeoutError,
            asyncpg.PostgresConnectionError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            asyncpg.InterfaceError,
        ) as error:
            metrics.database_unavailable.labels("no_connection").inc()
            raise Unavailable("The database does not answer.") from error
        metrics.database_connections_in_use.inc()
        metrics.database_connections.set(pool.get_size())
        return connection

    async def release(self, connection: Connection) -> None:
        metrics.database_connections_in_use.dec()
        if self.pool is not None:  # else it is being closed, and its connections with it
            with suppress(asyncpg.InterfaceError):  # likewise, or another one is open by now
                await self.pool.release(connection)

    def _pool(self) -> Any:
        if self.pool is None:
            raise Unavailable("The database is not open.")
        return self.pool


async def _bound_silence(connection: Connection) -> None:
    try:
        await connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'")
    except asyncpg.InternalClientError as error:
        # asyncpg's words for a server that greeted and took leave at once, as it does while it stops.
        connection.terminate()
        raise asyncpg.ConnectionDoesNotExistError("The server took leave of a new connection.") from error
    except BaseException:
        # asyncpg would take leave of the server in good order, and wait for that for as long as the server hangs.
        connection.terminate()
        raise


async def _keep_session(_: Any) -> None:
    """No reset when a connection goes back: everything we set ends with its transaction, and a reset costs a round trip."""
    await asyncio.sleep(0)


database = Database()


@asynccontextmanager
async def tenant_scope(tenant_id: UUID) -> AsyncGenerator[Connection]:
    """A transaction that sees and writes the rows of one tenant only."""
    async with Door(database, f"app.tenant_id = '{UUID(str(tenant_id))}'") as door:
        yield door.connection


@asynccontextmanager
async def system_scope() -> AsyncGenerator[Connection]:
    """A transaction that sees all tenants. Few may use it: the list is in tests/security/test_walls.py."""
    async with Door(database, "app.scope = 'system'") as door:
        yield door.connection
