"""A service on asyncio: clients send one number a line, each gets the model's answer; slow requests time out.

python examples/asyncio_service.py model.onnx [clients]
"""

import argparse
import asyncio
import sys

import numpy as np

import headway


async def serve(
    session: headway.InferenceSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answers one client. Waiting for room or for the model never blocks the other clients."""
    shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
    while line := await reader.readline():
        try:
            feed = np.full(shape, float(line), np.float32)
            (y,) = await session.arun(None, feed, timeout=5.0)
            answer = f"{y.mean():g}"
        except (ValueError, headway.HeadwayError) as error:
            answer = f"error: {error}"
        writer.write(f"{answer}\n".encode())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(port: int, number: int) -> str:
    """One client with one question."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{number}\n".encode())
    answer = (await reader.readline()).decode().strip()
    writer.close()
    await writer.wait_closed()
    return answer


async def main(model: str, clients: int) -> None:
    async with await headway.InferenceSession.acreate(model, hint="throughput") as session:
        server = await asyncio.start_server(lambda r, w: serve(session, r, w), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            answers = await asyncio.gather(*(ask(port, number) for number in range(clients)))
        print(" ".join(answers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("clients", type=int, nargs="?", default=10)
    try:
        asyncio.run(main(**vars(parser.parse_args())))
    except (headway.HeadwayError, OSError) as error:
        sys.exit(f"[FAIL] {error}")
