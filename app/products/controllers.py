"""Products over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, MediaType, Response, get, patch
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.roles import Caller, Role
from app.api.structs import Instant
from app.marketplaces.contract import Marketplace
from app.products import changes
from app.products.schemas import ChangesOut, ProductDetailOut, ProductOut, ProductPatch, ProductQuery, Sort
from app.products.service import ProductService

ChangesCursor = Annotated[Cursor, Meta(description="`next_cursor` of the answer before.")]
SearchText = Annotated[str, Meta(min_length=1, max_length=200)]


class ProductController(Controller):
    """What a seller offers."""

    path = "/products"
    tags = ("Catalogue",)

    @get(
        opt={"role": Role.VIEWER, "conditional": True},
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

    @get("/{product_id:uuid}", opt={"role": Role.VIEWER, "conditional": True}, operation_id="getProduct", summary="Look at a product")
    async def get_product(self, tenant_id: NamedDependency[UUID], product_id: FromPath[UUID]) -> ProductDetailOut:
        """The product with its stock by warehouse and size, fullest shelf first."""
        return await ProductService(tenant_id).get_product(product_id)

    @patch(
        "/{product_id:uuid}", opt={"role": Role.OWNER}, operation_id="updateProduct", summary="Change the seller's settings of a product"
    )
    async def update_product(
        self, caller: NamedDependency[Caller], product_id: FromPath[UUID], data: JSONBody[ProductPatch]
    ) -> ProductDetailOut:
        """What is left out stays as it is; null takes a setting back. No sync changes them."""
        return await ProductService(caller.tenant_id).update_product(caller.actor, product_id, data)


class ChangeController(Controller):
    """What changed, for a bot that keeps its own copy."""

    path = "/changes"
    tags = ("Catalogue",)

    @get(opt={"role": Role.VIEWER}, operation_id="listChanges", summary="List what changed in products and stocks")
    async def list_changes(
        self,
        tenant_id: NamedDependency[UUID],
        marketplace: FromQuery[Marketplace | None] = None,
        limit: FromQuery[Limit] = DEFAULT_LIMIT,
        cursor: FromQuery[ChangesCursor | None] = None,
    ) -> ChangesOut:
        """The products that changed after `cursor`, in the order of the changes, each once and as it is now, with its stock. Without a cursor: all products,
        the archived ones too. `added` products may be unknown to you, `updated` ones came to you before, unless you pass over archived ones and this one came
        back; `archived` ones are no longer offered. Store whatever comes by its `id`, then keep `next_cursor`, also where nothing came; ask again at once
        while `more` is true. A product that changes again comes again.
        """
        return await changes.list_changes(tenant_id, marketplace=marketplace, limit=limit, cursor=cursor)
