"""The database file of a running host: nobody else may use it, and it must stay the file that the host has opened.

Owns the locks and one descriptor of the file. SQLite's own locks end when a process closes any descriptor of a file
(sqlite.org/howtocorrupt.html, 2.2), so this one stays open until SQLite has closed the file.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from dfhost import forked_children
from dfhost.errors import DatabaseError, DatabaseInUse, DatabaseLost
from dfhost.store.sqlite_errors import explain_sqlite_error

_HEADER_BYTES = 100
_FIXED_FIELDS = (
    slice(0, 18),
    slice(60, 64),
    slice(68, 72),
)  # magic and page size, user_version, application_id


def check_usable(database: Path) -> None:
    """Make its folder. DatabaseError if the file is unusable at first sight, before it is locked or opened."""
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"The folder {database.parent} cannot be made: {error.strerror}.") from None
    if database.is_dir():
        raise DatabaseError(f"{database} is a folder, not a database file.")
    # SQLite would open it, fail at the first write, and leave read-only files of its own beside it.
    if database.exists() and not os.access(database, os.W_OK):
        raise DatabaseError(explain_sqlite_error(sqlite3.OperationalError("readonly"), str(database)))


def check_not_in_use(database: Path) -> None:
    """DatabaseInUse if a host uses the file now. DatabaseError if it is unusable at first sight."""
    path = Path(os.path.realpath(database))
    check_usable(path)
    lock = PathLock(path)
    try:
        if path.exists():
            DatabaseFile(path).close()
    finally:
        lock.release()


class PathLock:
    """A lock on ``FILE.lock``, which the kernel drops when the process ends. It holds the owner's process id."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        while not self._take(database):
            pass

    def _take(self, database: Path) -> bool:
        """False if an ending host has just removed the file that this one has locked."""
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DatabaseError(f"The folder of {database} cannot be written to: {error.strerror}.") from None
        try:
            _lock(self._descriptor)
        except OSError:
            owner = _read(self._descriptor, 20).decode(errors="replace")
            os.close(self._descriptor)
            raise _in_use(database, f" (process {owner})" if owner else "") from None
        if not _is_at(self._descriptor, self._path):
            os.close(self._descriptor)
            return False
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, str(os.getpid()).encode())
        forked_children.close_in_children(self._descriptor)
        return True

    def release(self) -> None:
        forked_children.unregister(self._descriptor)
        if sys.platform == "win32":  # pragma: no cover
            os.close(self._descriptor)
            with suppress(OSError):  # the next host has it open already
                self._path.unlink()
        else:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)


class DatabaseFile:
    """An existing file, open and locked until `close`. DatabaseError if another host uses it under any name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = Path(f"{path}-wal")
        self._descriptor = os.open(path, os.O_RDWR)
        if sys.platform == "linux":  # elsewhere such a lock is one with SQLite's, and would lock that out
            try:
                _lock(self._descriptor)
            except BlockingIOError:
                os.close(self._descriptor)
                raise _in_use(path, " (perhaps under another name)") from None
            except OSError:  # a file system without locks
                pass
        forked_children.close_in_children(self._descriptor)

    def remember(self) -> None:
        """From now on this file, as SQLite has opened it, is the one that `check` expects."""
        self._identity = _identity(os.stat(self._path))
        self._log_identity = _identity(os.stat(self._log_path))
        self._header = _read(self._descriptor, _HEADER_BYTES)
        self.remember_length()

    def remember_length(self) -> None:
        """After a checkpoint, which alone changes the file's length.

        It cannot be taken from the header. Where a reader keeps a checkpoint from being complete, the header may
        count pages that are still in the log.
        """
        self._least_bytes = os.stat(self._path).st_size

    def check(self) -> int:
        """The length of the write-ahead log in bytes. DatabaseLost if the file is not what it was."""
        try:
            file = os.stat(self._path)
        except OSError:
            raise self._lost(self._path, "deleted") from None
        if _identity(file) != self._identity:
            raise self._lost(self._path, "replaced by another file")
        if not file.st_mode & 0o222:
            raise self._lost(self._path, "made read-only")
        if (header := _read(self._descriptor, _HEADER_BYTES)) != self._header:  # a checkpoint was here
            if any(header[field] != self._header[field] for field in _FIXED_FIELDS):
                raise self._lost(self._path, "overwritten")
            self._header = header
        if file.st_size < self._least_bytes:
            raise self._lost(self._path, "truncated")
        try:
            log = os.stat(self._log_path)
        except OSError:
            raise self._lost(self._log_path, "deleted") from None
        if _identity(log) != self._log_identity:
            raise self._lost(self._log_path, "replaced by another file")
        return log.st_size

    def close(self) -> None:
        """After SQLite has closed it."""
        forked_children.unregister(self._descriptor)
        os.close(self._descriptor)

    def _lost(self, path: Path, what: str) -> DatabaseLost:
        return DatabaseLost(
            f"{path} was {what} while the host was running. The host stops, since nothing that it stores would be "
            "kept."
        )


def has_log(database: Path) -> bool:
    """Whether there is a write-ahead log with a valid beginning."""
    try:
        with open(f"{database}-wal", "rb") as log:
            magic = log.read(4)
    except OSError:
        return False
    return magic in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


def _read(descriptor: int, length: int) -> bytes:
    """At most `length` bytes from the beginning of the file."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, length)


def _identity(file: os.stat_result) -> tuple[int, int]:
    return file.st_dev, file.st_ino


def _in_use(database: Path, by: str) -> DatabaseInUse:
    return DatabaseInUse(
        f"{database} is in use by another host{by}: stop it, or give this one a file of its own with --db."
    )


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
