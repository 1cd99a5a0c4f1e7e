"""What a caller may do, said by each handler as data and checked in one place.

`opt={"role": Role.VIEWER}` opens a handler to those who may act as a viewer, `opt={"service": True}` to bots with a key of their own, `opt={"public": True}` to
everybody; one that says none of it is closed to all, and an application that has one is not made. It is a middleware, since Litestar copies the route handler for each
call of a guard, which triples the cost of a request.
"""

from collections.abc import Mapping
from typing import Any

from litestar import Litestar
from litestar.middleware import ASGIMiddleware
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.roles import Caller, Role, ServiceCaller
from app.errors import Forbidden


class RoleCheck(ASGIMiddleware):
    """Belongs directly behind `Authentication`."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        opt = scope["route_handler"].opt
        if opt.get("public") is not True:
            _refuse_others(opt, scope.get("user"))
        await next_app(scope, receive, send)


def _refuse_others(opt: Mapping[str, Any], caller: object) -> None:
    needed = opt.get("role")
    if opt.get("service") is True:
        if not isinstance(caller, ServiceCaller):
            raise Forbidden("This needs a service key.")
    elif not isinstance(needed, Role):
        raise Forbidden("Nobody may do this.")
    elif not isinstance(caller, Caller):
        raise Forbidden("A service key acts for a tenant with that tenant's tokens; get them with POST /api/v1/auth/telegram.")
    elif not caller.role.may_act_as(needed):
        raise Forbidden(f"This needs the role {needed.value}; yours is {caller.role.value}.")


def refuse_handlers_that_name_nobody(app: Litestar) -> None:
    """Called when the application is made: one that has a handler which says nothing of its callers, or several things, is not made at all.

    Raises:
        TypeError: names the handler.
    """
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            opt = handler.opt
            # Litestar answers OPTIONS itself, with the methods that there are.
            if (
                handler.http_methods != {"OPTIONS"}
                and [opt.get("public") is True, isinstance(opt.get("role"), Role), opt.get("service") is True].count(True) != 1
            ):
                raise TypeError(
                    f"{sorted(handler.http_methods)} {route.path} has to name one of `role`, `public` and `service` in its `opt`."
                )
