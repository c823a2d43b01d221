"""The storage queues of a running host, over ``/admin/queues``."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.http_client import HttpClient, Response
from tests.support.running_host import RunningHost


class Queues:
    def __init__(self, host: RunningHost) -> None:
        self._host = host
        self._client = HttpClient(host.host.url)

    async def request(self, method: str, path: str = "", body: Any = None) -> Response:
        """`path`: behind ``/admin/queues``."""
        return await asyncio.to_thread(self._client.request, method, f"/admin/queues{path}", body)

    async def put(self, queue: str, *texts: str) -> None:
        """All of them at once."""
        response = await self.request("POST", f"/{queue}", {"messages": list(texts)})
        assert response.status == 201, response

    async def messages(self, queue: str) -> list[dict[str, Any]]:
        response = await self.request("GET", f"/{queue}")
        assert response.status == 200, response
        return list(response.body["messages"])

    async def texts(self, queue: str) -> list[str]:
        return [each["message"] for each in await self.messages(queue)]

    async def running(self, queue: str) -> list[str]:
        """The texts of the messages that functions work on."""
        return [each["message"] for each in await self.messages(queue) if each["running"]]

    async def length(self, queue: str) -> int:
        return int((await self.request("GET", f"/{queue}")).body["length"])
