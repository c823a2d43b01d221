"""Whether a Python function fits its bindings, by the real worker's rules.

Pure: a function and its bindings in, a `Signature` or an `AppError` out. What the worker refuses when it
indexes an app on Azure is refused here, with the function and the parameter named. The rules were read from
azure-functions-python-worker 4.34 (`functions.Registry`); azure-functions-runtime 1.3 has the same.
"""

from __future__ import annotations

import collections.abc
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from dfhost.errors import AppError

Binding = Mapping[str, Any]
RETURN = "$return"
_registry: Any = func.get_binding_registry()  # type: ignore[no-untyped-call]


class GenericConverter:
    """The converter of every binding that azure-functions has none for, and of `str`/`bytes` parameters."""

    @staticmethod
    def check_input_type_annotation(pytype: Any) -> bool:
        return issubclass(pytype, (str, bytes))

    @staticmethod
    def check_output_type_annotation(pytype: Any) -> bool:
        return issubclass(pytype, (str, bytes, bytearray))

    @staticmethod
    def has_implicit_output() -> bool:
        return True

    @staticmethod
    def decode(data: Datum | None, *, trigger_metadata: Any) -> Any:
        return None if data is None or data.type is None else data.value

    @staticmethod
    def encode(obj: Any, *, expected_type: Any) -> Datum:
        if isinstance(obj, str):
            return Datum(obj, "string")
        if isinstance(obj, (bytes, bytearray)):
            return Datum(bytes(obj), "bytes")
        for kinds, name in ((dict, "dict"), (list, "list"), (int, "int"), (float, "double")):
            if isinstance(obj, kinds):
                return Datum(obj, name)
        if obj is None:
            return Datum(None, None)
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Slot:
    """One end of a binding: where a value enters or leaves the function.

    `converter` is azure-functions' own class for the binding (or `Generic`); `pytype` the annotation, if any.
    """

    binding: Binding
    converter: Any
    pytype: Any = None

    @property
    def type(self) -> str:
        return str(self.binding["type"])

    def decode(self, data: Datum, metadata: Mapping[str, Datum]) -> Any:
        """The Python value for `data`; TypeError where the binding does not take this kind of data."""
        try:
            return self.converter.decode(data, trigger_metadata=metadata)
        except NotImplementedError:
            raise TypeError(f"a binding of type {self.type} cannot take {data.type} data") from None

    def encode(self, value: Any) -> Datum | None:
        """What the host would be sent for `value`; TypeError where the binding does not take its type."""
        try:
            datum: Datum | None = self.converter.encode(value, expected_type=self.pytype)
        except NotImplementedError:
            raise TypeError(
                f"a binding of type {self.type} cannot take a Python value of type {type(value).__name__}"
            ) from None
        return datum


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's parameters by role; `returns` is where a return value goes, None if nowhere."""

    inputs: Mapping[str, Slot]
    outputs: Mapping[str, Slot]
    returns: Slot | None
    wants_context: bool


class Streamed:
    """HTTP bindings in an app with a web extension: values pass as they are, only annotations are checked."""

    @staticmethod
    def check_input_type_annotation(pytype: Any) -> bool:
        return bool(_extensions().RequestTrackerMeta.check_type(pytype))

    @staticmethod
    def check_output_type_annotation(pytype: Any) -> bool:
        return bool(_extensions().ResponseTrackerMeta.check_type(pytype))


def streams() -> bool:
    """Whether the app has imported azurefunctions-extensions-http-fastapi: it then serves all its HTTP."""
    extensions = _extensions()
    return extensions is not None and bool(extensions.HttpV2FeatureChecker.http_v2_enabled())


def converter_of(binding_type: str) -> Any:
    if binding_type in ("httpTrigger", "http") and streams():
        return Streamed
    return _registry.get(binding_type) or GenericConverter


def read_signature(name: str, function: Callable[..., Any], bindings: Sequence[Binding]) -> Signature:
    """How `function` is called for `bindings` (as in function.json: name, type, direction, …).

    Raises AppError where the real worker would refuse to load the app.
    """

    def refuse(problem: str) -> AppError:
        return AppError(f"Function '{name}' cannot be loaded: {problem}")

    try:
        annotations = typing.get_type_hints(function)
    except Exception as error:  # get_type_hints evaluates the user's strings: anything may come of it
        raise refuse(
            f"its annotations cannot be evaluated ({type(error).__name__}: {error}). The Functions worker "
            "evaluates them too, so whatever they name must be imported at run time."
        ) from None
    parameters = dict(inspect.signature(function).parameters)
    returns, bound = _split(bindings, refuse)
    _check_durable_names(bound, parameters, refuse)

    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        del parameters["context"]
        hint = annotations.get("context", func.Context)
        if not isinstance(hint, type) or hint.__name__ != "Context":
            raise refuse(
                "no binding fills its parameter 'context', so it receives the invocation context and must be "
                f"annotated as azure.functions.Context or not at all, not as {_shown(hint)}."
            )
    if unbound := [p for p in parameters if p not in bound]:
        known = ", ".join(f"'{p}'" for p in bound) or "none"
        raise refuse(f"no binding fills its parameter '{unbound[0]}' (its bindings are named: {known}).")
    if missing := [p for p in bound if p not in parameters]:
        raise refuse(
            f"its {bound[missing[0]]['type']} binding fills a parameter '{missing[0]}' it does not have."
        )

    inputs: dict[str, Slot] = {}
    outputs: dict[str, Slot] = {}
    for parameter in parameters:
        slot, is_output = _slot(parameter, bound[parameter], annotations, refuse)
        (outputs if is_output else inputs)[parameter] = slot
    return Signature(inputs, outputs, _return_slot(returns, bound, annotations, refuse), wants_context)


