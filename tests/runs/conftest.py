import pytest

from tests.application import client, other_shop, redis, sandbox, sandbox_url, settings, shop

__all__ = ["client", "other_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """How far a run came is told also where nothing else is written, as it would be a second later."""
    monkeypatch.setattr("app.runs.lease.TELL_EVERY_S", 0.0)
