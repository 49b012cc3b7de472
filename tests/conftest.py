"""Settings for all tests."""

from hypothesis import settings

# A busy machine takes its time; a slow example says nothing about the code.
settings.register_profile("curate", deadline=None)
settings.load_profile("curate")
