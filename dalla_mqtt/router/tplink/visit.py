"""One poll by a client class of tplinkrouterc6u: log in once, read, log out, and say what came of it.

Facts about the library are of its version 5.37.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from tplinkrouterc6u import TPLinkC50Client, TplinkC3200Router, TPLinkEXClient, TplinkRouterProvider
from tplinkrouterc6u.client.mr import TPLinkMRClientBase

from dalla_mqtt.errors import DallaError, RouterUnreachable
from dalla_mqtt.router.tplink.bounds import Bounds, Interrupted
from dalla_mqtt.router.tplink.complaints import of_any, of_login, statuses
from dalla_mqtt.router.tplink.finding import find
from dalla_mqtt.router.tplink.readings import of_cgi, of_status
from dalla_mqtt.router.tplink.words import LEAVE_S, Answer, Order
from dalla_mqtt.usage.reading import Reading

NAMES: tuple[str, ...] = tuple(TplinkRouterProvider.get_clients())

_KICK = "&confirm=true"


def visit(order: Order, bounds: Bounds) -> Answer:
    """What the router says, or why it says nothing. Raises nothing."""
    name, client = order.client, None
    let_in = False
    statuses.clear()
    try:
        with bounds.within(order.timeout_s):
            name = name or find(order, lambda name: _client(name, order))
            client = _client(name, order)
            statuses.clear()
            client.authorize()
            let_in = True
            reading = _read(client, order)
        return Answer(name, replace(reading, info=replace(reading.info, login=name)))
    except Interrupted:
        return _sorry(name, RouterUnreachable("the router's answers did not end in time"))
    except DallaError as error:
        return _sorry(name, error)
    except Exception as error:  # noqa: BLE001  # a bug of the library costs a poll, and not the daemon
        refusal = of_login(error, name, order) if name and not let_in else None
        return _sorry(name, refusal or of_any(error, name or "tplinkrouterc6u", order))
    finally:
        if let_in:
            _log_out(client, bounds)


def _client(name: str, order: Order) -> Any:  # noqa: ANN401  # the library has no types
    client = TplinkRouterProvider.get_clients()[name](
        order.url, order.password, order.username, timeout=order.timeout_s
    )
    client.REQUEST_RETRIES = 1  # for itself: it would ask a router that is busy three times
    if hasattr(client, "_get_login_data"):
        # the router would throw its owner out
        say = client._get_login_data  # noqa: SLF001  # there is no other place to say so
        client._get_login_data = lambda password: say(password).removesuffix(_KICK)  # noqa: SLF001
    return client


def _read(client: Any, order: Order) -> Reading:  # noqa: ANN401
    if isinstance(client, TPLinkMRClientBase) and not isinstance(client, TPLinkEXClient):
        return of_cgi(client, enable_statistics=order.enable_statistics)
    return of_status(client)


def _log_out(client: Any, bounds: Bounds) -> None:  # noqa: ANN401
    try:
        with bounds.within(LEAVE_S):
            if isinstance(client, TPLinkC50Client | TplinkC3200Router):  # their own logout tells the router nothing
                client.req_act([client.ActItem(client.ActItem.CGI, "/cgi/logout")])
            else:
                client.logout()
    except (Exception, Interrupted):  # noqa: BLE001, S110  # it will be free when it has been idle for long enough
        pass


def _sorry(name: str | None, error: DallaError) -> Answer:
    return Answer(name, error=type(error).__name__, text=str(error))
