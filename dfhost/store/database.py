"""Opening the database file: its lock, its schema and migrations, and a sentence for each way it can be unusable.

Connections are configured here and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import ExitStack, closing, suppress
from importlib.resources import files
from pathlib import Path

from dfhost.errors import DatabaseError

SCHEMA_VERSION = 2
_APPLICATION_ID = 0x64666873  # "dfhs": distinguishes our files from other people's databases
#: From version n to n + 1.
_MIGRATIONS = {
    1: """
        ALTER TABLE instances RENAME COLUMN awake TO needs_episode;
        DROP INDEX instances_awake;
        CREATE INDEX instances_needing_episodes ON instances (instance_id) WHERE needs_episode;
    """,
}
#: How long another program, a sqlite3 shell for one, may hold the file.
BUSY_SECONDS = 10.0
_LOG_BYTES = 1024 * (4096 + 24)  # SQLite checkpoints after 1000 pages, each with a header


class DatabaseLock:
    """One host owns one file: an advisory lock on ``FILE.lock``, which the kernel drops when the process ends."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        while not self._take(database):
            pass

    def _take(self, database: Path) -> bool:
        """False if an ending host has just removed the file that this one has locked."""
        try:
            self._handle = open(self._path, "a+")
        except OSError as error:
            raise DatabaseError(f"The folder of {database} cannot be written to: {error.strerror}.") from None
        try:
            _lock(self._handle.fileno())
        except OSError:
            self._handle.seek(0)
            owner = self._handle.read().strip()
            self._handle.close()
            raise DatabaseError(
                f"{database} is in use by another host{f' (process {owner})' if owner else ''}: stop it, "
                "or give this one a file of its own with --db."
            ) from None
        if not _is_at(self._handle.fileno(), self._path):
            self._handle.close()
            return False
        self._handle.truncate(0)
        self._handle.write(str(os.getpid()))
        self._handle.flush()
        return True

    def release(self) -> None:
        if sys.platform == "win32":  # pragma: no cover
            self._handle.close()
            with suppress(OSError):  # the next host has it open already
                self._path.unlink()
        else:
            self._path.unlink(missing_ok=True)
            self._handle.close()


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Far behind the end: a locked byte cannot be read, and other hosts shall read the owner's process id.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _is_at(descriptor: int, path: Path) -> bool:
        return True  # an open file cannot be removed

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_at(descriptor: int, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return False


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
        undo.pop_all()
    return connection


def check(database: Path) -> None:
    """Make its folder. DatabaseError if the file is unusable at first sight, before it is locked or opened."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"The folder {database.parent} cannot be made: {error.strerror}.") from None
    if database.is_dir():
        raise DatabaseError(f"{database} is a folder, not a database file.")
    # SQLite would open it, fail at the first write, and leave read-only files of its own beside it.
    if database.exists() and not os.access(database, os.W_OK):
        raise DatabaseError(explain_sqlite_error(sqlite3.OperationalError("readonly"), str(database)))


def open_database(database: Path) -> sqlite3.Connection:
    """The writer's connection; the file exists and has the newest schema. DatabaseError if that cannot be."""
    try:
        with ExitStack() as undo:
            connection = undo.enter_context(closing(connect(str(database), durable=True)))
            prepare(connection, str(database), "WAL")
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall():
                connection.execute(
                    f"SELECT 1 FROM {table} LIMIT 1"
                )  # finds a damaged root page, costs nothing
            connection.execute("BEGIN IMMEDIATE")  # another program may be writing
            _lengthen_log(database)
            connection.execute("ROLLBACK")
            undo.pop_all()
    except sqlite3.Error as error:
        raise DatabaseError(explain_sqlite_error(error, str(database))) from None
    return connection


def _lengthen_log(database: Path) -> None:
    """Give the write-ahead log the length at which SQLite restarts it. Nobody may write to it meanwhile.

    A commit that makes the file longer has to sync its new length as well: 600 us on ext4 instead of 200. In a
    new database every commit does. SQLite ignores what follows the last valid frame
    (sqlite.org/fileformat2.html, "The Write-Ahead Log").
    """
    with suppress(OSError):  # then commits are slower at first, nothing else
        with open(f"{database}-wal", "r+b", buffering=0) as log:
            missing = _LOG_BYTES - log.seek(0, os.SEEK_END)
            if missing > 0:
                log.write(bytes(missing))
                os.fsync(log.fileno())


def prepare(connection: sqlite3.Connection, label: str, journal: str = "MEMORY") -> None:
    """Create or migrate the tables. A file that is not ours is refused before anything is written."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not empty and application != _APPLICATION_ID:
        raise DatabaseError(
            f"{label} is a database of something else; give dfhost a file of its own with --db."
        )
    if version > SCHEMA_VERSION:
        raise DatabaseError(
            f"{label} was written by a newer dfhost (schema {version}, this one knows {SCHEMA_VERSION}): "
            "upgrade dfhost, or use another file with --db."
        )
    # WAL: readers see the last commit while the next one is written, and a commit is one fsync.
    connection.execute(f"PRAGMA journal_mode = {journal}")
    if empty:
        schema = files("dfhost.store").joinpath("schema.sql").read_text("utf-8")
        connection.executescript(
            f"BEGIN; {schema} PRAGMA application_id = {_APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        return
    for step in range(version, SCHEMA_VERSION):
        connection.executescript(f"BEGIN; {_MIGRATIONS[step]}; PRAGMA user_version = {step + 1}; COMMIT;")


def explain_sqlite_error(error: sqlite3.Error, label: str) -> str:
    """SQLite's error as a sentence for the person at the terminal."""
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return (
            f"{label} is not a database, or it is damaged ({text}). Move it away, or use another with --db."
        )
    if "readonly" in text or "read-only" in text:
        return f"{label} is read-only: make the file and its folder writable, or use another with --db."
    if "full" in text:
        return f"The disk that holds {label} is full: nothing was lost, make room and start again."
    if "locked" in text or "busy" in text:
        return f"{label} is locked by another program (a sqlite3 shell in a transaction?): close it and try again."
    if "disk I/O" in text:
        return f"The disk that holds {label} failed to write or read it ({text}): nothing that was stored is lost."
    if "unable to open" in text:
        return f"{label} cannot be opened: is its folder there, and may this user write to it?"
    return f"{label}: SQLite says {text!r}."
