"""Which exception caused a 5xx answer.

An exception that left the view, and one that a framework turned into an answer, is the cause. One
that the application caught itself is not: its answer counts as ``http_5xx``.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from django.core.handlers.base import BaseHandler
from django.core.signals import got_request_exception

from telemetry.context import current
from telemetry.seen import status_of

_PATCHED = "_telemetry_patched"
_DRF = "rest_framework.views"
_watched_views: set[type] = set()


def install() -> None:
    """Watch the three places where an exception becomes an answer. Safe to call again."""
    got_request_exception.connect(_remember_uncaught, dispatch_uid="telemetry")
    # Neither of the others sends Django's signal (Django 5.2, DRF 3.16).
    _watch(BaseHandler, "process_exception_by_middleware")
    if module := sys.modules.get(_DRF):
        _watch_views(module.APIView)
    elif not any(isinstance(finder, _DRFFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _DRFFinder())


class _DRFFinder(MetaPathFinder):
    """Patches DRF when the project's URLs import it.

    An import of our own would load what ``REST_FRAMEWORK`` names, in a project that may have no
    use for it, and before it is ready.
    """

    def find_spec(self, fullname: str, *_path: Any) -> ModuleSpec | None:
        if fullname != _DRF:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(  # type: ignore[method-assign]
                _execute_patched, spec.loader.exec_module
            )
        return spec


def _execute_patched(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    execute(module)
    _watch_views(module.APIView)


def _watch_views(base: Any) -> None:
    """Watch ``handle_exception`` of DRF's view and of each class below it that has one of its own,
    which need not call DRF's."""

    def telemetry_patched(cls: type, /, **options: Any) -> None:
        super(base, cls).__init_subclass__(**options)
        _watch_own(cls)

    if base not in _watched_views:
        _watched_views.add(base)
        # DRF's has none of its own (3.16).
        setattr(base, "__init_subclass__", classmethod(telemetry_patched))  # noqa: B010
    present: list[type] = [base]
    while present:
        view = present.pop()
        present += view.__subclasses__()
        _watch_own(view)


def _watch_own(view: type) -> None:
    if "handle_exception" in view.__dict__:
        _watch(view, "handle_exception")


def _watch(owner: type, name: str) -> None:
    """Patch a method that gets an exception and returns the answer to it, or None."""
    original = getattr(owner, name)
    if hasattr(original, _PATCHED):
        return

    @functools.wraps(original)
    def telemetry_patched(self: Any, error: Exception, *arguments: Any, **options: Any) -> Any:
        response = original(self, error, *arguments, **options)
        if response is not None and status_of(response) >= 500:
            _remember(error)
        return response

    setattr(telemetry_patched, _PATCHED, True)
    setattr(owner, name, telemetry_patched)


def _remember_uncaught(**_signal: Any) -> None:
    """Take the exception that Django's signal reports: it is being handled now."""
    error = sys.exc_info()[1]
    if error is not None:
        _remember(error)


def _remember(error: BaseException) -> None:
    operation = current.get()
    if operation is not None:
        operation.error = error
