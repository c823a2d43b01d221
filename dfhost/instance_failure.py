"""Parses the output of a failed instance: which functions it passed through, the error text, the traceback.

The extension nests failures as text. Each level repeats the level below it, with the activity's serialised .NET
exception (one line of JSON) in the middle. A text of another form is returned as it is. `dfhost.engine.failures`
makes these texts here. Extensions until 3.15 put two blanks behind ``failed:``, newer ones put one; both are read.
"""

from __future__ import annotations

import json
import re
import signal
from contextlib import suppress
from dataclasses import dataclass, replace

# Compiled by `re` at the first failure, not at every start.
_LEVEL = r"\s*(Orchestrator|Activity|Entity) function '([^']*)' failed:[ \t]*"
_EXCEPTION = r' ?(?:\n|\\n) ?(?=\{"\$type":")'  # an app that puts repr(error) into its message writes \\n
# The orchestrator's state, which the worker adds for its host.
_STATE = r"(?s)\n\n\$OutOfProcData\$:\{.*?(?=\nStack:|$)"
_DEATH = r"(?:WorkerProcessExitException: )?[^\s(]*python[\w.]* exited with code (\d+) \(0x[0-9A-F]+\)"
_WORDS_FOR_DEATH = (" exited with code ", "Non-Deterministic workflow detected: ")
_REPEATED = r"(?s) \n Message: .*, StackTrace:.*"
_WORKER = (
    r"(?s)One or more errors occurred\. \(Result: Failure\nException: (?P<text>.*?)\nStack:(?P<stack>.*)\)?"
)


@dataclass(frozen=True, slots=True)
class InstanceFailure:
    """`path`: from the outermost function to the one that raised. `stack`: its traceback, "" if unknown."""

    path: tuple[str, ...]
    text: str
    stack: str = ""

    def within(self, function: str) -> InstanceFailure:
        """The same without `function` at the head of its path, for a line that already names it."""
        return replace(self, path=self.path[1:]) if self.path[:1] == (function,) else self

    def __str__(self) -> str:
        head = " > ".join(self.path)
        return f"{head}: {self.text}" if head else self.text


def read_failure(output: object) -> InstanceFailure:
    """Parse the `output` of a failed instance.

    "Orchestrator function 'all' failed: Activity function 'one' failed: ValueError: bad \\n {...}"
    -> InstanceFailure(("all", "one"), "ValueError: bad", "  File ...")
    """
    if not isinstance(output, str):
        return InstanceFailure(
            (), json.dumps(output, ensure_ascii=False) if output is not None else "no reason given"
        )
    text, stack = _words(output)
    path = []
    while level := re.match(_LEVEL, text):
        path.append(level[2])
        text = text[level.end() :]
    if worker := re.fullmatch(_WORKER, text):
        text, stack = worker["text"], stack or worker["stack"].removesuffix(")")
    return InstanceFailure(tuple(path), text.strip(), stack.rstrip())


def failure_text(output: object) -> str:
    """The `output` of a failed instance as it is, but without the .NET exceptions in it.

    "Orchestrator function 'all' failed: Activity function 'one' failed: ValueError: bad"
    """
    return _words(output)[0].strip() if isinstance(output, str) else str(output)


def _words(output: str) -> tuple[str, str]:
    """The text without what repeats it, and the first Python traceback in it."""
    text, stack = _without_exceptions(output)
    return re.sub(_STATE, "", re.sub(_REPEATED, "", text)).removesuffix(" \n None"), stack


def _without_exceptions(text: str) -> tuple[str, str]:
    """The text without the JSON of .NET exceptions, and the first Python traceback in them."""
    stack = ""
    while found := re.search(_EXCEPTION, text):
        try:
            exception, end = json.JSONDecoder().raw_decode(text, found.end())
        except ValueError:  # truncated, or escaped once more
            exception, end = {}, len(text)
        inner = exception.get("InnerException") or {}
        stack = stack or str(inner.get("RemoteStackTrace") or "")
        text = text[: found.start()] + text[end:]
    return text, stack


def may_hide_death(text: str) -> bool:
    """Whether the failure of an orchestrator may be Azure's words for the end of a worker process."""
    return any(words in text for words in _WORDS_FOR_DEATH)


def death_in_words(text: str) -> str:
    """A failure's text for people, with plain words for the Functions host's about the end of a worker process.

    "WorkerProcessExitException: /usr/bin/python3 exited with code 3 (0x3)", which is stored, as on Azure
    -> "the worker process ended (exit code 3) while it ran"
    """
    return re.sub(_DEATH, _death, text) if " exited with code " in text else text


def _death(found: re.Match[str]) -> str:
    code, end = int(found[1]), f"exit code {found[1]}"
    with suppress(ValueError):
        end = signal.Signals(code - 128).name  # so a signal is counted
    return f"the worker process ended ({end}) while it ran"
