"""How the tests of the helpline reach it: in this process, as a client of its API would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from helpline.api import app

T = TypeVar("T")


@asynccontextmanager
async def client(application: Any = app) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application, or one that wraps it, and give a client of it."""
    transport = httpx.ASGITransport(application)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        yield http


def visit(use: Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]], application: Any = app) -> T:
    """Run `use` with a client of the started application."""

    async def run() -> T:
        async with client(application) as http:
            return await use(http)

    return asyncio.run(run())


def post(path: str, application: Any = app, **body: object) -> httpx.Response:
    """Send one request to the application."""
    return visit(lambda http: http.post(path, json=body), application)
