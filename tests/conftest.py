"""What holds for all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("patient", deadline=None)  # machines differ: no absolute times
settings.load_profile("patient")

# What a shell starts in the background ignores it, and so would every program that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
