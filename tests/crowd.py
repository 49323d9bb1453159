"""A thousand clients at once, each with a connection of its own."""

import asyncio
import resource
from collections import Counter


def crowd(port: int, path: str, body: bytes, count: int = 1000) -> Counter[bytes]:
    """Returns how often each status came; a connection that is dropped without one is an error."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        return answer.split()[1]

    async def all_of_them() -> Counter[bytes]:
        return Counter(await asyncio.gather(*(ask() for _ in range(count))))

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    try:
        return asyncio.run(all_of_them())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
