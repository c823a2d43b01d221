"""A database file that is only read, while its host runs or not. Nothing is locked, changed or migrated."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

from dfhost.errors import DatabaseError
from dfhost.store.database import SCHEMA_VERSION, connect_to_read, schema_version
from dfhost.store.reader import StoreReader
from dfhost.store.sqlite_errors import explain_sqlite_error


class FileReader(StoreReader):
    """Open from the start; close it with `close`. DatabaseError if the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DatabaseError(f"There is no database file {path}.")
        # Without a write-ahead log nobody writes, and SQLite need not make one to find that out.
        how = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
        with ExitStack() as undo:
            try:
                self._reader = undo.enter_context(closing(connect_to_read(path, how)))
                version = schema_version(self._reader, str(path))
            except sqlite3.Error as error:
                raise DatabaseError(explain_sqlite_error(error, str(path))) from None
            if version != SCHEMA_VERSION:
                raise DatabaseError(
                    f"{path} has schema {version}, and this dfhost reads schema {SCHEMA_VERSION}. "
                    "`dfhost start --db` brings an older file to the newest schema."
                )
            undo.pop_all()

    def close(self) -> None:
        self._reader.close()
