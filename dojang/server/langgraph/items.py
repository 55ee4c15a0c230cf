"""Items: put, found, deleted. Everybody has their own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import Field

from dojang.server.items import Items
from dojang.server.langgraph.answers import Answer
from dojang.server.langgraph.bodies import Body, JSONObject, Limit, Offset
from dojang.server.langgraph.caller import caller_of
from dojang.server.langgraph.document import REFUSALS, ItemForm, ItemsForm, NamespacesForm, gives
from dojang.server.programs import ProgramRoute
from state import person_of

router = APIRouter(
    tags=["langgraph items"], route_class=ProgramRoute, responses=REFUSALS, default_response_class=Answer
)


class ItemIn(Body):
    """An item to keep. ``ttl``: minutes after which it goes. What is said of an index is passed over: there is none."""

    namespace: list[str]
    key: str
    value: JSONObject
    ttl: float | None = Field(None, gt=0, le=5_256_000)


class ItemName(Body):
    """Which item."""

    namespace: list[str]
    key: str


class ItemSearch(Body):
    """Which items are looked for. ``query`` is passed over: nothing is searched by meaning here."""

    namespace_prefix: list[str] = Field(default_factory=list)
    filter: JSONObject | None = None
    limit: int = Limit
    offset: int = Offset
    refresh_ttl: bool | None = None


class NamespaceSearch(Body):
    """Which namespaces are looked for."""

    prefix: list[str] | None = None
    suffix: list[str] | None = None
    max_depth: int | None = Field(None, ge=1, le=1000)
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Offset


def items_of(request: Request) -> Items:
    """The items of this home."""
    items: Items = request.app.state.items()
    return items


def owner_of(request: Request) -> str:
    """Whose items the caller's are."""
    return person_of(caller_of(request))


AtItems = Annotated[Items, Depends(items_of)]
Owner = Annotated[str, Depends(owner_of)]


@router.put("/store/items", status_code=204)
def put(items: AtItems, owner: Owner, asked: ItemIn) -> Response:
    """Keep an item; one under the same key is replaced."""
    items.put(owner, asked.namespace, asked.key, asked.value, asked.ttl)
    return Response(status_code=204)


@router.get("/store/items", responses=gives(ItemForm | None))
def get(
    items: AtItems,
    owner: Owner,
    key: str,
    namespace: Annotated[str, Query(description="labels with dots between them")],
    refresh_ttl: bool = True,
) -> Response:
    """One item; null where there is none."""
    found = items.get(owner, namespace.split("."), key, refresh=refresh_ttl)
    return Answer(found.as_json() if found else None)


@router.delete("/store/items", status_code=204)
def delete(items: AtItems, owner: Owner, asked: ItemName) -> Response:
    """Take an item out, if it is there."""
    items.delete(owner, asked.namespace, asked.key)
    return Response(status_code=204)


@router.post("/store/items/search", responses=gives(ItemsForm))
def search(items: AtItems, owner: Owner, asked: ItemSearch) -> Response:
    """Items in and below a namespace that fit a filter, last changed first."""
    found = items.search(
        owner,
        asked.namespace_prefix,
        wanted=asked.filter,
        limit=asked.limit,
        offset=asked.offset,
        refresh=asked.refresh_ttl is not False,
    )
    told: list[dict[str, Any]] = [{**item.as_json(), "score": None} for item in found]
    return Answer({"items": told})


@router.post("/store/namespaces", responses=gives(NamespacesForm))
def namespaces(items: AtItems, owner: Owner, asked: NamespaceSearch) -> Response:
    """The namespaces in which there are items."""
    found = items.namespaces(owner, prefix=asked.prefix or (), suffix=asked.suffix or (), max_depth=asked.max_depth)
    return Answer({"namespaces": [list(ns) for ns in found[asked.offset : asked.offset + asked.limit]]})
