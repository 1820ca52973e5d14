"""Payloads and filters: Python's own values, which are JSON's."""

from __future__ import annotations

import json
from typing import Any

from . import pocketlens_ffi as ffi


def payload(hit: ffi.Hit | ffi.Item) -> dict[str, Any]:
    """What was indexed with a hit, as a dictionary."""
    return {name: _to_python(value) for name, value in hit.payload.items()}


def values_of(payload: dict[str, Any] | None) -> dict[str, ffi.Value]:
    """A dictionary as the library takes it."""
    return {name: _to_value(value) for name, value in (payload or {}).items()}


def filter_of(filter: dict[str, Any] | str | ffi.Filter | None) -> ffi.Filter | None:
    """The library's filter of JSON in the vocabulary of Qdrant: a dictionary, or text."""
    if filter is None or isinstance(filter, ffi.Filter):
        return filter
    return ffi.filter_from_json(filter if isinstance(filter, str) else json.dumps(filter))


def _to_python(value: ffi.Value) -> Any:
    if value.is_NULL():
        return None
    if value.is_ARRAY():
        return [_to_python(element) for element in value.values]
    if value.is_OBJECT():
        return {name: _to_python(member) for name, member in value.members.items()}
    return value.value


def _to_value(value: Any) -> ffi.Value:
    match value:
        case None:
            return ffi.Value.NULL()
        case bool():
            return ffi.Value.FLAG(value=value)
        case int() if -(2**63) <= value < 2**63:
            return ffi.Value.INTEGER(value=value)
        case int() | float():
            return ffi.Value.DECIMAL(value=float(value))
        case str():
            return ffi.Value.TEXT(value=value)
        case list() | tuple():
            return ffi.Value.ARRAY(values=[_to_value(element) for element in value])
        case dict():
            members = {str(name): _to_value(member) for name, member in value.items()}
            return ffi.Value.OBJECT(members=members)
    if hasattr(value, "item"):  # numpy's scalars
        return _to_value(value.item())
    raise TypeError(f"a payload holds JSON, found {type(value).__name__}")
