"""Waiting for the library from ordinary Python: one event loop on a thread of its own takes what it says.

A notebook has a loop already, in which `asyncio.run` would be refused; a script has none.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def wait(work: Coroutine[Any, Any, T]) -> T:
    """The result of the library's work, or its error. Interrupted, the work is cancelled."""
    future = asyncio.run_coroutine_threadsafe(work, _running_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or not _loop.is_running():
            loop = asyncio.new_event_loop()
            started = threading.Event()
            loop.call_soon(started.set)
            threading.Thread(target=loop.run_forever, name="pocketlens", daemon=True).start()
            started.wait()
            _loop = loop
        return _loop
