"""What a seller offers."""

from enum import StrEnum

from piccolo.columns import JSONB, UUID, Array, Bytea, ForeignKey, Integer, Numeric, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.marketplaces.contract import Marketplace
from app.tenants.tables import Tenant


class StockLevel(StrEnum):
    """How a product's stock stands to its threshold. It moves with hysteresis, so that one unit sold and returned is not told each time."""

    OK = "ok"
    LOW = "low"
    OUT = "out"


class Product(Table, tablename="products"):
    """A product as its marketplace last described it, with the seller's own settings, which no sync overwrites."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    marketplace = Varchar(length=20, default=None, choices=Marketplace)
    external_id = Varchar(length=40, default=None, help_text="The marketplace's id: nmID at Wildberries.")
    article = Varchar(length=200, default=None, help_text="The seller's own code.")
    title = Varchar(length=500, default=None)
    brand = Varchar(length=200, default=None)
    category = Varchar(length=200, default=None)
    barcodes = Array(base_column=Varchar(length=64), default=list, help_text="Of all sizes.")
    sizes = JSONB(default="[]", help_text="[{id, name, barcodes}]")
    image_url = Varchar(length=1000, default=None, null=True)
    price = Numeric(digits=(14, 2), default=None, null=True)
    discounted_price = Numeric(digits=(14, 2), default=None, null=True)
    currency = Varchar(length=3, default=None, null=True)
    stock_total = Integer(default=0, help_text="Units that a buyer could order now, in all warehouses.")
    stock_level = Varchar(
        length=10,
        default=None,
        null=True,
        choices=StockLevel,
        help_text="What the seller was last told or spared; null: never compared yet.",
    )
    low_stock_threshold = Integer(default=None, null=True, help_text="The seller's; null: the tenant's applies.")
    lead_time_days = Integer(default=None, null=True)
    digest = Bytea(default=None, help_text="Of what the marketplace says: an unchanged product is recognised by it and not written.")
    marketplace_stock_digest = Bytea(default=None, null=True, help_text="Likewise of its units in the marketplace's warehouses.")
    seller_stock_digest = Bytea(default=None, null=True, help_text="Likewise of its units in the seller's own warehouses.")
    archived_at = Timestamptz(default=None, null=True)
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(
        default=None,
        help_text="When anything above last changed, stock included. Of one tenant they follow the order of the commits: tenants.changed_at.",
    )

    products_one_per_external_id = Unique([tenant, marketplace, external_id])
