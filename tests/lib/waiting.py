"""Waiting for something to become true, with a deadline and never longer than needed."""

import time

DEADLINE = 30.0


def until(condition, what="condition", deadline=DEADLINE, interval=0.02):
    """The first truthy value of condition(); fails with what was awaited after the deadline.

    `what` may be a function, asked only on failure.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {deadline} s: {text}; last value: {value!r}")
        time.sleep(interval)
