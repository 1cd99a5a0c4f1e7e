"""Where the units are."""

from piccolo.columns import UUID, ForeignKey, Integer, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.marketplaces.contract import Fulfilment
from app.products.tables import Product


class Stock(Table, tablename="stocks"):
    """Units of one size of a product in one warehouse, as last counted."""

    id = UUID(primary_key=True, default=None)
    # No foreign key: the product's is enough to erase a tenant, and each costs a look-up per row of a first sync.
    tenant_id = UUID(default=None)
    product = ForeignKey(Product, null=False, default=None, db_column_name="product_id")
    fulfilment = Varchar(length=30, default=None, choices=Fulfilment)
    size_id = Varchar(length=40, default=None, help_text="One of the product's sizes.")
    warehouse_id = Varchar(length=40, default=None, help_text="The marketplace's; -999999 where Wildberries hides it.")
    warehouse = Varchar(length=200, default=None, help_text="The name that the marketplace gives it.")
    quantity = Integer(default=None, help_text="Units that a buyer could order now.")
    in_way_to_client = Integer(default=None)
    in_way_from_client = Integer(default=None)
    changed_at = Timestamptz(default=None, help_text="When a sync last found another figure.")

    stocks_one_per_shelf = Unique([product, fulfilment, warehouse_id, size_id])
