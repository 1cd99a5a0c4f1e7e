from tests.auth.application import client, more_jwt_secrets, redis, rival, seller, settings

__all__ = ["client", "more_jwt_secrets", "redis", "rival", "seller", "settings"]
