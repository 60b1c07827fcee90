"""What the tests of several components share."""

import pytest


@pytest.fixture(params=["plain", "registered"])
def built(request, monkeypatch):
    """A module's tests with both ways of building its CONFIG."""
    if request.param == "registered":
        monkeypatch.setattr(
            request.module, "CONFIG", request.module.CONFIG.replace(registered=True)
        )
    return request.param
