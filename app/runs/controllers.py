"""Syncs over HTTP."""

from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.problem_details import problems
from app.api.roles import Role
from app.api.structs import Instant
from app.errors import CredentialsMissing
from app.marketplaces.contract import Marketplace
from app.runs import service
from app.runs.schemas import RunOut, SyncIn
from app.runs.tables import RunStatus, Trigger


class SyncController(Controller):
    """Copying a shop out of its marketplace."""

    path = "/sync"
    tags = ("Sync",)

    @post(
        opt={"role": Role.OWNER},
        operation_id="startSync",
        summary="Start a sync",
        status_code=202,
        responses={200: ResponseSpec(RunOut, description="One was queued or running already; this is it.", generate_examples=False)}
        | problems(CredentialsMissing),
        response_headers=[ResponseHeader(name="Location", description="Where the run can be looked at.", documentation_only=True)],
    )
    async def start_sync(self, tenant_id: NamedDependency[UUID], data: JSONBody[SyncIn]) -> Response[RunOut]:
        """Queue a run of a marketplace account; if one is queued or running, the answer is 200 with that one."""
        run, created = await service.request_run(tenant_id, data.marketplace, Trigger.MANUAL, scopes=data.scopes, full=data.full)
        return Response(run, status_code=202 if created else 200, headers={"Location": f"/api/v1/sync/{run.id}"})

    @get(opt={"role": Role.VIEWER}, operation_id="listSyncs", summary="List syncs")
    async def list_syncs(
        self,
        tenant_id: NamedDependency[UUID],
        status: FromQuery[RunStatus | None] = None,
        marketplace: FromQuery[Marketplace | None] = None,
        since: FromQuery[Instant | None] = None,
        limit: FromQuery[Limit] = DEFAULT_LIMIT,
        cursor: FromQuery[Cursor | None] = None,
    ) -> PageOut[RunOut]:
        """Newest first. `since` is about the time when a run was asked for."""
        return await service.list_runs(tenant_id, status=status, marketplace=marketplace, since=since, limit=limit, cursor=cursor)

    @get("/{run_id:uuid}", opt={"role": Role.VIEWER}, operation_id="getSync", summary="Look at a sync")
    async def get_sync(self, tenant_id: NamedDependency[UUID], run_id: FromPath[UUID]) -> RunOut:
        """What the run did so far, stage by stage."""
        return await service.get_run(tenant_id, run_id)
