"""What an export gives, column by column. A new column is in no export until it stands here, and a test asks where it belongs."""

from typing import NamedTuple


class Within(NamedTuple):
    """Rows of another table that stand inside a line, as a list under `name`, in the order of their ids; or, with `one`, its single row as an object."""

    name: str
    table: str
    columns: tuple[str, ...]
    condition: str
    left_out: tuple[str, ...] = ()
    one: bool = False


class Kind(NamedTuple):
    """A file of the export: the rows of a table, a JSON object on a line each.

    They are read page by page: along `order`, for which there is an index that begins with the tenant; or, where the table has none, as what is `below` rows of
    another one, along `order` within each of them.
    """

    file: str
    about: str
    table: str
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    order: tuple[str, ...] = ("id",)
    below: tuple[str, str] | None = None
    within: tuple[Within, ...] = ()
    page: int = 500


AS_TEXT = frozenset({"price", "discounted_price"})
"""Money, which many readers of JSON would make a binary fraction of."""

AS_JSON = frozenset({"body"})
"""Kept as the text of a JSON document."""

# Sealed keys and hashes: never. The others are of the service's own work, and say nothing that does not stand elsewhere.
KINDS = (
    Kind(
        "tenant", "The company and its settings; one line.", "tenants",
        ("id", "name", "marketplace_type", "language", "time_zone", "digest_hour", "sync_enabled", "sync_interval_minutes", "low_stock_threshold",
         "next_sync_at", "google_sheet_id", "created_at", "updated_at"),
        ("wb_credentials_encrypted", "ozon_credentials_encrypted", "google_credentials_encrypted", "event_sequence", "changed_at", "erasing_at",
         "erased_rows"),
    ),
    Kind(
        "members", "The users of the company, and the role of each.", "memberships", ("user_id", "role", "created_at"), ("id", "tenant_id"),
        within=(
            Within("user", "users", ("email", "telegram_user_id", "created_at"), "inner_row.id = item.user_id", ("id", "password_hash"), one=True),
        ),
    ),
    Kind("bots", "The bots that may act for the company.", "service_links", ("service_key_id", "linked_by", "created_at"), ("id", "tenant_id")),
    Kind(
        "credentials", "What is known of the keys to the marketplaces. The keys themselves never leave the service.", "credentials",
        ("provider", "status", "seller_id", "token_type", "scopes", "missing_scopes", "read_only", "expires_at", "verified_at", "updated_at"),
        ("id", "tenant_id", "masked", "shared", "warned_days", "least_interval_minutes"),
    ),
    Kind(
        "products", "The catalogue, archived products too.", "products",
        ("id", "marketplace", "external_id", "article", "title", "brand", "category", "barcodes", "sizes", "image_url", "price", "discounted_price",
         "currency", "stock_total", "stock_level", "low_stock_threshold", "lead_time_days", "archived_at", "created_at", "updated_at"),
        ("tenant_id", "digest", "marketplace_stock_digest", "seller_stock_digest"),
    ),
    Kind(
        "stocks", "Units of each size of a product (`product_id`) in each warehouse, as last counted.", "stocks",
        ("product_id", "fulfilment", "size_id", "warehouse_id", "warehouse", "quantity", "in_way_to_client", "in_way_from_client", "changed_at"),
        ("id", "tenant_id"), below=("products", "product_id"), page=1000,
    ),
    Kind(
        "stock_history", "What a product's stock became at an instant; it stayed so until the product's next line.", "stock_history",
        ("product_id", "changed_at", "marketplace_quantity", "seller_quantity"), ("tenant_id",),
        order=("changed_at",), below=("products", "product_id"), page=1000,
    ),
    Kind(
        "orders", "The orders, each with its `lines`.", "orders",
        ("id", "marketplace", "external_id", "number", "status", "marketplace_status", "fulfilment", "warehouse", "destination", "currency", "ordered_at",
         "changed_at", "created_at", "updated_at"),
        ("tenant_id", "digest"), order=("ordered_at", "id"),
        within=(
            Within("lines", "order_lines", ("product_id", "product_external_id", "size_id", "article", "quantity", "price"),
                   "inner_row.order_id = item.id", ("id", "tenant_id", "order_id")),
        ),
    ),
    Kind(
        "sync_runs", "The syncs, and what each of their stages did.", "sync_runs",
        ("id", "marketplace", "trigger", "scopes", "full", "status", "stage", "stages", "done", "total", "error_code", "error_detail", "queued_at",
         "not_before", "started_at", "finished_at"),
        ("tenant_id", "priority", "attempt", "crashes", "lease_until", "worker", "rung_at", "notices", "revision"), page=200,
    ),
    Kind(
        "sync_logs", "Each stage of each sync (`run_id`): counts, time, and what stopped it.", "sync_logs",
        ("id", "run_id", "marketplace", "operation", "status", "fetched", "created", "updated", "unchanged", "archived", "rejected", "requests", "duration_ms",
         "error_code", "error_detail", "started_at", "finished_at"),
        ("tenant_id",),
    ),
    Kind("events", "What happened, in the order of its `sequence`; `body` is what webhooks carried.", "events",
         ("id", "sequence", "type", "body", "occurred_at"), ("tenant_id", "dispatched_at"), order=("sequence",), page=100),
    Kind(
        "webhooks", "Where bots are told. The signing secrets never leave the service.", "webhook_endpoints",
        ("id", "url", "description", "event_types", "enabled", "disabled_reason", "failing_since", "failed_attempts", "created_at", "updated_at"),
        ("tenant_id", "secret_encrypted"),
    ),
    Kind(
        "webhook_deliveries", "Which event went to which webhook, with its `attempts`.", "webhook_deliveries",
        ("id", "endpoint_id", "event_id", "status", "next_attempt_at", "created_at", "finished_at"), ("tenant_id", "attempts"),
        below=("webhook_endpoints", "endpoint_id"), page=100,
        within=(
            Within("attempts", "webhook_attempts", ("number", "attempted_at", "status_code", "excerpt", "duration_ms", "error"),
                   "inner_row.delivery_id = item.id", ("id", "tenant_id", "delivery_id")),
        ),
    ),
    Kind("audit_log", "Who did what, from where.", "audit_log",
         ("id", "occurred_at", "actor", "on_behalf_of", "action", "facts", "request_id", "ip_address"), ("tenant_id",)),
)  # fmt: skip

LEFT_OUT = {
    "checkpoints": "how far a sync came: the service's own",
    "sightings": "what a sync that is under way met",
    "idempotent_requests": "answers to repeated requests, sealed, for a day",
    "credential_links": "one-time pages: a hash, for minutes",
    "login_sessions": "sign-ins: hashes of tokens; the log has who signed in and from where",
    "sync_pauses": "the operator's words",
}
"""Tables of tenants that no export has, and why."""
