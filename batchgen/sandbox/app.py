"""The service over HTTP: paths to decisions, decisions to answers."""

from __future__ import annotations

import hashlib
import logging

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from batchgen.models import registry
from batchgen.sandbox.answer import FileAsk, error
from batchgen.sandbox.faults import HEADER
from batchgen.sandbox.rehearsal import Rehearsal
from batchgen.sandbox.requests import Asked
from batchgen.sandbox.shot import shot_of
from batchgen.sandbox.studio import Studio
from batchgen.sandbox.wire import WireResponse

PREFIX = "/api/v1"
MAX_BODY_BYTES = 1 << 20

_log = logging.getLogger(__name__)


def make_app(rehearsal: Rehearsal, studio: Studio) -> Starlette:
    """The application: the API under `PREFIX`, files under /files, and for operators and tests /sandbox."""

    async def create(request: Request) -> Response:
        return WireResponse(rehearsal.create(_asked(request, await _body(request))))

    async def poll(request: Request) -> Response:
        return WireResponse(rehearsal.poll(_asked(request), request.path_params["run_id"]))

    async def download(request: Request) -> Response:
        rehearsal.count_file_request()
        name = request.path_params["name"]
        found = rehearsal.find_file(request.path_params["expires"], name)
        if not isinstance(found, tuple):
            return WireResponse(found)
        entry, number = found
        model = registry.get(entry.model)
        if model is None:  # a ledger of a version that knew another model
            return WireResponse(error(410, "gone", "Nobody knows this model any more"))
        content = await studio.video(name, shot_of(model, entry.input, number, entry.videos))
        digest = await to_thread.run_sync(lambda: hashlib.sha256(content).hexdigest()[:32])
        headers = request.headers
        ask = FileAsk(content, f'"{digest}"', range=headers.get("range"), if_range=headers.get("if-range"))
        return WireResponse(rehearsal.file(_asked(request), entry, ask))

    async def books(request: Request) -> Response:  # noqa: ARG001 (Starlette passes it)
        return WireResponse(rehearsal.books())

    async def top_up(request: Request) -> Response:
        return WireResponse(rehearsal.top_up(await _body(request)))

    routes = [
        Route(f"{PREFIX}/runs", create, methods=["POST"]),
        Route(f"{PREFIX}/runs/{{run_id}}", poll, methods=["GET"]),
        Route("/files/{expires}/{name}", download, methods=["GET"]),
        Route("/sandbox/ledger", books, methods=["GET"]),
        Route("/sandbox/topup", top_up, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_error, ClientDisconnect: _gone, Exception: _our_error},
    )


def _asked(request: Request, body: bytes = b"") -> Asked:
    return Asked(
        origin=f"http://{request.headers.get('host') or 'localhost'}",
        authorization=request.headers.get("authorization", ""),
        fault_header=request.headers.get(HEADER, ""),
        body=body,
        path=request.url.path,
        direct="direct" in request.query_params,
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, "Payload too large")
    return bytes(body)


async def _http_error(_request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    words = problem.detail if isinstance(problem, HTTPException) else "Internal server error"
    headers = (problem.headers or {}) if isinstance(problem, HTTPException) else {}
    return WireResponse(error(status, words.lower().replace(" ", "_"), words, tuple(headers.items())))


async def _gone(_request: Request, _problem: Exception) -> Response:
    return Response(status_code=400)  # nobody is left to read it


async def _our_error(request: Request, problem: Exception) -> Response:
    _log.error("The rehearsal service failed at %s %s", request.method, request.url.path, exc_info=problem)
    return WireResponse(error(500, "internal_error", "Internal server error"))
