"""A failed instance's output, taken apart for a reader.

The extension nests failures as text: each level repeats what lies below it, with the serialised .NET exception
of the activity (one line of JSON) in the middle. This undoes it; a text of another form is left alone.
Forms recorded on extension 3.15, see `dfhost.engine.failures` for the ones made here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

# Compiled when the first failure is told, not at every start.
_LEVEL = r"\s*(Orchestrator|Activity|Entity) function '([^']*)' failed:[ \t]*"
_EXCEPTION = r' ?\n ?(?=\{"\$type":"System\.)'
_REPEATED = r"(?s) \n Message: .*, StackTrace:.*"
_WORKER = (
    r"(?s)One or more errors occurred\. \(Result: Failure\nException: (?P<text>.*?)\nStack:(?P<stack>.*)\)?"
)


@dataclass(frozen=True, slots=True)
class InstanceFailure:
    """`path`: from the outermost function to the one that raised; `stack`: its traceback, "" if unknown."""

    path: tuple[str, ...]
    text: str
    stack: str = ""

    def within(self, function: str) -> InstanceFailure:
        """The same for a reader who knows that it is about `function`."""
        return replace(self, path=self.path[1:]) if self.path[:1] == (function,) else self

    def __str__(self) -> str:
        head = " > ".join(self.path)
        return f"{head}: {self.text}" if head else self.text


def read_failure(output: object) -> InstanceFailure:
    """What an instance's `output` says.

    "Orchestrator function 'all' failed: Activity function 'one' failed:  ValueError: bad \\n {...}"
    -> Failure(("all", "one"), "ValueError: bad", "  File ...")
    """
    if not isinstance(output, str):
        return InstanceFailure(
            (), json.dumps(output, ensure_ascii=False) if output is not None else "no reason given"
        )
    text, stack = _without_exceptions(output)
    text = re.sub(_REPEATED, "", text).removesuffix(" \n None")
    path = []
    while level := re.match(_LEVEL, text):
        path.append(level[2])
        text = text[level.end() :]
    if worker := re.fullmatch(_WORKER, text):
        text, stack = worker["text"], stack or worker["stack"].removesuffix(")")
    return InstanceFailure(tuple(path), text.strip(), stack.rstrip())


def _without_exceptions(text: str) -> tuple[str, str]:
    """The text without the JSON of .NET exceptions, and the first Python traceback in them."""
    stack = ""
    while found := re.search(_EXCEPTION, text):
        try:
            exception, end = json.JSONDecoder().raw_decode(text, found.end())
        except ValueError:  # cut off somewhere on its way
            exception, end = {}, len(text)
        inner = exception.get("InnerException") or {}
        stack = stack or str(inner.get("RemoteStackTrace") or "")
        text = text[: found.start()] + text[end:]
    return text, stack
