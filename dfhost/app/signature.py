"""Checks whether a Python function fits its bindings, by the real worker's rules.

Pure: a function and its bindings in, a `Signature` or an `AppError` out. What the worker refuses when it indexes an
app on Azure is refused here, with the function and the parameter named. The rules are those of
azure-functions-python-worker 4.34 (`functions.Registry`); azure-functions-runtime 1.3 has the same.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import azure.functions as func

from dfhost.app.bindings import (
    RETURN,
    GenericConverter,
    TypedBinding,
    converter_of,
    supports_deferred,
)
from dfhost.errors import AppError
from dfhost.runner.functions import Binding


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's parameters by role. `returns` is the binding of the return value, None if there is none."""

    inputs: Mapping[str, TypedBinding]
    outputs: Mapping[str, TypedBinding]
    returns: TypedBinding | None
    wants_context: bool


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
    returns, bound = _split_return(bindings, refuse)
    _check_durable_names(bound, parameters, refuse)

    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        del parameters["context"]
        _check_context(annotations, refuse)
    if unbound := [p for p in parameters if p not in bound]:
        known = ", ".join(f"'{p}'" for p in bound) or "none"
        raise refuse(f"no binding fills its parameter '{unbound[0]}' (its bindings are named: {known}).")
    if missing := [p for p in bound if p not in parameters]:
        raise refuse(
            f"its {bound[missing[0]]['type']} binding fills a parameter '{missing[0]}', which it does not have."
        )

    inputs: dict[str, TypedBinding] = {}
    outputs: dict[str, TypedBinding] = {}
    for parameter in parameters:
        typed, is_output = _bind(parameter, bound[parameter], annotations, refuse)
        (outputs if is_output else inputs)[parameter] = typed
    return Signature(inputs, outputs, _bind_return(returns, bound, annotations, refuse), wants_context)


Refuse = Callable[[str], AppError]


def _split_return(bindings: Sequence[Binding], refuse: Refuse) -> tuple[Binding | None, dict[str, Binding]]:
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


def _check_context(annotations: Mapping[str, Any], refuse: Refuse) -> None:
    hint = annotations.get("context", func.Context)
    if not isinstance(hint, type) or hint.__name__ != "Context":
        raise refuse(
            "no binding fills its parameter 'context', so it receives the invocation context and must be "
            f"annotated as azure.functions.Context or not at all, not as {_shown(hint)}."
        )


def _check_durable_names(bound: Mapping[str, Binding], parameters: Mapping[str, Any], refuse: Refuse) -> None:
    # The SDK wraps orchestrators and entities in a function whose only parameter is called `context`. For another
    # name the worker reports a wrong annotation that the user never wrote.
    for name, binding in bound.items():
        if binding["type"] in ("orchestrationTrigger", "entityTrigger") and list(parameters) == ["context"]:
            if name != "context":
                raise refuse(
                    f'context_name must be "context", not "{name}": the SDK\'s wrapper has no other parameter.'
                )


def _bind(
    parameter: str, binding: Binding, annotations: Mapping[str, Any], refuse: Refuse
) -> tuple[TypedBinding, bool]:
    is_output = binding.get("direction") == "OUT"
    converter = converter_of(binding["type"])
    if parameter not in annotations:
        return TypedBinding(binding, converter), is_output

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
    if supports_deferred(hint):
        return TypedBinding(binding, GenericConverter, pytype), is_output
    if pytype in (str, bytes) and not _implicit_output(binding["type"]):
        converter = GenericConverter
    check = converter.check_output_type_annotation if is_output else converter.check_input_type_annotation
    if not _fits(check, pytype):
        raise refuse(f"{what}, which does not match its {binding['type']} binding.")
    return TypedBinding(binding, converter, pytype), is_output


def _bind_return(
    returns: Binding | None, bound: Mapping[str, Binding], annotations: Mapping[str, Any], refuse: Refuse
) -> TypedBinding | None:
    hint = annotations.get("return")
    if returns is None:
        implicit = [b for b in bound.values() if _implicit_output(b["type"])]
        return TypedBinding(implicit[-1], converter_of(implicit[-1]["type"]), hint) if implicit else None
    converter = converter_of(returns["type"])
    if "return" in annotations:
        what = f"its return value is annotated as {_shown(hint)}"
        if not isinstance(hint, type):
            raise refuse(f"{what}, which the Functions worker refuses: use a plain class, or no annotation.")
        if not _fits(converter.check_output_type_annotation, hint):
            raise refuse(f"{what}, which does not match its {returns['type']} binding.")
    return TypedBinding(returns, converter, hint)


def _implicit_output(binding_type: str) -> bool:
    """Whether a function with this binding may return a value although no `$return` is declared."""
    if binding_type == "durableClient":
        return False
    # Converters of pure outputs (http) lack the method.
    has_implicit_output = getattr(converter_of(binding_type), "has_implicit_output", None)
    return bool(has_implicit_output()) if has_implicit_output else False


def _unwrap_out(hint: Any) -> tuple[bool, Any]:
    """Whether `hint` is func.Out[T], and T (None for a bare func.Out), else the hint itself."""
    origin = typing.get_origin(hint) or hint
    if not (isinstance(origin, type) and origin.__name__ == "Out"):
        return False, hint
    args = typing.get_args(hint)
    return True, args[0] if len(args) == 1 else None


def _is_type(hint: Any) -> bool:
    """Whether `hint` is a class or a generic of typing (`typing.List[str]`), but no union, tuple or callable.

    `list[str]` counts as a class up to Python 3.10 (`isinstance`), so the worker takes it there, and only there.
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


def _shown(hint: Any) -> str:
    return f"'{hint.__name__}'" if isinstance(hint, type) and not typing.get_args(hint) else f"'{hint!r}'"
