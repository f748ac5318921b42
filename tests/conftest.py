"""What all tests share: Hypothesis measures no real time, since a loaded machine is no bug of ours."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("trioflow", deadline=None)
hypothesis.settings.load_profile("trioflow")
