"""A seller's company."""

from piccolo.columns import UUID, BigInt, Boolean, Integer, SmallInt, Text, Timestamptz, Varchar
from piccolo.table import Table

from app.marketplaces.contract import Marketplace


class Tenant(Table, tablename="tenants"):
    """A seller's company: its settings, its sealed marketplace keys, and when its next sync is due."""

    id = UUID(primary_key=True, default=None)
    name = Varchar(length=200, default=None)
    marketplace_type = Varchar(length=20, default=None, choices=Marketplace, help_text="Where the seller began; keys of both may be added.")
    language = Varchar(length=2, default="ru", help_text="Of the messages that a bot forwards: ru or en.")
    time_zone = Varchar(length=64, default="Europe/Moscow", help_text="IANA name.")
    digest_hour = SmallInt(default=None, null=True, help_text="0–23 in the tenant's time zone; null: no digest.")
    sync_enabled = Boolean(default=True)
    sync_interval_minutes = Integer(default=30)
    low_stock_threshold = Integer(default=5, help_text="Units; at or below it a product is low in stock.")
    next_sync_at = Timestamptz(default=None, null=True, help_text="Null until the first valid key.")
    google_sheet_id = Varchar(length=100, default=None, null=True)
    wb_credentials_encrypted = Text(default=None, null=True, secret=True)
    ozon_credentials_encrypted = Text(default=None, null=True, secret=True)
    google_credentials_encrypted = Text(default=None, null=True, secret=True)
    event_sequence = BigInt(default=0, help_text="The sequence number of the tenant's newest event; they have no gaps.")
    changed_at = Timestamptz(
        default=None, null=True, help_text="The newest products.updated_at; each transaction that changes products takes a later one."
    )
    erasing_at = Timestamptz(
        default=None, null=True, help_text="When its erasure was asked for: from then on nothing of it can be used, and its rows go."
    )
    erased_rows = BigInt(default=0, help_text="How many of its rows are gone so far.")
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)
