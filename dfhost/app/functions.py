"""The user's functions as values that can be called.

`App` is what `loader.load_app` returns: the functions in the order of their declaration, and lookups by
durable name. A `Function` knows its bindings and how to call the user's code with them; it knows neither
threads nor the task hub. For the worker:

    function = app.activities.get("process_item")        # case-insensitive, None if there is none
    result = function.call(input_text)                   # JSON text in, JSON text or None out
    result = await function.call_async(input_text)       # where function.is_async, on the users' loop
    app.orchestrators.get(name).callable                 # the SDK's handle; so for app.entities
    failure_of(error)                                    # what to tell of the exception a call has raised

Both calls let the user's exception through as it is, whatever it derives from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.functions.meta import Datum

from dfhost.app.invocation import Invocation, Out, new_invocation, thread_local
from dfhost.app.signature import RETURN, Binding, Signature
from dfhost.errors import AppError, HostError
from dfhost.host_log import HostLog, NullLog
from dfhost.settings.app_settings import resolve_app_settings

KINDS = {
    "httpTrigger": "http",
    "orchestrationTrigger": "orchestration",
    "activityTrigger": "activity",
    "entityTrigger": "entity",
    "timerTrigger": "timer",
}
_OVERRIDES = {"orchestration": "orchestration", "activity": "activity", "entity": "entityName"}


class NotConnected(HostError):
    """A function reads from a service (blob, table, …) that nothing here stands in for."""


class NoReturnBinding(RuntimeError):
    """A function without an output binding returned a value; the real worker fails such a call, too."""


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """What a call left behind, as sent to the host: the return value, and output bindings by parameter."""

    returned: Datum | None
    outputs: Mapping[str, Datum]


class Function:
    """One function of the app.

    name          as indexed: the Python name or `@app.function_name`
    kind          http, orchestration, activity, entity, timer, else the trigger's type ("queueTrigger")
    durable_name  what orchestrators and clients call it: the trigger's `activity=`, `orchestration=`,
                  `entity_name=`, else `name`
    trigger       the trigger binding as in function.json (`route`, `methods`, `schedule`, …)
    bindings      the other bindings, likewise
    callable      the user's function; for orchestrators and entities the SDK's handle around it
    is_async      it must be awaited, on the users' loop
    """

    def __init__(
        self,
        name: str,
        callable: Callable[..., Any],
        trigger: Binding,
        bindings: Iterable[Binding],
        signature: Signature,
        directory: str = "",
        is_async: bool = False,
        log: HostLog | None = None,
    ) -> None:
        self.name = name
        self.callable = callable
        self.trigger = trigger
        self.bindings = tuple(bindings)
        self.signature = signature
        self.directory = directory
        self.is_async = is_async
        self.kind = KINDS.get(trigger["type"], str(trigger["type"]))
        self.durable_name = str(trigger.get(_OVERRIDES.get(self.kind, ""), None) or name)
        self.parameter = str(trigger["name"])
        self.clients: dict[str, str] = {}
        self._log = log or NullLog()
        self._trigger_slot = signature.inputs[self.parameter]
        self._foreign = [
            (parameter, slot)
            for parameter, slot in signature.inputs.items()
            if parameter != self.parameter and slot.type != "durableClient"
        ]
        # An activity with nothing but its input takes the short way in `call`.
        self._plain = (
            len(signature.inputs) == 1
            and not signature.outputs
            and not signature.wants_context
            and signature.returns is not None
            and signature.returns.type == trigger["type"]
        )
        if self._plain and signature.returns is not None:
            self._decode = self._trigger_slot.converter.decode
            self._encode = signature.returns.converter.encode
            self._has_converted = False

    def __repr__(self) -> str:
        return f"<{self.kind} function {self.name}>"

    # -- activities ------------------------------------------------------------------------------------------
    def call(self, input_text: str) -> str | None:
        """Run a plain activity; any thread but the host's own."""
        if self._plain:
            return self._stored(self.callable(**{self.parameter: self._value(input_text)}))
        return self._settled(self.invoke(Datum(input_text, "string")))

    async def call_async(self, input_text: str) -> str | None:
        """Run an `async def` activity; on the users' loop."""
        if self._plain:
            return self._stored(await self.callable(**{self.parameter: self._value(input_text)}))
        return self._settled(await self.invoke_async(Datum(input_text, "string")))

    def _value(self, input_text: str) -> Any:
        """The activity's input.

        To the converter, too, a text without a custom object in it is plain JSON; reading it here spares half the
        cost of a trivial call. The first call is the converter's: it may have something to warn of, once.
        """
        if self._has_converted and "__class__" not in input_text:
            try:
                return json.loads(input_text)
            except ValueError:
                pass  # the converter knows what to make of it
        self._has_converted = True
        return self._decode(Datum(input_text, "string"), trigger_metadata=_NOTHING)

    def _stored(self, value: Any) -> str | None:
        if type(value) is str and value.isascii():  # what a string is to every converter, and compact already
            return json.dumps(value)
        return stored_result(self._encode(value, expected_type=None).value)

    def _settled(self, result: InvocationResult) -> str | None:
        self.note_outputs(result)
        returns = self.signature.returns
        if result.returned is None or returns is None or returns.type != self.trigger["type"]:
            return None  # a `$return` bound to a queue or the like takes the value
        return stored_result(result.returned.value)

    # -- every function --------------------------------------------------------------------------------------
    def invoke(
        self, data: Datum, metadata: Mapping[str, Datum] | None = None, invocation: Invocation | None = None
    ) -> InvocationResult:
        """Run a plain function with `data` for its trigger; any thread but the host's own.

        TypeError or ValueError if a value fits no binding, NotConnected, NoReturnBinding, or what it raised.
        """
        invocation = invocation or (self.new_invocation() if self.signature.wants_context else None)
        arguments = self.arguments(self._trigger_slot.decode(data, metadata or _NOTHING), invocation)
        if invocation is None:
            return self._result(self.callable(**arguments), arguments)
        thread_local.invocation_id = invocation.invocation_id
        try:
            return self._result(self.callable(**arguments), arguments)
        finally:
            thread_local.invocation_id = None

    async def invoke_async(
        self, data: Datum, metadata: Mapping[str, Datum] | None = None, invocation: Invocation | None = None
    ) -> InvocationResult:
        """Run an `async def` function with `data` for its trigger; on the users' loop. Raises as `invoke`."""
        invocation = invocation or (self.new_invocation() if self.signature.wants_context else None)
        arguments = self.arguments(self._trigger_slot.decode(data, metadata or _NOTHING), invocation)
        if invocation is not None:
            thread_local.invocation_id = invocation.invocation_id
        return self._result(await self.callable(**arguments), arguments)

    def new_invocation(self, trace_parent: str = "", trace_state: str = "") -> Invocation:
        return new_invocation(self.name, self.directory, trace_parent, trace_state)

    def note_outputs(self, result: InvocationResult) -> None:
        """Say what went to output bindings other than http: there is nothing here to send it to."""
        slots, sent = dict(self.signature.outputs), dict(result.outputs)
        returns, returned = self.signature.returns, result.returned
        if returns is not None and returns.binding["name"] == RETURN and returned is not None:
            slots[RETURN], sent[RETURN] = returns, returned
        for parameter, datum in sent.items():
            if slots[parameter].type != "http" and datum.value is not None:
                self._log.note(
                    f"{self.name}: its {slots[parameter].type} output is not connected here; "
                    f"it would have got {_shown(datum)}."
                )

    def arguments(self, value: Any, invocation: Invocation | None) -> dict[str, Any]:
        """The keyword arguments of one call, `value` for the trigger's parameter; NotConnected."""
        for parameter, slot in self._foreign:
            raise NotConnected(
                f"'{self.name}' reads '{parameter}' from a {slot.type} binding, which is not connected here; "
                "use Azure Functions Core Tools for this function."
            )
        arguments: dict[str, Any] = {self.parameter: value, **self.clients}
        if self.signature.wants_context:
            arguments["context"] = invocation
        for parameter in self.signature.outputs:
            arguments[parameter] = Out()
        return arguments

    def outputs_of(self, arguments: Mapping[str, Any]) -> dict[str, Datum]:
        """What a call has put into its `func.Out` parameters; TypeError if a value fits no binding."""
        outputs = {}
        for parameter, slot in self.signature.outputs.items():
            given = arguments[parameter].get()
            datum = slot.encode(given) if given is not None else None
            if datum is not None and datum.type is not None:
                outputs[parameter] = datum
        return outputs

    def _result(self, value: Any, arguments: Mapping[str, Any]) -> InvocationResult:
        returns = self.signature.returns
        if returns is None and value is not None:
            raise NoReturnBinding(
                f"function '{self.name}' without a $return binding returned a non-None value"
            )
        return InvocationResult(returns.encode(value) if returns else None, self.outputs_of(arguments))


