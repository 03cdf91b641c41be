"""The ceiling of a webhook's deliveries: `httpcore` in a loop. It prints how many answers it gets in a second."""

import asyncio
import sys
import time

import httpcore
import uvloop


async def main(url: str, count: int, body: bytes) -> None:
    """Send so many requests, one after another."""
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    async with httpcore.AsyncConnectionPool() as pool:
        started_at = time.monotonic()
        for _ in range(count):
            async with pool.stream("POST", url, headers=list(headers.items()), content=body) as response:
                await response.aread()
        print(count / (time.monotonic() - started_at))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()))
