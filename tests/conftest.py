"""What holds for every test: how properties are tried, and that no test sees another one's logs."""

import gc
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# A machine that is busy with other things may take any time for an example; that is no defect.
# All else is as Hypothesis has it, its own settings for CI included.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")

# Collecting tests makes a million objects that last as long as the process does. To search them
# for garbage, again and again, would take a fifth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on only what tests make is searched for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The command line configures logging for its process; a test's process is everybody's."""
    yield
    structlog.reset_defaults()
