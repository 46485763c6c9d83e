"""Questions to the router that a stop does not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

NAP_S = 0.5  # a signal that comes in the moment before a thread falls asleep does not wake it


class Asker:
    """One question at a time, each asked by a thread of its own, which may be left behind."""

    def __init__(self) -> None:
        self._answers: SimpleQueue[Any] = SimpleQueue()  # what came, or was raised; None: stop

    def ask(self, question: Callable[[], T]) -> T | None:
        """What `question` returns, or None where a stop came first. Raises what it raises."""
        fetch = copy_context().run
        threading.Thread(target=fetch, args=(self._fetch, question), name="router", daemon=True).start()
        while True:
            with suppress(Empty):
                answer: T | BaseException | None = self._answers.get(timeout=NAP_S)
                break
        if isinstance(answer, BaseException):
            try:
                raise answer
            finally:
                del answer  # it knows this frame now: kept, all that was read would wait for the next collection
        return answer

    def stop(self) -> None:
        """Wait for no answer any more. For signal handlers and other threads, too."""
        self._answers.put(None)

    def _fetch(self, question: Callable[[], object]) -> None:
        try:
            self._answers.put(question())
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits for it
            self._answers.put(error)
