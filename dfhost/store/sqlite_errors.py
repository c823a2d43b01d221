"""SQLite's errors as sentences for the person at the terminal."""

from __future__ import annotations

import sqlite3

_FILE_ERRORS = (
    "not a database", "disk image is malformed", "readonly", "read-only", "full", "locked", "busy", "disk I/O",
    "unable to open",
)  # fmt: skip


def is_file_error(error: Exception) -> bool:
    """True if the file or its disk has failed, so that no other operation can succeed."""
    return isinstance(error, sqlite3.Error) and any(each in str(error) for each in _FILE_ERRORS)


def explain_refusal(error: Exception) -> str:
    """Why one operation could not be stored, for people. A defect of ours is one, too."""
    if "string or blob too big" in str(error) or isinstance(error, OverflowError):
        return "a value is larger than SQLite stores, which is 1 GB"
    if isinstance(error, UnicodeEncodeError):
        return f"a text has half of a surrogate pair in it, {error.object[error.start : error.end]!a}"
    return repr(error)


def explain_sqlite_error(error: sqlite3.Error, label: str) -> str:
    """SQLite's error as a sentence for the person at the terminal."""
    text = str(error)
    if "not a database" in text or "disk image is malformed" in text:
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
