"""What buyers ordered."""

from piccolo.columns import UUID, Bytea, ForeignKey, Integer, Numeric, Timestamptz, Varchar
from piccolo.columns.base import OnDelete
from piccolo.constraints import Unique
from piccolo.table import Table

from app.marketplaces.contract import Fulfilment, Marketplace, OrderStatus
from app.products.tables import Product
from app.tenants.tables import Tenant


class Order(Table, tablename="orders"):
    """An order as its marketplace counts it: one unit at Wildberries (`srid`), a posting at Ozon."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    marketplace = Varchar(length=20, default=None, choices=Marketplace)
    external_id = Varchar(length=100, default=None, help_text="srid at Wildberries, posting number at Ozon.")
    number = Varchar(length=100, default="", help_text="Shared by what a buyer ordered at once, where that is known.")
    status = Varchar(length=20, default=None, choices=OrderStatus)
    marketplace_status = Varchar(length=50, default=None, help_text="The marketplace's own word.")
    fulfilment = Varchar(length=30, default=None, choices=Fulfilment)
    warehouse = Varchar(length=200, default="")
    destination = Varchar(length=200, default="", help_text="City or region.")
    currency = Varchar(length=3, default=None)
    ordered_at = Timestamptz(default=None)
    changed_at = Timestamptz(default=None, null=True, help_text="When the marketplace last changed it, if it says so.")
    digest = Bytea(default=None, help_text="Of what the marketplace says: an unchanged order is recognised by it and not written.")
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)

    orders_one_per_external_id = Unique([tenant, marketplace, external_id])


class OrderLine(Table, tablename="order_lines"):
    """Units of one product in an order."""

    id = UUID(primary_key=True, default=None)
    # No foreign key: the order's is enough to erase a tenant.
    tenant_id = UUID(default=None)
    order = ForeignKey(Order, null=False, default=None, db_column_name="order_id", on_delete=OnDelete.cascade)
    product = ForeignKey(Product, null=True, default=None, db_column_name="product_id", on_delete=OnDelete.set_null)
    product_external_id = Varchar(length=40, default=None, null=True)
    size_id = Varchar(length=40, default=None, null=True)
    article = Varchar(length=200, default="")
    quantity = Integer(default=None)
    price = Numeric(
        digits=(14, 2), default=None, null=True, help_text="For one unit, after the seller's discount, in the order's currency."
    )
