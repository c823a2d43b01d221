"""Opening the database: connections, the schema and its migration, and a sentence for each way it can be unusable.

Connections are configured here and nowhere else. Who may use the file is decided in `database_file.py`.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from dfhost.errors import DatabaseError
from dfhost.store.database_file import has_log
from dfhost.store.sqlite_errors import explain_sqlite_error

SCHEMA_VERSION = 5
_APPLICATION_ID = 0x64666873  # "dfhs": distinguishes our files from other people's databases
#: How long another program, a sqlite3 shell for one, may hold the file.
BUSY_SECONDS = 10.0
LOG_BYTES = 1024 * (4096 + 24)  # the length of the write-ahead log; beyond it comes a checkpoint


def connect(target: str, *, durable: bool) -> sqlite3.Connection:
    """A connection in autocommit mode, for any thread, but one at a time: the store's job."""
    connection = sqlite3.connect(
        target, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    with ExitStack() as undo:
        undo.callback(connection.close)
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = OFF")  # Debian's default: purges would write zeros
        undo.pop_all()
    return connection


def connect_to_read(path: Path, how: str = "mode=ro") -> sqlite3.Connection:
    """A connection that reads an existing file, and neither makes nor changes one. `how`: SQLite's URI parameter."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?{how}",
        timeout=BUSY_SECONDS,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def open_memory() -> sqlite3.Connection:
    return copy_to_memory(_empty())


@cache
def _empty() -> sqlite3.Connection:
    """A database to copy: each test has a new one, and a copy is made in a tenth of the time."""
    connection = connect(":memory:", durable=False)
    _create_schema(connection)
    return connection


def copy_to_memory(source: sqlite3.Connection) -> sqlite3.Connection:
    copy = connect(":memory:", durable=False)
    source.backup(copy)
    return copy


def create_if_missing(database: Path) -> None:
    """A complete database appears at once, so that one which is empty was not left by a host.

    DatabaseError if the file is unusable at first sight. The caller holds the lock on the path.
    """
    if database.exists():
        if database.stat().st_size == 0:
            raise DatabaseError(
                f"{database} is empty: it is no task hub, or something has emptied it. Restore it from a copy, or "
                "delete it to begin with a new one."
            )
        return
    if has_log(database):
        raise DatabaseError(
            f"{database} is missing, but its write-ahead log {database.name}-wal is there. Put the file back, or "
            "delete the log, too, to begin with a new task hub."
        )
    new = database.with_name(database.name + ".new")
    try:
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as file:
            with closing(connect(str(new), durable=False)) as connection:
                connection.execute("PRAGMA journal_mode = MEMORY")
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # not later, except by a VACUUM
                _create_schema(connection)
            os.fsync(file.fileno())
        new.replace(database)
    except OSError as error:
        raise DatabaseError(f"{database} cannot be created: {error.strerror}.") from None
    except sqlite3.Error as error:
        raise DatabaseError(explain_sqlite_error(error, str(database))) from None


def open_database(database: Path) -> sqlite3.Connection:
    """The writer's connection; the file has the newest schema. DatabaseError if that cannot be."""
    try:
        with ExitStack() as undo:
            log_is_there = has_log(database)
            connection = undo.enter_context(closing(connect(str(database), durable=True)))
            version = schema_version(connection, str(database))
            if not log_is_there:
                _require_complete(connection, database, version)
            _migrate(connection, version)
            # WAL: readers see the last commit while the next one is written, and a commit is one fsync.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `checkpoint`
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:  # finds a damaged root page, costs nothing
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1")
            checkpoint(connection)
            if connection.execute("PRAGMA auto_vacuum").fetchone() == (1,):  # a purge was interrupted
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("BEGIN IMMEDIATE")  # another program may be writing
            _lengthen_log(database)
            connection.execute("ROLLBACK")
            undo.pop_all()
    except sqlite3.Error as error:
        raise DatabaseError(explain_sqlite_error(error, str(database))) from None
    return connection


def checkpoint(connection: sqlite3.Connection) -> None:
    """Write the pages of the write-ahead log (WAL) to the file.

    It leaves `is_complete` 0 in the file and 1 in the WAL: opened without its WAL, the file reads 0.
    """
    # The checkpoint syncs, and it is enough that the WAL is there.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("UPDATE wal_marker SET is_complete = 0")
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    connection.execute("UPDATE wal_marker SET is_complete = 1")
    connection.execute("PRAGMA synchronous = FULL")


def _lengthen_log(database: Path) -> None:
    """Give the write-ahead log the length at which it is checkpointed. Nobody may write to it meanwhile.

    A commit that makes the file longer has to sync its new length as well: 600 us on ext4 instead of 200. In a
    new database every commit does. SQLite ignores what follows the last valid frame
    (sqlite.org/fileformat2.html, "The Write-Ahead Log").
    """
    with suppress(OSError):  # then commits are slower at first, nothing else
        with open(f"{database}-wal", "r+b", buffering=0) as log:
            missing = LOG_BYTES - log.seek(0, os.SEEK_END)
            if missing > 0:
                log.write(bytes(missing))
                os.fsync(log.fileno())


def _create_schema(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN; {_script('schema.sql')} PRAGMA application_id = {_APPLICATION_ID}; "
        f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def schema_version(connection: sqlite3.Connection, label: str) -> int:
    """The version of the file's schema. DatabaseError if it is not ours, or of a newer version."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != _APPLICATION_ID:
        raise DatabaseError(
            f"{label} is a database of something else; give dfhost a file of its own with --db."
        )
    if version > SCHEMA_VERSION:
        raise DatabaseError(
            f"{label} was written by a newer dfhost (schema {version}, this one knows {SCHEMA_VERSION}): "
            "upgrade dfhost, or use another file with --db."
        )
    if version < 1:
        raise DatabaseError(
            f"{label} has lost the version of its schema (user_version is {version}): restore it from a copy, or use "
            "another file with --db."
        )
    return version


def _require_complete(connection: sqlite3.Connection, database: Path, version: int) -> None:
    """Before anything is written: the log, once it is put back, must find the file as it was."""
    if version == 1:  # has no marker
        return
    table, column = ("wal_marker", "is_complete") if version >= 4 else ("log", "present")
    (log_is_expected,) = connection.execute(f"SELECT count(*) FROM {table} WHERE NOT {column}").fetchone()
    if log_is_expected:
        raise DatabaseError(
            f"{database} lacks its write-ahead log {database.name}-wal, which has the newest events: it is "
            "missing or damaged. Put it back where it was. To go on without those events: "
            f"sqlite3 {database} 'UPDATE {table} SET {column} = 1'"
        )


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    if version == 1:
        connection.execute("PRAGMA journal_mode = DELETE")  # a log would have to hold all pages
        script = _script("migration_1.sql").replace("-- {schema.sql}", _script("schema.sql"))
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        with suppress(sqlite3.Error):  # a full disk; then purges leave the file as long as it is
            connection.execute("VACUUM")
    elif version < SCHEMA_VERSION:
        script = "".join(_script(f"migration_{each}.sql") for each in range(version, SCHEMA_VERSION))
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def _script(name: str) -> str:
    return files("dfhost.store").joinpath(name).read_text("utf-8")
