"""The methods of Ozon that we call, as a table: what each is for, how much it gives, how often it may be asked.

| method         | path                                        | stage    | page  | limit                             |
|----------------|---------------------------------------------|----------|-------|-----------------------------------|
| ROLES          | /v1/roles                                   | the key  |       | 50 a second per Client-Id, all    |
| PRODUCT_LIST   | /v3/product/list                            | products | 1,000 | methods together; we keep to 20,  |
| PRODUCT_INFO   | /v3/product/info/list                       | products | 1,000 | so that the seller's other tools  |
| PRICES         | /v5/product/info/prices                     | prices   | 1,000 | find room. None of these methods  |
| FBO_STOCKS     | /v1/product/info/stocks-by-warehouse/fbo    | stocks   | 1,000 | has a limit of its own.           |
| FBS_STOCKS     | /v2/product/info/stocks-by-warehouse/fbs    | stocks   | 1,000 |                                   |
| OZON_WAREHOUSES| /v1/warehouse/ozon/list                     | stocks   | all   |                                   |
| FBS_POSTINGS   | /v4/posting/fbs/list                        | orders   | 100   |                                   |
| FBO_POSTINGS   | /v3/posting/fbo/list                        | orders   | 100   |                                   |

All are POST. Source: docs.ozon.ru/api/seller, descriptions of the methods and "Request limits", as of 2026-10-01; for OZON_WAREHOUSES as of 2026-04-16.
tests/marketplaces/ozon/test_methods.py holds this table to the data.
"""

import msgspec

from app.marketplaces.exchange import MIB, Budget

# In no second more than 20 + 20 calls leave, of 50 that are allowed.
LIMIT = Budget(0.05, 20)
# All methods draw from one budget.
GROUP = "all"
ROLE = "Admin read only"
"""The role to choose when making a key: it opens all that is read here, and nothing more."""


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """How to call it and how patiently (see `Call`). `page_size` is the most items that one answer gives, or that one question may name."""

    path: str
    page_size: int = 1
    max_bytes: int = 8 * MIB
    attempts: int = 5
    patience_s: float = 10.0
    timeout_s: float = 300.0


# Somebody is waiting for the verdict on a key.
ROLES = Method(path="/v1/roles", max_bytes=MIB, attempts=2, patience_s=3.0, timeout_s=8.0)

PRODUCT_LIST = Method(path="/v3/product/list", page_size=1000)

# A product with its pictures, commissions and errors may have tens of kilobytes.
PRODUCT_INFO = Method(path="/v3/product/info/list", page_size=1000, max_bytes=64 * MIB)

PRICES = Method(path="/v5/product/info/prices", page_size=1000, max_bytes=32 * MIB)

FBO_STOCKS = Method(path="/v1/product/info/stocks-by-warehouse/fbo", page_size=1000)

FBS_STOCKS = Method(path="/v2/product/info/stocks-by-warehouse/fbs", page_size=1000)

# Only names: the stock must not wait long for them.
OZON_WAREHOUSES = Method(path="/v1/warehouse/ozon/list", attempts=2)

FBS_POSTINGS = Method(path="/v4/posting/fbs/list", page_size=100)

FBO_POSTINGS = Method(path="/v3/posting/fbo/list", page_size=100)

METHODS = (ROLES, PRODUCT_LIST, PRODUCT_INFO, PRICES, FBO_STOCKS, FBS_STOCKS, OZON_WAREHOUSES, FBS_POSTINGS, FBO_POSTINGS)

METHODS_OF_STAGE = {
    "products": (PRODUCT_LIST, PRODUCT_INFO),
    "stocks": (FBO_STOCKS, FBS_STOCKS),
    "prices": (PRICES,),
    "orders": (FBS_POSTINGS, FBO_POSTINGS),
}
"""What a key has to open for a stage to be whole."""
