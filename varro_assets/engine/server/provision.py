"""Roles and databases: who owns the warehouse, who may only read it, and where Dagster keeps its own records.

What belongs here: making them, on the embedded server as its superuser or on the user's own server with
whatever rights the user's account has. Tables and schemas are made elsewhere; `grant_reader` opens them to
the reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql
from psycopg2.errors import DuplicateDatabase, DuplicateObject, InsufficientPrivilege, UniqueViolation
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class
from psycopg2.extensions import encrypt_password
from pydantic import SecretStr

from varro_assets.engine import database_url as addresses
from varro_assets.engine.server.server import Endpoint
from varro_assets.errors import DatabaseRefused, DatabaseUnavailable, VarroError

if TYPE_CHECKING:
    from sqlalchemy import URL

OWNER = "varro"
"""Owns the embedded server's databases; not a superuser."""
READER = "varro_reader"
"""May read what `grant_reader` opens, and nothing else: the analyst's role."""
WAREHOUSE = "varro"
DAGSTER = "varro_dagster"

_DONE = "varro-assets: provisioned, edition 1"
"""Comment on the warehouse, written last. A new number makes every server take the steps below again."""
_LOCK = 0x7661_7272_6F  # "varro": any two processes that make or grant roles wait for each other
_OLDEST_SERVER = 140000
_NAME_LIMIT = 63  # Postgres cuts longer names silently

_READER_SETTINGS = (("default_transaction_read_only", "on"), ("statement_timeout", "5min"),
                    ("idle_in_transaction_session_timeout", "10min"))  # fmt: skip

_EXTERNAL_STATE = """
SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_user::text,
       current_database()::text, has_database_privilege(current_database(), 'CREATE')
"""
_READER_STATE = """
SELECT (SELECT rolcanlogin FROM pg_roles WHERE rolname = %(reader)s),
       (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user)
"""
_MISSING_GRANTS = """
SELECT n.nspname,
       NOT has_schema_privilege(r.oid, n.oid, 'USAGE'),
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                  AND NOT has_table_privilege(r.oid, c.oid, 'SELECT')),
       NOT EXISTS (SELECT FROM pg_default_acl d, aclexplode(d.defaclacl) a
                    WHERE d.defaclnamespace = n.oid AND d.defaclobjtype = 'r' AND a.grantee = r.oid
                      AND a.privilege_type = 'SELECT' AND d.defaclrole = current_user::regrole)
  FROM pg_namespace n, pg_roles r
 WHERE r.rolname = %(reader)s AND n.nspname = ANY(%(schemas)s)
 ORDER BY n.nspname
"""

# What the server or libpq says when the same attempt may work in a minute; all else that a server says is a
# refusal.
_PASSING = (
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting",
    "too many clients",
    "terminating",
)


@dataclass(frozen=True)
class Warehouse:
    """Where everything lies, in SQLAlchemy's form."""

    url: SecretStr
    dagster_url: SecretStr
    reader_url: SecretStr | None
    """None on the user's own server: the reader's password there is the user's affair."""
    notes: tuple[str, ...] = ()
    """What could not be done and the SQL that does it, for `varro doctor`."""


# -- the embedded server -------------------------------------------------------------------------------------


def provision_embedded(endpoint: Endpoint) -> Warehouse:
    """Make roles and databases; one query when all are there.

    Raises:
        DatabaseUnavailable: the server went away.
        DatabaseRefused: it did not take a step.
    """
    with _named("set up the embedded Postgres", f"port {endpoint.port}"):
        with closing(endpoint.connect()) as connection:
            connection.autocommit = True
            if not _is_provisioned(endpoint, connection):
                _provision(endpoint, connection)
        return Warehouse(
            url=endpoint.url(WAREHOUSE, OWNER),
            dagster_url=endpoint.url(DAGSTER, OWNER),
            reader_url=endpoint.url(WAREHOUSE, READER),
        )


def _is_provisioned(endpoint: Endpoint, connection: Connection) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) = 2 AND bool_or(shobj_description(oid, 'pg_database') = %(done)s)"
            "  AND (SELECT count(*) = 2 FROM pg_roles WHERE rolname = ANY(%(roles)s))"
            "  FROM pg_database WHERE datname = ANY(%(databases)s)",
            {"done": _DONE, "roles": [OWNER, READER], "databases": [WAREHOUSE, DAGSTER]},
        )
        row = cursor.fetchone()
    files = all((endpoint.folder / f"password.{role}").is_file() for role in (OWNER, READER))
    return bool(row and row[0]) and files


def _provision(endpoint: Endpoint, connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))  # given back with the connection
        for role in (OWNER, READER):
            password = endpoint.make_password(role).get_secret_value()
            # hashed here: the plain password never enters a statement, which some log could repeat
            verifier = encrypt_password(password, role, connection, "scram-sha-256")
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            verb = sql.SQL("ALTER ROLE" if cursor.fetchone() else "CREATE ROLE")
            cursor.execute(
                sql.SQL("{} {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                    verb, sql.Identifier(role), sql.Literal(verifier)
                )
            )
        _limit_reader(connection)
        for name in (WAREHOUSE, DAGSTER):
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER))
                )
        # temporary tables would let the reader fill the disk
        cursor.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(WAREHOUSE)))
        # Dagster's run configurations and logs are not for the reader
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(DAGSTER)))
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS %s").format(sql.Identifier(WAREHOUSE)), (_DONE,))


