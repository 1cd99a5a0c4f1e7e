from tests.auth.application import bot, client, more_jwt_secrets, redis, rival, seller, settings

__all__ = ["bot", "client", "more_jwt_secrets", "redis", "rival", "seller", "settings"]
