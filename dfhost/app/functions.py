"""The user's functions as values that can be called.

`loader.load_app` returns an `App`: the functions in the order of their declaration, and lookups by name. A `Function`
knows its bindings and how to call the user's code with them. It knows neither threads nor the task hub.

    function = app.activities.get("process_item")        # case-insensitive, None if there is none
    result = function.call(input_text)                   # JSON text in, JSON text or None out
    result = await function.call_async(input_text)       # if function.is_async, on the user loop
    app.orchestrators.get(name).callable                 # the SDK's handle; likewise in app.entities

Both calls raise whatever the user's code raises, unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from azure.functions.meta import Datum

from dfhost.app.bindings import RETURN
from dfhost.app.invocation import Invocation, Out, RetryContext, new_invocation, thread_local
from dfhost.app.json_values import find_not_json
from dfhost.app.outputs import Outputs, Written
from dfhost.app.signature import Signature
from dfhost.errors import HostError
from dfhost.host_log import CallLog
from dfhost.runner.app_runner import ClientTexts
from dfhost.runner.functions import AppFunctions, AppInfo, FunctionInfo


class NotConnected(HostError):
    """A function reads from a service (blob, table, …), which dfhost does not do."""


class NoReturnBinding(RuntimeError):
    """A function without a $return binding returned a value; the real worker fails such a call, too."""


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """The results of a call as data for the host: the return value, and the output bindings by parameter."""

    returned: Datum | None
    outputs: Mapping[str, Datum]


class Function:
    """One function of the app. The attributes that `info` has, too, are its.

    callable      the user's function; for orchestrators and entities the SDK's handle around it
    is_async      it must be awaited, on the user loop
    """

    def __init__(
        self,
        info: FunctionInfo,
        callable: Callable[..., Any],
        signature: Signature,
        directory: str = "",
        is_async: bool = False,
        log: CallLog | None = None,
        outputs: Outputs | None = None,
    ) -> None:
        self.info = info
        self.name = info.name
        self.trigger = info.trigger
        self.bindings = info.bindings
        self.kind = info.kind
        self.durable_name = info.durable_name
        self.callable = callable
        self.signature = signature
        self.directory = directory
        self.is_async = is_async
        self.parameter = str(info.trigger["name"])
        self.clients: dict[str, str] = {}
        self._log = log
        self._outputs = outputs or Outputs(log)
        self._noted_not_json = False
        self._trigger_binding = signature.inputs[self.parameter]
        self._unconnected_inputs = [
            (parameter, typed)
            for parameter, typed in signature.inputs.items()
            if parameter != self.parameter and typed.type != "durableClient"
        ]
        # An activity with nothing but its input takes a fast path in `call`.
        self._only_input = (
            len(signature.inputs) == 1
            and not signature.outputs
            and not signature.wants_context
            and signature.returns is not None
            and signature.returns.type == info.trigger["type"]
        )
        if self._only_input and signature.returns is not None:
            self._decode = self._trigger_binding.converter.decode
            self._encode = signature.returns.converter.encode
            self._converter_called = False

    def __repr__(self) -> str:
        return f"<{self.kind} function {self.name}>"

    # -- activities ------------------------------------------------------------------------------------------
    def call(self, input_text: str, retry_count: int = 0) -> str | None:
        """Run a plain activity, on any thread but the host loop's. `retry_count`: of its retry policy, so far."""
        if self._only_input:
            return self._encode_result(self.callable(**{self.parameter: self._decode_input(input_text)}))
        invocation = self.new_invocation(retry_count) if self.signature.wants_context else None
        result = self.invoke(Datum(input_text, "string"), None, invocation)
        self._outputs.send_blocking(self.written(result))
        return self._activity_result(result)

    async def call_async(self, input_text: str, retry_count: int = 0) -> str | None:
        """Run an `async def` activity, on the user loop."""
        if self._only_input:
            return self._encode_result(
                await self.callable(**{self.parameter: self._decode_input(input_text)})
            )
        invocation = self.new_invocation(retry_count) if self.signature.wants_context else None
        result = await self.invoke_async(Datum(input_text, "string"), None, invocation)
        await self.send_outputs(result)
        return self._activity_result(result)

    def _decode_input(self, input_text: str) -> Any:
        """The activity's input.

        For a text without a custom object the converter only reads JSON. Doing that here saves half the cost of a
        trivial call. The first call goes to the converter, which may have a warning to give, once.
        """
        if self._converter_called and "__class__" not in input_text:
            try:
                return json.loads(input_text)
            except ValueError:
                pass  # left to the converter
        self._converter_called = True
        return self._decode(Datum(input_text, "string"), trigger_metadata=_NO_METADATA)

    def _encode_result(self, value: Any) -> str | None:
        if type(value) is str and value.isascii():  # every converter gives this, and it is compact
            return json.dumps(value)
        try:
            return stored_result(self._encode(value, expected_type=None).value)
        except (TypeError, ValueError):
            self._note_not_json(value)
            raise

    def _note_not_json(self, value: Any) -> None:
        """Once, what the activity has returned that is not JSON: the error, which is the SDK's, names no type."""
        found = find_not_json(value, takes_objects=True)
        if found and self._log is not None and not self._noted_not_json:
            self._noted_not_json = True
            path, culprit = found
            at = f" at {path}" if path else ""
            self._log.note(
                f"{self.name} returned a value of type {type(culprit).__name__}{at}, which JSON does not have. "
                "Return what it has, or an object with to_json and from_json."
            )

    def _activity_result(self, result: InvocationResult) -> str | None:
        returns = self.signature.returns
        if result.returned is None or returns is None or returns.type != self.trigger["type"]:
            return None  # a `$return` bound to a queue or the like takes the value
        return stored_result(result.returned.value)

    # -- every function --------------------------------------------------------------------------------------
    def invoke(
        self, data: Datum, metadata: Mapping[str, Datum] | None = None, invocation: Invocation | None = None
    ) -> InvocationResult:
        """Run a plain function with `data` for its trigger, on any thread but the host loop's.

        Raises TypeError or ValueError if a value does not fit its binding, NotConnected, NoReturnBinding, or whatever
        the function raises.
        """
        invocation = invocation or (self.new_invocation() if self.signature.wants_context else None)
        arguments = self.arguments(self._trigger_binding.decode(data, metadata or _NO_METADATA), invocation)
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
        """Run an `async def` function with `data` for its trigger, on the user loop. Raises as `invoke`."""
        invocation = invocation or (self.new_invocation() if self.signature.wants_context else None)
        arguments = self.arguments(self._trigger_binding.decode(data, metadata or _NO_METADATA), invocation)
        if invocation is not None:
            thread_local.invocation_id = invocation.invocation_id
        return self._result(await self.callable(**arguments), arguments)

    def new_invocation(
        self, retry_count: int = 0, trace_parent: str = "", trace_state: str = ""
    ) -> Invocation:
        policy = self.info.retry
        retry = RetryContext(retry_count, policy.max_retry_count if policy else 0)
        return new_invocation(self.name, self.directory, retry, trace_parent, trace_state)

    async def send_outputs(self, result: InvocationResult) -> None:
        """Send what the function has written to its output bindings. Raises OutputFailed."""
        await self._outputs.send(self.written(result))

    def written(self, result: InvocationResult) -> Written:
        bindings, data = dict(self.signature.outputs), dict(result.outputs)
        returns, returned = self.signature.returns, result.returned
        if returns is not None and returns.binding["name"] == RETURN and returned is not None:
            bindings[RETURN], data[RETURN] = returns, returned
        return Written(self.name, bindings, data)

    def arguments(self, value: Any, invocation: Invocation | None) -> dict[str, Any]:
        """The keyword arguments of one call, with `value` for the trigger's parameter. Raises NotConnected."""
        for parameter, typed in self._unconnected_inputs:
            raise NotConnected(
                f"'{self.name}' reads '{parameter}' from a {typed.type} binding, which dfhost does not support. "
                "Use Azure Functions Core Tools for this function."
            )
        arguments: dict[str, Any] = {self.parameter: value, **self.clients}
        if self.signature.wants_context:
            arguments["context"] = invocation
        for parameter in self.signature.outputs:
            arguments[parameter] = Out()
        return arguments

    def outputs_of(self, arguments: Mapping[str, Any]) -> dict[str, Datum]:
        """The values of the `func.Out` parameters after a call; TypeError if one does not fit its binding."""
        outputs = {}
        for parameter, typed in self.signature.outputs.items():
            value = arguments[parameter].get()
            datum = typed.encode(value) if value is not None else None
            if datum is not None and datum.type is not None:
                outputs[parameter] = datum
        return outputs

    def _result(self, value: Any, arguments: Mapping[str, Any]) -> InvocationResult:
        returns = self.signature.returns
        if returns is None and value is not None:
            raise NoReturnBinding(
                f"function '{self.name}' without a $return binding returned a non-None value"
            )
        try:
            returned = returns.encode(value) if returns else None
        except (TypeError, ValueError):
            if self.kind == "activity":
                self._note_not_json(value)
            raise
        return InvocationResult(returned, self.outputs_of(arguments))


class App(AppFunctions[Function]):
    """The loaded function app. `outputs`: of all its functions."""

    outputs: Outputs

    @property
    def info(self) -> AppInfo:
        functions, disabled, excluded = (
            [function.info for function in group] for group in (self.functions, self.disabled, self.excluded)
        )
        return AppInfo(self.root, functions, disabled, excluded, self.notes, self.mistakes)

    def connect(self, clients: ClientTexts) -> None:
        """Give every durable client its JSON. Call this before any function runs."""
        for function in self.functions:
            function.clients.update(clients.get(function.name, {}))


_NO_METADATA: Mapping[str, Datum] = {}

# What json.dumps writes differently from the extension's own serialiser.
_NOT_COMPACT = re.compile(r'": |, |\\u|NaN|Infinity|^\{"\$')


def stored_result(text: str) -> str | None:
    """A function's JSON result as the extension stores it: compact, raw UTF-8, None for `null`.

    NaN and the infinities become strings. `$type` and `$id` at the start of an object are Newtonsoft's metadata to
    the extension, which drops them. Both were recorded.
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
