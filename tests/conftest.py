"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)  # machines differ: no absolute times
settings.load_profile("patient")
