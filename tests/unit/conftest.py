"""What holds for all of the unit ring."""

from hypothesis import settings

# No test here is about time: a busy machine must not fail an example that took long.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
