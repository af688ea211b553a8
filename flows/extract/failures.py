"""How a source fails: for good, or for now. Only the second is worth another try."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from tidewaiter.errors import Problem, TidewaiterError

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class SourceFailed(TidewaiterError):
    """A source did not give what the contract says it has."""


class SourceInterrupted(SourceFailed):
    """A source broke off or was not to be reached; the same request may go well later."""


def interrupted(what: str, where: str) -> SourceInterrupted:
    """Return the error of a source that is in trouble for now."""
    return SourceInterrupted(
        Problem(what, where=where, next_step="run again: what has come whole is kept and not fetched again")
    )


def failed(what: str, where: str, expected: str = "", next_step: str = "") -> SourceFailed:
    """Return the error of a source that will fail the same way again."""
    return SourceFailed(Problem(what, where=where, expected=expected, next_step=next_step))


def with_retries(attempts: int, action: Callable[[], _Result]) -> _Result:
    """Do `action`, again after growing random pauses where the source was interrupted.

    Raises:
        SourceInterrupted: That of the last attempt.
    """
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        retry=retry_if_exception_type(SourceInterrupted),
        before_sleep=_say,
        reraise=True,
    )
    return retrying(action)


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0
    _log.warning("attempt %d: %s; trying again in %.1f s", state.attempt_number, error, pause)
