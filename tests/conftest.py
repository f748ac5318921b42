"""Time is virtual in every async test, whether it asks for it or not."""

from __future__ import annotations

import hypothesis
import pytest
import trio.testing

hypothesis.settings.register_profile("trioflow", deadline=None)
hypothesis.settings.load_profile("trioflow")


@pytest.fixture(autouse=True)
def _virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    """pytest-trio finds the clock among the fixtures of a test, so asking for it here is enough."""