Refuse = Callable[[str], AppError]


def _split(bindings: Sequence[Binding], refuse: Refuse) -> tuple[Binding | None, dict[str, Binding]]:
    """The `$return` binding, if any, and the others by parameter name."""
    returns, bound = None, {}
    for binding in bindings:
        if binding.get("direction") == "INOUT":
            raise refuse(
                f"its binding '{binding['name']}' has the direction inout, which Python does not have."
            )
        if binding["name"] != RETURN:
            bound[str(binding["name"])] = binding
        elif binding.get("direction") == "OUT":
            returns = binding
        else:
            raise refuse("its $return binding must have the direction out.")
    return returns, bound


def _check_durable_names(bound: Mapping[str, Binding], parameters: Mapping[str, Any], refuse: Refuse) -> None:
    # The SDK wraps orchestrators and entities in a function whose only parameter is called `context`; the
    # worker then complains about an annotation that the user never wrote.
    for name, binding in bound.items():
        if binding["type"] in ("orchestrationTrigger", "entityTrigger") and list(parameters) == ["context"]:
            if name != "context":
                raise refuse(
                    f'context_name must be "context", not "{name}": the SDK\'s wrapper knows no other.'
                )


def _slot(
    parameter: str, binding: Binding, annotations: Mapping[str, Any], refuse: Refuse
) -> tuple[Slot, bool]:
    is_output = binding.get("direction") == "OUT"
    converter = converter_of(binding["type"])
    if parameter not in annotations:
        return Slot(binding, converter), is_output

    hint = annotations[parameter]
    takes_out, pytype = _unwrap_out(hint)
    what = f"its parameter '{parameter}' is annotated as {_shown(hint)}"
    if takes_out and pytype is None:
        raise refuse(f"{what}; func.Out takes exactly one type, e.g. func.Out[str].")
    if isinstance(pytype, types.GenericAlias) and not _is_type(pytype):
        raise refuse(
            f"{what}, which the Functions worker refuses on a binding from Python 3.11 on: "
            f"write {pytype.__origin__.__name__}, or no annotation."
        )
    if not _is_type(pytype):
        raise refuse(
            f"{what}, which the Functions worker refuses on a binding: "
            "use a plain class such as str, dict or list, or no annotation."
        )
    if is_output != takes_out:
        right = "an output and must be annotated as func.Out[…]" if is_output else "an input, not a func.Out"
        raise refuse(f"{what}, but its {binding['type']} binding is {right}.")
    if _supports_deferred(hint):
        return Slot(binding, GenericConverter, pytype), is_output
    if pytype in (str, bytes) and not _implicit_output(binding["type"]):
        converter = GenericConverter
    check = converter.check_output_type_annotation if is_output else converter.check_input_type_annotation
    if not _fits(check, pytype):
        raise refuse(f"{what}, which does not match its {binding['type']} binding.")
    return Slot(binding, converter, pytype), is_output


def _return_slot(
    returns: Binding | None, bound: Mapping[str, Binding], annotations: Mapping[str, Any], refuse: Refuse
) -> Slot | None:
    hint = annotations.get("return")
    if returns is None:
        implicit = [b for b in bound.values() if _implicit_output(b["type"])]
        return Slot(implicit[-1], converter_of(implicit[-1]["type"]), hint) if implicit else None
    converter = converter_of(returns["type"])
    if "return" in annotations:
        what = f"its return value is annotated as {_shown(hint)}"
        if not isinstance(hint, type):
            raise refuse(f"{what}, which the Functions worker refuses: use a plain class, or no annotation.")
        if not _fits(converter.check_output_type_annotation, hint):
            raise refuse(f"{what}, which does not match its {returns['type']} binding.")
    return Slot(returns, converter, hint)


def _implicit_output(binding_type: str) -> bool:
    """Whether a function with this binding may return a value although no `$return` is declared."""
    if binding_type == "durableClient":
        return False
    # Pure output converters (http) do not have the question at all.
    ask = getattr(converter_of(binding_type), "has_implicit_output", None)
    return bool(ask()) if ask else False


def _unwrap_out(hint: Any) -> tuple[bool, Any]:
    """Whether `hint` is func.Out[T], and T (None for a bare func.Out), else the hint itself."""
    origin = typing.get_origin(hint) or hint
    if not (isinstance(origin, type) and origin.__name__ == "Out"):
        return False, hint
    args = typing.get_args(hint)
    return True, args[0] if len(args) == 1 else None


def _is_type(hint: Any) -> bool:
    """Classes and typing's generics (`typing.List[str]`), but no unions, tuples, callables or `list[str]`.

    `list[str]` is a class to `isinstance` up to Python 3.10, so the worker takes it there, and there only.
    """
    if isinstance(hint, type):
        return True
    origin = typing.get_origin(hint)
    return type(hint).__module__ == "typing" and origin not in (
        None,
        typing.Union,
        tuple,
        typing.ClassVar,
        collections.abc.Callable,
    )


def _fits(check: Callable[[Any], bool], pytype: Any) -> bool:
    try:
        return bool(check(pytype))
    except TypeError:  # issubclass() with a generic
        return False


def _supports_deferred(hint: Any) -> bool:
    """SDK types (BlobClient, …) of azurefunctions-extensions-bindings-*."""
    extensions = _extensions()
    return extensions is not None and bool(extensions.get_binding_registry().check_supported_type(hint))


def _extensions() -> Any:
    """The base of the azurefunctions-extensions packages, None unless the app has imported one of them."""
    return sys.modules.get("azurefunctions.extensions.base")


def _shown(hint: Any) -> str:
    return f"'{hint.__name__}'" if isinstance(hint, type) and not typing.get_args(hint) else f"'{hint!r}'"