class Functions:
    """Functions by durable name, compared without case, as the extension compares them."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self._by_name = {function.durable_name.lower(): function for function in functions}

    def get(self, name: str) -> Function | None:
        return self._by_name.get(name.lower())

    @property
    def names(self) -> list[str]:
        """As declared, in the order of declaration."""
        return [function.durable_name for function in self._by_name.values()]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._by_name

    def __iter__(self) -> Iterator[Function]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


class App:
    """The loaded function app.

    `functions` are those that run here, in order; `disabled` the names of those switched off by settings;
    `notes` sentences a person should read at start-up (what is not polled, what is not connected).
    """

    def __init__(
        self,
        root: Path,
        functions: Iterable[Function],
        disabled: Iterable[str] = (),
        notes: Iterable[str] = (),
    ) -> None:
        self.root = root
        self.functions = list(functions)
        self.disabled = list(disabled)
        self.notes = list(notes)
        of_kind = self._of_kind
        self.activities = Functions(of_kind("activity"))
        self.orchestrators = Functions(of_kind("orchestration"))
        self.entities = Functions(of_kind("entity"))
        self.http_functions = of_kind("http")
        self.timers = of_kind("timer")
        self.others = [function for function in self.functions if function.kind not in KINDS.values()]
        self._by_name = {function.name.lower(): function for function in self.functions}

    def get(self, name: str) -> Function | None:
        """The function of this (indexed) name, whatever its kind; case does not count."""
        return self._by_name.get(name.lower())

    def connect(self, client_json: Callable[[str | None, str | None], str]) -> None:
        """Give every durable client its JSON; `client_json(task_hub, connection)` builds it.

        Called once the host knows its address, before any function runs. AppError if a client names its task
        hub by a setting that does not exist.
        """
        for function in self.functions:
            for parameter, slot in function.signature.inputs.items():
                if slot.type == "durableClient":
                    hub, connection = slot.binding.get("taskHub"), slot.binding.get("connectionName")
                    try:
                        function.clients[parameter] = client_json(
                            resolve_app_settings(hub) if hub else None, connection
                        )
                    except ValueError as error:
                        raise AppError(
                            f"Function '{function.name}': its task hub '{hub}': {error}."
                        ) from None

    def _of_kind(self, kind: str) -> list[Function]:
        return [function for function in self.functions if function.kind == kind]


_NOTHING: Mapping[str, Datum] = {}

# What json.dumps writes that the extension's own serialiser would write otherwise.
_NOT_COMPACT = re.compile(r'": |, |\\u|NaN|Infinity|^\{"\$')


def stored_result(text: str) -> str | None:
    """A function's JSON result as the extension stores it: compact, raw UTF-8, None for `null`.

    NaN and the infinities become strings; `$type` and `$id` at the start of an object are taken for
    Newtonsoft's metadata and vanish (both recorded on the extension).
    """
    if text == "null":
        return None
    if not _NOT_COMPACT.search(text):
        return text
    value = json.loads(text, parse_constant=str)
    if isinstance(value, dict):
        for key in list(value):
            if key not in ("$type", "$id"):
                break
            del value[key]
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    try:
        compact.encode()
    except UnicodeEncodeError:  # half a surrogate pair: only an escape can carry it
        compact = json.dumps(value, separators=(",", ":"))
    return compact


def _shown(datum: Datum) -> str:
    text = datum.value if isinstance(datum.value, str) else repr(datum.value)
    return text if len(text) <= 200 else text[:200] + "…"
