"""The least that any JSON service costs: FastAPI and pydantic, the same body, and nothing else."""

import multiprocessing
import socket
from typing import Self

import uvicorn
from fastapi import FastAPI

from shared.wire.scoring import ScoreRequest

__all__ = ["EchoServer"]

app = FastAPI()


@app.post("/echo")
async def echo(body: ScoreRequest) -> ScoreRequest:
    """What came."""
    return body


class EchoServer:
    """The application as a process of its own. Use as a context."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(self._listener,), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.join()
        self._listener.close()


def _serve(listener: socket.socket) -> None:
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])
