"""Products over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery
from msgspec import Meta

from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.roles import Role
from app.api.structs import Instant
from app.marketplaces.contract import Marketplace
from app.products.schemas import ProductDetailOut, ProductOut, ProductQuery, Sort
from app.products.service import ProductService

SearchText = Annotated[str, Meta(min_length=1, max_length=200)]


class ProductController(Controller):
    """What a seller offers."""

    path = "/products"
    tags = ("Catalogue",)

    @get(
        opt={"role": Role.VIEWER},
        operation_id="listProducts",
        summary="List products",
        responses={200: ResponseSpec(PageOut[ProductOut], description="A page of products.", generate_examples=False)},
    )
    async def list_products(
        self,
        tenant_id: NamedDependency[UUID],
        marketplace: FromQuery[Marketplace | None] = None,
        q: FromQuery[SearchText | None] = None,
        brand: FromQuery[SearchText | None] = None,
        archived: FromQuery[bool] = False,
        low_stock: FromQuery[bool | None] = None,
        updated_since: FromQuery[Instant | None] = None,
        sort: FromQuery[Sort | None] = None,
        limit: FromQuery[Limit] = DEFAULT_LIMIT,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Response[bytes]:
        """The active products, or with `archived=true` the archived ones. `q` looks in title, article and barcode. Left out, `sort` is the order
        in which the products were first seen; a leading `-` turns it around.
        """
        query = ProductQuery(
            marketplace=marketplace,
            q=q,
            brand=brand,
            archived=archived,
            low_stock=low_stock,
            updated_since=updated_since,
            sort=sort,
            limit=limit,
            cursor=cursor,
        )
        return Response(await ProductService(tenant_id).list_products(query), media_type=MediaType.JSON)

    @get("/{product_id:uuid}", opt={"role": Role.VIEWER}, operation_id="getProduct", summary="Look at a product")
    async def get_product(self, tenant_id: NamedDependency[UUID], product_id: FromPath[UUID]) -> ProductDetailOut:
        """The product with its stock by warehouse and size, fullest shelf first."""
        return await ProductService(tenant_id).get_product(product_id)
