"""Where each part of Wildberries is."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

Host = Literal["content", "marketplace", "statistics", "analytics", "prices", "common"]


class WildberriesHosts(msgspec.Struct, frozen=True):
    """Base URLs, https and official unless a sandbox or a test is meant. Source: dev.wildberries.ru, "Introduction to API", as of 2026-10-24."""

    content: str = "https://content-api.wildberries.ru"
    marketplace: str = "https://marketplace-api.wildberries.ru"
    statistics: str = "https://statistics-api.wildberries.ru"
    analytics: str = "https://seller-analytics-api.wildberries.ru"
    prices: str = "https://discounts-prices-api.wildberries.ru"
    common: str = "https://common-api.wildberries.ru"

    def url(self, host: Host) -> str:
        return getattr(self, host)

    @property
    def is_production(self) -> bool:
        return urlsplit(self.content).hostname == "content-api.wildberries.ru"
