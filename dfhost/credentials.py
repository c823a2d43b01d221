"""Hides credentials in the texts of exceptions, as the Functions host does before it passes them on. Pure.

The rule is its `Sanitizer` (Azure/azure-functions-host, src/WebJobs.Script): from the name of a credential up to the
next quote or `<`, and whole URLs with a user, a password and a port.
"""

from __future__ import annotations

import re

_HIDDEN = "[Hidden Credential]"
_NAMES = (
    "(?<!PublicKey)Token=", "DefaultEndpointsProtocol=http", "AccountKey=", "Data Source=", "Server=", "Password=",
    "pwd=", "&amp;sig=", "&sig=", r"\?sig=", "SharedAccessKey=", "&amp;code=", "&code=", r"\?code=", "/code=", "key=",
)  # fmt: skip
_CREDENTIAL = re.compile(rf"(?:{'|'.join(_NAMES)})[^<\"']*", re.IGNORECASE)
_URL = re.compile(r"\b[a-z]+://[^:/\s]+:[^@/\s]+@[^:/\s]+:[0-9]+\b", re.IGNORECASE)


def hide_credentials(text: str) -> str:
    """`text` without credentials: "url https://a/b?code=x" -> "url https://a/b[Hidden Credential]"."""
    if "=" in text:
        text = _CREDENTIAL.sub(_HIDDEN, text)
    return _URL.sub(_HIDDEN, text) if "://" in text else text
