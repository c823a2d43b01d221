"""Bindings of a function, each with azure-functions' converter between Python values and the host's data.

The converters decide what a trigger or an output binding takes; `signature` decides whether a function fits them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from dfhost.runner.functions import Binding

RETURN = "$return"
_registry: Any = func.get_binding_registry()  # type: ignore[no-untyped-call]


class GenericConverter:
    """The converter of bindings that azure-functions has none for, and of `str` and `bytes` parameters."""

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
class TypedBinding:
    """A binding of one parameter, or of the return value.

    `converter` is azure-functions' class for the binding, or `GenericConverter`; `pytype` the annotation, if any.
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
        """The data for the host; TypeError where the binding does not take the type of `value`."""
        try:
            datum: Datum | None = self.converter.encode(value, expected_type=self.pytype)
        except NotImplementedError:
            raise TypeError(
                f"a binding of type {self.type} cannot take a Python value of type {type(value).__name__}"
            ) from None
        return datum


class StreamingHttpConverter:
    """For HTTP bindings in an app with a web extension: values pass as they are, only annotations are checked."""

    @staticmethod
    def check_input_type_annotation(pytype: Any) -> bool:
        return bool(_extensions().RequestTrackerMeta.check_type(pytype))

    @staticmethod
    def check_output_type_annotation(pytype: Any) -> bool:
        return bool(_extensions().ResponseTrackerMeta.check_type(pytype))


def http_streaming_enabled() -> bool:
    """Whether the app has imported azurefunctions-extensions-http-fastapi, which then serves all its HTTP."""
    extensions = _extensions()
    return extensions is not None and bool(extensions.HttpV2FeatureChecker.http_v2_enabled())


def converter_of(binding_type: str) -> Any:
    if binding_type in ("httpTrigger", "http") and http_streaming_enabled():
        return StreamingHttpConverter
    return _registry.get(binding_type) or GenericConverter


def supports_deferred(hint: Any) -> bool:
    """Whether `hint` is a client type (BlobClient, …) of azurefunctions-extensions-bindings-*."""
    extensions = _extensions()
    return extensions is not None and bool(extensions.get_binding_registry().check_supported_type(hint))


def _extensions() -> Any:
    """The base of the azurefunctions-extensions packages, None unless the app has imported one of them."""
    return sys.modules.get("azurefunctions.extensions.base")
