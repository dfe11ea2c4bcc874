"""The service as a FastAPI application: paths, answers and errors."""

from typing import Any, Dict, List

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from recbole_sda import __version__
from recbole_sda.serve.limits import Limits
from recbole_sda.serve.middleware import CheckedBody, Measured
from recbole_sda.serve.requests import request_models
from recbole_sda.serve.service import Refused, Service

PATHS = ("/", "/health", "/metrics", "/openapi.json", "/recommend", "/recommend/batch")
SHOWN_ERRORS = 3


def create_app(service: Service, limits: Limits) -> FastAPI:
    """Return the application of a service.

    Errors are JSON with one key, ``error``, and a message of one line. There is no page of documentation, because FastAPI's loads
    scripts from other servers; ``/openapi.json`` describes the requests.

    Args:
        service: see :func:`recbole_sda.serve.service.opened`.
        limits: of requests.
    """
    app = FastAPI(title="recbole_sda", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    registry = CollectorRegistry()
    app.add_middleware(CheckedBody, limit=limits.body)
    app.add_middleware(Measured, registry=registry, paths=PATHS)
    _add_errors(app)
    _add_state(app, service, registry)
    models = request_models(limits)
    One, Many = models.one, models.many

    @app.post("/recommend")
    def recommend(request: One) -> Dict[str, Any]:  # type: ignore[valid-type]
        """Recommend items to a user of the run, or after a session of items."""
        given: Any = request
        if given.user is not None:
            return {"user": given.user, "items": service.of_users([given.user], given)[0]}
        return {"items": service.of_sessions([given.session], given)[0]}

    @app.post("/recommend/batch")
    def recommend_batch(request: Many) -> Dict[str, Any]:  # type: ignore[valid-type]
        """Recommend items to several users, or after several sessions; the answers have the order of the request."""
        given: Any = request
        if given.users is None:
            return {"results": [{"items": items} for items in service.of_sessions(given.sessions, given)]}
        pairs = zip(given.users, service.of_users(given.users, given))
        return {"results": [{"user": user, "items": items} for user, items in pairs]}

    return app


def _add_state(app: FastAPI, service: Service, registry: CollectorRegistry) -> None:
    """Add the paths that say what the service is and how it does. They do not wait for a thread."""

    @app.get("/")
    async def about() -> Dict[str, Any]:
        """Describe the service."""
        paths = ["POST /recommend", "POST /recommend/batch", "GET /health", "GET /metrics", "GET /openapi.json"]
        return {"service": "recbole_sda", "version": __version__, **service.about(), "paths": paths}

    @app.get("/health")
    async def health() -> Dict[str, str]:
        """Answer once the run is loaded."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Return counters and times in the text format of Prometheus."""
        return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    """Add what clients get instead of a traceback."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return JSONResponse({"error": error.message}, error.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": validation_message(list(error.errors()))}, 422)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        message = f"no such path; there are {', '.join(PATHS)}" if error.status_code == 404 else str(error.detail)
        return JSONResponse({"error": message}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "internal error; the log of the service has its cause"}, 500)


def validation_message(errors: List[Any]) -> str:
    """Return the errors of pydantic as one line: where and what, without the value.

    Example:
        >>> validation_message([{"loc": ("body", "k"), "msg": "Input should be greater than or equal to 1"}])
        'k: Input should be greater than or equal to 1'
    """
    shown = [_error_text(error) for error in errors[:SHOWN_ERRORS]]
    more = f"; and {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
    return "; ".join(shown) + more


def _error_text(error: Any) -> str:
    if error.get("type") == "json_invalid":
        return "the body is not valid JSON"
    text = " ".join(str(error["msg"]).removeprefix("Value error, ").split())
    if len(error["loc"]) == 1 and error.get("type") != "value_error":  # the body as a whole
        return "expected a JSON object, with the header Content-Type: application/json"
    where = ".".join(repr(part)[1:-1] if isinstance(part, str) else str(part) for part in error["loc"][1:])
    return f"{where[:100]}: {text}" if where else text
