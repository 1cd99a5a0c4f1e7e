"""The sellers of the benchmarks."""

from uuid import UUID

from app.sandbox.tokens import issue_token

SHOP_IN_DATABASE = """
    INSERT INTO tenants (id, name, marketplace_type, created_at, updated_at) VALUES ($1, 'A shop', 'wildberries', now(), now())
        ON CONFLICT (id) DO NOTHING
"""


def seller_token(products: int, number: int = 0) -> str:
    """The key of a sandbox shop with so many products. The same arguments name the same shop."""
    return issue_token(UUID(int=(products << 64) + number + 1), products=products)
