"""A web service over the event log: molecules are recorded, read, and followed.

Run it by `uvicorn examples.web_service:app`, after pip install 'quantum-forge[fastapi]' uvicorn.
"""

from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse

import quantum_forge as qf
from quantum_forge.fastapi import get_async_db, get_db, opened

Asynchronous = Annotated[qf.AsyncForge, Depends(get_async_db)]
Plain = Annotated[qf.Forge, Depends(get_db)]

app = FastAPI(title="Molecules", lifespan=opened())


@app.exception_handler(qf.QuantumForgeError)
async def refuse(_: Request, error: qf.QuantumForgeError) -> JSONResponse:
    """Answer with the one line that every error of the event log has."""
    status = 503 if isinstance(error, qf.DatabaseUnavailable) else 422
    return JSONResponse({"detail": str(error)}, status)


@app.post("/molecules", status_code=201)
async def add(smiles: str, forge: Asynchronous) -> dict[str, Any]:
    """Record a molecule unless the log has it."""
    return {"id": await forge.molecule(smiles)}


@app.get("/molecules")
async def find(forge: Asynchronous, heavier_than: float = 0, limit: int = 20) -> Response:
    """The lightest molecules above a weight in g/mol."""
    await forge.catch_up("molecules")
    query = forge.table("molecules").where(molecular_weight=(heavier_than, None))
    return as_json(await query.order("molecular_weight").limit(limit).rows())


@app.get("/events")
def events(forge: Plain, limit: int = 20) -> Response:
    """The newest events; a plain function, which runs in a thread."""
    return as_json(list(forge.events(backward=True, limit=limit)))


def as_json(answer: object) -> Response:
    """Rows and events are msgspec Structs, which FastAPI does not encode by itself."""
    return Response(msgspec.json.encode(answer), media_type="application/json")
