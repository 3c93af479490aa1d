"""How Hypothesis works here: as many examples as a quick run allows, and no clock."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("composer", deadline=None, max_examples=60)
settings.load_profile("composer")
