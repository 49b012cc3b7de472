"""Settings for all tests."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine takes its time; a slow example says nothing about the code.
settings.register_profile("curate", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("curate")

# Libraries read these when they are imported: nothing that a user of this machine keeps in caches
# is seen, and nothing is left there.
OWN = Path(tempfile.mkdtemp(prefix="curate-tests-"))
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGINGFACE_"))]:
    del os.environ[name]
os.environ |= {"HOME": str(OWN), "XDG_CACHE_HOME": str(OWN / "cache"), "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="session", autouse=True)
def _own_home():
    """Take the home and the caches of this session away when it ends."""
    yield
    shutil.rmtree(OWN, ignore_errors=True)
