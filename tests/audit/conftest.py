from tests.auth.application import client, redis, seller, settings

__all__ = ["client", "redis", "seller", "settings"]
