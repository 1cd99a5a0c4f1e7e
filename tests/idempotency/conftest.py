from tests.application import client, other_shop, redis, sandbox, sandbox_url, settings, shop

__all__ = ["client", "other_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]