def _limit_reader(connection: Connection) -> None:
    with connection.cursor() as cursor:
        for setting, value in _READER_SETTINGS:
            cursor.execute(
                sql.SQL("ALTER ROLE {} SET {} = %s").format(sql.Identifier(READER), sql.Identifier(setting)),
                (value,),
            )


# -- the user's own server -----------------------------------------------------------------------------------


def provision_external(database_url: SecretStr, dagster_url: SecretStr | None = None) -> Warehouse:
    """Check the user's own server and make what its account may make there.

    Args:
        database_url: the warehouse, which must exist.
        dagster_url: Dagster's database, which must exist; None makes ``<name>_dagster`` beside the warehouse.

    Raises:
        DatabaseUnavailable: the server cannot be reached.
        DatabaseRefused: wrong password, missing right or unfit server; the text has the SQL or the setting to
            use.
    """
    url = _parse(database_url, "DATABASE_URL")
    with closing(_connect(url, "DATABASE_URL")) as connection, _named("set up the warehouse", _place(url)):
        connection.autocommit = True
        user, database = _check_fit(connection, url)
        if dagster_url is None:
            dagster = url.set(database=f"{database}_dagster")
            _create_database(connection, str(dagster.database), user)
        else:
            dagster = _parse(dagster_url, "DAGSTER_DATABASE_URL")
        notes = _create_reader(connection)
    _check_dagster(dagster)
    return Warehouse(_secret(url), _secret(dagster), None, notes)


def _check_fit(connection: Connection, url: URL) -> tuple[str, str]:
    """The current user and database, on a server that can serve as the warehouse."""
    with connection.cursor() as cursor:
        cursor.execute(_EXTERNAL_STATE)
        version, encoding, user, database, may_create = cursor.fetchone() or (0, "", "", "", False)
    refusal = DatabaseRefused("use the database", on=_place(url))
    if version < _OLDEST_SERVER:
        todo = f"Use PostgreSQL {_OLDEST_SERVER // 10000} or newer."
        raise _because(refusal, f"the server is version {version}", todo)
    if encoding != "UTF8":
        raise _because(
            refusal,
            f"its encoding is {encoding}",
            "Danish letters need UTF8: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.",
        )
    if not may_create:
        grant = _text(connection, "GRANT CREATE ON DATABASE {} TO {};", database, user)
        raise _because(refusal, f"{user} may not create schemas there", f"Have its owner run: {grant}")
    return str(user), str(database)


def _create_database(connection: Connection, name: str, user: str) -> None:
    create = _text(connection, "CREATE DATABASE {} OWNER {};", name, user)
    refusal = DatabaseRefused("create Dagster's database", on=name)
    if len(name.encode()) > _NAME_LIMIT:
        raise _because(refusal, "the name is too long", "Set DAGSTER_DATABASE_URL to an existing database.")
    with connection.cursor() as cursor:
        if not _is_to_be_made(cursor, name):
            return
        # two that revoke at once fail with "tuple concurrently updated"
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))  # given back with the connection
        try:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        except InsufficientPrivilege:
            todo = f"Have an administrator run: {create} Or set DAGSTER_DATABASE_URL to an existing database."
            raise _because(refusal, f"{user} may not create databases", todo) from None
        except (DuplicateDatabase, UniqueViolation):
            return  # another process was quicker


def _is_to_be_made(cursor: Cursor, name: str) -> bool:
    """Whether the database is missing, or of our making and open to all as `CREATE DATABASE` leaves it.

    The two steps cannot be one transaction, and we may be killed in between. A database about whose rights anybody has
    said anything is left as it is.
    """
    cursor.execute(
        "SELECT datacl IS NULL AND pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = %s", (name,)
    )
    found = cursor.fetchone()
    return found is None or bool(found[0])


def _check_dagster(url: URL) -> None:
    with (
        closing(_connect(url, "DAGSTER_DATABASE_URL")) as connection,
        _named("use Dagster's database", _place(url)),
    ):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_user::text, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
            )
            user, may_create = cursor.fetchone() or ("", False)
        if may_create:
            return
        grant = _text(connection, "GRANT CREATE ON SCHEMA public TO {};", user)
        raise DatabaseRefused(
            "use Dagster's database",
            on=_place(url),
            got=f"{user} may not create tables there",
            todo=f"Have its owner run: {grant} Or set DAGSTER_DATABASE_URL to a database of its own.",
        )


