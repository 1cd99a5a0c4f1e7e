"""What a caller may do, said by each handler as data and checked in one place.

`opt={"role": Role.VIEWER}` opens a handler to those who may act as a viewer, `opt={"public": True}` to everybody; one that says neither is closed to
all. It is a middleware, since Litestar copies the route handler for each call of a guard, which triples the cost of a request.
"""

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.roles import Caller, Role
from app.errors import Forbidden


class RoleCheck(ASGIMiddleware):
    """Belongs directly behind `Authentication`."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        opt = scope["route_handler"].opt
        if opt.get("public") is not True:
            needed, caller = opt.get("role"), scope.get("user")
            if not isinstance(needed, Role) or not isinstance(caller, Caller):
                raise Forbidden("Nobody may do this.")
            if not caller.role.may_act_as(needed):
                raise Forbidden(f"This needs the role {needed.value}; yours is {caller.role.value}.")
        await next_app(scope, receive, send)
