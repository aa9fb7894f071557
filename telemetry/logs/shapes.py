"""A value of a log line without secrets: of bounded size, and made of what JSON can hold."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, MappingView
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import LazyObject, empty

from telemetry.logs.masking import LONGEST_TEXT, MASKED, is_secret, mask_text

_DEEPEST = 8
_MOST_ITEMS = 200
#: Of one value altogether: a list that holds itself twice has more than memory does.
_MOST_ALTOGETHER = 2000
_LONGEST_KEY = 200
_CUT = "…"
_LISTS = (list, tuple, set, frozenset, deque, MappingView, QuerySet)
_WORD = re.compile(r"[\w.-]{1,64}")


def mask(value: Any) -> Any:
    """``value`` without what stands under a secret key, however deep."""
    return _Walk().of(value, 0)


def name_of(key: Any) -> str:
    """A key as text, whatever it is."""
    try:
        if isinstance(key, bytes | bytearray):
            key = key.decode("utf-8", "replace")
        text = str(key)[:_LONGEST_KEY]
    except Exception as error:  # noqa: BLE001  a broken __str__ must not lose the line
        return f"<{type(key).__name__} that cannot be shown: {type(error).__name__}>"
    # A form that was parsed wrongly has all of itself in a key.
    return mask_text(text)


class _Walk:
    """One value's way through its parts."""

    def __init__(self) -> None:
        self.left = _MOST_ALTOGETHER

    def of(self, value: Any, depth: int) -> Any:
        try:
            return self._plain(value, depth)
        except Exception as error:  # noqa: BLE001  a broken value must not lose the line
            return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"

    def _plain(self, value: Any, depth: int) -> Any:  # noqa: PLR0911  one for each kind of value
        if lazy := _not_evaluated(value):
            return lazy
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            # More has no place in JSON; and Python refuses to write a huge one.
            return value if -(2**63) <= value < 2**64 else _huge(value)
        if isinstance(value, str):
            return mask_text(value)
        if isinstance(value, bytes | bytearray):
            return mask_text(bytes(value[:LONGEST_TEXT]).decode("utf-8", "replace"))
        if depth >= _DEEPEST or self.left <= 0:
            return _CUT
        if isinstance(value, Mapping):
            return self._mapping(value, value.items(), depth)
        if names := _field_names(value):
            return self._mapping({}, ((name, getattr(value, name)) for name in names), depth)
        if isinstance(value, _LISTS):
            return self._items(value, depth)
        return mask_text(str(value))

    def _mapping(
        self, value: Mapping[Any, Any], items: Iterable[tuple[Any, Any]], depth: int
    ) -> dict[str, Any]:
        # {"name": "password", "value": "…"}, as forms and recorded requests have it.
        named = any(_is_secret_word(value.get(key)) for key in ("name", "key"))
        found: dict[str, Any] = {}
        for key, item in islice(items, _MOST_ITEMS):
            self.left -= 1
            name = name_of(key)
            secret = is_secret(name) or (named and name == "value")
            found[name] = MASKED if secret else self.of(item, depth + 1)
        return found

    def _items(self, value: Any, depth: int) -> list[Any]:
        if len(value) == 2 and isinstance(value, list | tuple):
            # A header or another pair: ("Cookie", "a=b").
            key = value[0]
            if _is_secret_word(key):
                return [name_of(key), MASKED]
        found = []
        for item in islice(iter(value), _MOST_ITEMS):
            self.left -= 1
            found.append(self.of(item, depth + 1))
        return found


def _not_evaluated(value: Any) -> str:
    """What stands for a lazy value of Django that would run a query to be shown, else nothing."""
    # The type alone is asked: a LazyObject answers isinstance() by making what it stands for.
    kind = type(value)
    if issubclass(kind, LazyObject):
        return f"<{kind.__name__}, not evaluated>" if value._wrapped is empty else ""  # noqa: SLF001
    if issubclass(kind, QuerySet) and value._result_cache is None:  # noqa: SLF001
        return f"<{kind.__name__} of {value.model._meta.label}, not evaluated>"  # noqa: SLF001
    return ""


def _field_names(value: Any) -> list[str]:
    """The fields of a named tuple, a dataclass or an attrs class that has no text of its own."""
    kind: Any = type(value)
    if isinstance(value, tuple):
        return list(getattr(kind, "_fields", ()))
    if kind.__str__ is not object.__str__:
        return []
    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is None:
        fields = [field.name for field in getattr(kind, "__attrs_attrs__", ())]
    return list(fields)


def _is_secret_word(value: Any) -> bool:
    """Whether a value, not a key, is the name of a secret; a file's path is none."""
    if not issubclass(type(value), str | bytes):
        return False
    name = name_of(value)
    return _WORD.fullmatch(name) is not None and is_secret(name)


def _huge(number: int) -> str:
    bits = number.bit_length()
    return str(number) if bits < 1000 else f"<a number of {bits} bits>"