def _create_reader(connection: Connection) -> tuple[str, ...]:
    login = _text(connection, "ALTER ROLE {} LOGIN PASSWORD '...';", READER)
    with connection.cursor() as cursor:
        cursor.execute(_READER_STATE, {"reader": READER})
        can_login, may_create = cursor.fetchone() or (None, False)
        if can_login is None and may_create:
            try:
                with connection:  # one transaction: a role that is there is not looked at again
                    cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(READER)))
                    _limit_reader(connection)
                    # so that `varro sql` can step down to it: since Postgres 16 making a role does not include being it
                    cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(READER)))
            except (DuplicateObject, UniqueViolation):
                pass  # another process was quicker
            except InsufficientPrivilege:
                may_create = False
    if can_login is None and not may_create:
        create = _text(connection, "CREATE ROLE {} LOGIN PASSWORD '...';", READER)
        return (f"There is no read-only role for the analyst. Have an administrator run: {create}",)
    if not can_login:
        return (f"The analyst's role {READER} cannot log in yet. Give it a password: {login}",)
    return ()


# -- what the reader may read --------------------------------------------------------------------------------


def grant_reader(connection: Connection, schemas: Sequence[str]) -> tuple[str, ...]:
    """Let the reader read these schemas, and what the current role will make in them later.

    Runs in the caller's transaction and does not commit. Writes nothing when everything is granted already,
    so it may be called after every load. Schemas that do not exist are passed over.

    Returns:
        Notes for people: empty, or why the reader is still shut out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_database_privilege(oid, current_database(), 'CONNECT')  FROM pg_roles WHERE rolname = %s",
            (READER,),
        )
        row = cursor.fetchone()
        if row is None:
            return (f"There is no role {READER}, so nothing was granted to it.",)
        cursor.execute(_MISSING_GRANTS, {"reader": READER, "schemas": list(schemas)})
        missing = [found for found in cursor.fetchall() if any(found[1:])]
        if missing:
            # two sessions that grant on one object at once fail with "tuple concurrently updated"
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for schema, usage, tables, later in missing:
            names = {"schema": sql.Identifier(schema), "reader": sql.Identifier(READER)}
            if usage:
                cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {reader}").format(**names))
            if tables:
                cursor.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}").format(**names))
            if later:
                cursor.execute(
                    sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {reader}").format(
                        **names
                    )
                )
        if row[0]:
            return ()
        cursor.execute("SELECT current_database()")
        connect = _text(connection, "GRANT CONNECT ON DATABASE {} TO {};", str((cursor.fetchone() or ("",))[0]), READER)
        return (f"{READER} may not enter the database. Have its owner run: {connect}",)


# -- addresses and errors ------------------------------------------------------------------------------------


def _parse(url: SecretStr, setting: str) -> URL:
    try:
        parsed = addresses.parse(url.get_secret_value())
    except ValueError:
        parsed = None
    # an @ elsewhere is a piece of an unescaped password, which would go on into messages as host or database
    if parsed is None or "@" in f"{parsed.host}{parsed.database}":
        raise DatabaseRefused(
            "use the address in",
            on=setting,
            got="it is not of the form postgresql://user:password@host:5432/database",
            todo="Write special characters of the password as %XX (@ is %40, / is %2F, # is %23).",
        )
    return parsed


def _secret(url: URL) -> SecretStr:
    return SecretStr(url.render_as_string(hide_password=False))


def _place(url: URL) -> str:
    return f"{url.database or url.username} on {url.host or 'the local socket'}:{url.port or 5432}"


def _connect(url: URL, setting: str) -> Connection:
    options = {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
    with _named("connect to", _place(url), secret=url.password, todo=f"Check {setting} and the server."):
        parts: dict[str, object] = {
            "host": url.host, "port": url.port, "user": url.username, "password": url.password,
            "dbname": url.database, "connect_timeout": "30", **options,
        }  # fmt: skip
        return psycopg2.connect(**parts)  # type: ignore[call-overload, no-any-return]


@contextmanager
def _named(tried: str, on: str, *, secret: object = None, todo: str = "Check the server's log.") -> Iterator[None]:
    """Turn psycopg2's errors into ours, by what the server said and not by which class it came in."""
    try:
        yield
    except VarroError:
        raise
    except psycopg2.Error as error:
        text = " ".join(str(error).split())
        if secret:
            text = text.replace(str(secret), "***")
        passing = any(phrase in text for phrase in _PASSING)
        said_no = error.pgcode is not None or "FATAL" in text or "authentication" in text
        lost = isinstance(error, psycopg2.InterfaceError) or (error.pgcode or "").startswith(("08", "57P"))
        if passing or lost or not said_no:
            raise DatabaseUnavailable(tried, on=on, got=text, todo=todo) from None
        raise DatabaseRefused(tried, on=on, got=text, todo=todo) from None


def _because(refusal: DatabaseRefused, got: str, todo: str) -> DatabaseRefused:
    return DatabaseRefused(refusal.tried, on=refusal.on, got=got, todo=todo)


def _text(connection: Connection, statement: str, *names: str) -> str:
    """A statement for people to run, with its names quoted."""
    return sql.SQL(statement).format(*(sql.Identifier(name) for name in names)).as_string(connection)
