"""What a key may be made for: roles, each of which opens some methods.

A role names methods by their paths or by what their paths begin with, as the official example does (state of 2026-04-16). The names beyond `Admin`,
`Admin read only` and `Posting FBS` are ours.
"""

READ_ONLY = "Admin read only"

ROLES: dict[str, tuple[str, ...]] = {
    "Admin": (
        *(f"/v{version}/product" for version in range(1, 6)),
        *(f"/v{version}/posting" for version in range(1, 5)),
        "/v1/analytics",
        "/v1/warehouse",
        "/v2/warehouse",
    ),
    READ_ONLY: (
        "/v3/product/list",
        "/v3/product/info/list",
        "/v4/product/info/stocks",
        "/v5/product/info/prices",
        "/v1/product/info/stocks-by-warehouse/fbo",
        "/v2/product/info/stocks-by-warehouse/fbs",
        "/v1/product/info/warehouse/stocks",
        "/v2/warehouse/list",
        "/v1/warehouse/ozon/list",
        "/v4/posting/fbs/list",
        "/v3/posting/fbo/list",
    ),
    "Product read only": (
        "/v3/product/list",
        "/v3/product/info/list",
        "/v4/product/info/stocks",
        "/v5/product/info/prices",
        "/v1/product/info/stocks-by-warehouse/fbo",
        "/v2/product/info/stocks-by-warehouse/fbs",
    ),
    "Posting FBS": ("/v4/posting/fbs", "/v2/warehouse"),
    "Posting FBO": ("/v3/posting/fbo",),
}

ALWAYS_OPEN = ("/v1/roles", "/v1/seller/info")
"""Whatever its roles, a key may ask what it is and whose."""
