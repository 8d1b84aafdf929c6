"""A small stand-in for the service: the page, and deterministic answers in the shape of the real ones.

It knows no network. The experts' maps are two fixed hills on a 7 x 7 grid over the padded square around the film, so
that a test can say where the divergence must be hottest. ``python fake_service.py PORT [LIFETIME_S]`` serves on
loopback and ends itself after its lifetime.
"""

import base64
import hashlib
import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

WEB = Path(__file__).parents[2] / "app" / "api" / "web"
GRID = 7
NOTICE = "Research use. Not for diagnostic use."
CONTENT_SECURITY_POLICY = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'"
OPERATING_POINTS = {
    "covid19": {"threshold": 0.42, "sensitivity": 0.90, "specificity": 0.81},
    "pneumonia": {"threshold": 0.55, "sensitivity": 0.84, "specificity": 0.79},
}
LABELS = [
    ("pneumonia", None, 0.81, True),
    ("viral", "pneumonia", 0.74, True),
    ("covid19", "viral", 0.69, True),
    ("sars", "viral", 0.06, False),
    ("mers", "viral", 0.04, False),
    ("bacterial", "pneumonia", 0.22, True),
    ("streptococcus", "bacterial", 0.12, False),
    ("klebsiella", "bacterial", 0.07, False),
    ("chlamydophila", "bacterial", 0.02, False),
    ("legionella", "bacterial", 0.03, False),
    ("fungal", "pneumonia", 0.05, False),
    ("pneumocystis", "fungal", 0.05, False),
    ("ards", "pneumonia", 0.18, False),
    ("no_finding", None, 0.09, True),
]


def phantom(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a synthetic frontal film: two dark lungs, a heart, ribs and a spine on a brighter body."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = (x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1
    edge = np.clip((1.02 - np.hypot(u / 0.98, (v - 0.25) / 1.28)) * 9, 0, 1)
    film = 20 + 150 * edge

    def hill(cu: float, cv: float, ru: float, rv: float, sharp: float) -> NDArray[np.float64]:
        value: NDArray[np.float64] = 1 / (1 + np.exp(sharp * (np.hypot((u - cu) / ru, (v - cv) / rv) - 1)))
        return value

    for side in (-1, 1):
        film -= 105 * hill(side * 0.43, -0.02, 0.33, 0.63, 16) * edge
        for rib in range(7):
            arc = v - (-0.52 + rib * 0.165) - 0.22 * (u - side * 0.1) ** 2
            film += 13 * np.exp(-((arc / 0.018) ** 2)) * hill(side * 0.45, 0, 0.40, 0.72, 20)
    film += 62 * hill(0.14, 0.42, 0.30, 0.30, 12) + 28 * np.exp(-((u / 0.07) ** 2)) * edge
    film += 46 * (hill(-0.42, 0.86, 0.46, 0.28, 14) + hill(0.44, 0.88, 0.46, 0.27, 14))
    film += 30 * hill(-0.52, 0.28, 0.15, 0.20, 6)
    film += np.random.default_rng(seed).normal(0, 3, film.shape)
    drawn: NDArray[np.uint8] = np.clip(film, 0, 255).astype(np.uint8)
    return drawn


def _hill(row: float, column: float, width: float, height: float) -> NDArray[np.float64]:
    i, j = np.mgrid[0:GRID, 0:GRID]
    return np.asarray(height * np.exp(-((i - row) ** 2 + (j - column) ** 2) / (2 * width**2)))


def expert_maps() -> dict[str, NDArray[np.float64]]:
    """Two overlapping hills: both speak in the right upper zone, only COVID-19 in the right lower one."""
    covid19 = _hill(4.1, 2.0, 0.9, 2.1) + _hill(2.0, 2.2, 0.8, 1.3) + _hill(4.0, 4.6, 0.8, 1.2) - 0.28
    pneumonia = _hill(2.0, 2.1, 0.9, 1.9) + _hill(4.3, 4.8, 1.1, 1.1) + _hill(4.6, 2.6, 0.7, 0.5) - 0.2
    return {"covid19": np.round(covid19, 6), "pneumonia": np.round(pneumonia, 6)}


def _png(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()


def _problem(status: int, code: str, title: str, detail: str) -> JSONResponse:
    body = {"type": f"/problems/{code}", "title": title, "status": status, "detail": detail, "code": code}
    return JSONResponse(body, status, media_type="application/problem+json")


def _film(content: bytes) -> tuple[str, NDArray[np.uint8]]:
    if content[128:132] == b"DICM":
        return "dicom", phantom(1024, 1250)
    with Image.open(io.BytesIO(content)) as opened:
        kind = str(opened.format).lower()
        if kind not in ("png", "jpeg"):
            raise UnidentifiedImageError
        grey = ImageOps.exif_transpose(opened).convert("L")
    return kind, np.asarray(grey)


def _divergence(maps: dict[str, NDArray[np.float64]], interest: str, overlap: str, alpha: float) -> dict[str, Any]:
    x, x_prime = maps[interest], maps[overlap]
    log_k = alpha * (x / x.max() - x_prime / x_prime.max())
    k = np.exp(log_k)
    share = k / k.sum()
    display = (k - k.min()) / (k.max() - k.min())
    return {
        "alpha": alpha,
        "log_k": log_k.tolist(),
        "k": k.tolist(),
        "log_k_min": log_k.min(),
        "log_k_max": log_k.max(),
        "display": display.tolist(),
        "entropy_nats": float(-(share * np.log(share)).sum()),
        "top_cell_share": float(share.max()),
        "outside_lungs": None,
        "flags": ["would_overflow_float16"] if log_k.max() > 11.09 else [],
    }


def _post_test(pretest: float, decision: str, point: dict[str, float]) -> dict[str, Any]:
    ill, healthy = point["sensitivity"], 1 - point["specificity"]
    ratio = ill / healthy if decision == "positive" else (1 - ill) / (1 - healthy)
    odds = pretest / (1 - pretest) * ratio
    return {
        "pretest_probability": pretest,
        "probability": odds / (1 + odds),
        "likelihood_ratio": ratio,
        "measured_on": "all",
        "reason": None,
    }


def _label_map(number: int, extent: list[float]) -> dict[str, Any]:
    """A hill of its own for every label; the last one has nothing that argues for it."""
    values = np.round(_hill(1.0 + number % 5, 1.0 + number // 5 * 2, 1.0, 3.0) - 0.4, 6)
    if number == len(LABELS) - 1:
        values = -np.abs(values)
    return {
        "values": values.tolist(),
        "extent": extent,
        "min": values.min(),
        "max": values.max(),
        "outside_lungs": 0.25,
        "flags": [] if values.max() > 0 else ["no_positive_evidence"],
        "mean_logit": float(values.mean()) - 0.75,
        "bias": -0.75,
    }


def predicted_region(side: int, extent: list[float]) -> dict[str, Any]:
    """A disc in the right lower zone, as an expert with a second output predicts it."""
    i, j = (np.mgrid[0:40, 0:40] + 0.5) / 40
    inside = np.hypot(j - 0.34, i - 0.62) < 0.13
    return {
        "name": "pneumonia-region",
        "title": "Pneumonia expert with a predicted region of opacities",
        "notice": "A predicted region is a second output of the network. It is not an explanation.",
        "target": "pneumonia",
        "probability": 0.81,
        "decision": "positive",
        "flags": [],
        "region": {
            "of": "opacities",
            "values": np.where(inside, 0.9, 0.05).tolist(),
            "extent": extent,
            "area_share": float(inside.mean()),
            "flags": [] if side > 500 else ["empty_region"],
        },
        "overlay": None,
        "agreement": [
            {"with": "cam", "alpha": None, "iou": 0.41, "energy_inside": 0.37, "correlation": 0.52},
            {"with": "divergence", "alpha": 15.0, "iou": None, "energy_inside": None, "correlation": None},
        ],
    }


def answer(content: bytes, query: dict[str, str]) -> dict[str, Any]:
    """Build the whole answer for one film."""
    kind, pixels = _film(content)
    height, width = pixels.shape
    side = max(height, width)
    x0, y0 = -((side - width) // 2), -((side - height) // 2)
    extent = [float(x0), float(y0), float(x0 + side), float(y0 + side)]
    interest, overlap = query.get("interest", "covid19"), query.get("overlap", "pneumonia")
    maps = expert_maps()
    if query.get("evidence") == "contrast":
        maps = {name: np.round(values * 1.6 - 0.2, 6) for name, values in maps.items()}
    size = int(query.get("overlay_size", "512"))
    scale = min(1.0, size / side)
    shown = np.asarray(Image.fromarray(pixels).resize((max(1, round(width * scale)), max(1, round(height * scale)))))
    film = {"png": _png(shown), "width": shown.shape[1], "height": shown.shape[0]}
    probabilities = {"covid19": 0.774, "pneumonia": 0.832 if width < 900 or kind == "dicom" else 0.31}
    experts: dict[str, dict[str, Any]] = {}
    for name, values in maps.items():
        point, probability = OPERATING_POINTS[name], probabilities[name]
        experts[name] = {
            "logit": float(np.log(probability / (1 - probability))),
            "probability": probability,
            "decision": "positive" if probability >= point["threshold"] else "negative",
            "operating_point": point,
            "map": {
                "values": values.tolist(),
                "extent": extent,
                "min": values.min(),
                "max": values.max(),
                "outside_lungs": None,
                "flags": [],
            },
            "overlay": film,
        }
    for name, expert in experts.items():
        asked = query.get("pretest_probability") if name == interest else None
        expert["post_test"] = _post_test(float(asked), expert["decision"], OPERATING_POINTS[name]) if asked else None
        expert["post_test_probability"] = expert["post_test"]["probability"] if expert["post_test"] else None
    both = all(expert["decision"] == "positive" for expert in experts.values())
    divergence = _divergence(maps, interest, overlap, float(query.get("alpha", "15")))
    row, column = np.unravel_index(np.argmax(divergence["log_k"]), (GRID, GRID))
    cell = side / GRID
    box = [x0 + (column - 0.1) * cell, y0 + (row - 0.1) * cell, x0 + (column + 1.1) * cell, y0 + (row + 1.1) * cell]
    divergence |= {
        "extent": extent,
        "regions": [{"box": [round(float(v)) for v in box], "zone": None, "share": 0.83}],
        "overlay": film,
    }
    forced = query.get("force") == "true"
    return {
        "id": "01JD3ZB6Q0",
        "created": "2026-11-20T10:00:00Z",
        "notice": NOTICE,
        "device": "cpu",
        "image": {
            "format": kind,
            "width": width,
            "height": height,
            "sha256": hashlib.sha256(content).hexdigest(),
            "view_position": "PA" if kind == "dicom" else None,
            "photometric_interpretation": "MONOCHROME2",
            "pixel_spacing_mm": [0.143, 0.143] if kind == "dicom" else None,
            "flags": (["voi_window_missing"] if kind == "dicom" else []) + (["forced"] if forced else []),
        },
        "models": [
            {"name": name, "version": "1.0.0", "sha256": "0" * 64, "precision": "fp32"}
            for name in ("covid19", "pneumonia", "findings")
        ],
        "experts": experts,
        "predicted_regions": [predicted_region(side, extent)]
        if "predicted_regions" in query.get("include", "")
        else None,
        "film": film,
        "divergence": {
            "interest": interest,
            "overlap": overlap,
            "intended_use": both,
            "reason": None if both else "the pneumonia expert is negative (0.31, positive from 0.55)",
            "maps": [divergence],
        },
        "ensemble": {
            "labels": [
                {
                    "name": name,
                    "parent": parent,
                    "probability": p,
                    "spread": 0.0,
                    "members": {"resnet18": p},
                    "threshold": 0.5,
                    "decision": "positive" if p >= 0.5 else "negative",
                    "evaluated": evaluated,
                    "map": _label_map(number, extent) if "ensemble_maps" in query.get("include", "") else None,
                }
                for number, (name, parent, p, evaluated) in enumerate(LABELS)
            ],
            "flags": ["child_above_parent"],
        },
    }


def create_app() -> FastAPI:
    """Serve the page and the routes it uses."""
    app = FastAPI()
    app.mount("/web", StaticFiles(directory=WEB), name="web")

    @app.middleware("http")
    async def secure(request: Request, call_next: Any) -> Response:  # Any: Starlette's private callable type
        response: Response = await call_next(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html")

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        kinds = {"covid19": "expert", "pneumonia": "expert", "findings": "multilabel", "pneumonia-region": "expert"}
        region = {"pneumonia-region": "opacities"}
        models = [
            {"name": name, "version": "1.0.0", "kind": kind, "region": region.get(name)} for name, kind in kinds.items()
        ]
        return {"models": models, "regions": list(region)}

    @app.get("/v1/example")
    async def example(describe: bool = False) -> Response:
        source = "Synthetic phantom, drawn by this test service"
        if describe:
            return JSONResponse({"available": True, "title": "Phantom", "source": source, "licence": "none needed"})
        return Response(bytes(128) + b"DICM" + bytes(64), media_type="application/dicom", headers={"X-Source": source})

    @app.post("/v1/screenings")
    async def screenings(request: Request) -> Response:
        form = await request.form()
        upload = form["image"]
        content = b"" if isinstance(upload, str) else await upload.read()
        query = dict(request.query_params)
        try:
            _, pixels = _film(content)
        except (UnidentifiedImageError, OSError):
            return _problem(
                415, "unsupported_format", "Unsupported format", "the first bytes are none of PNG, JPEG, DICOM"
            )
        if min(pixels.shape) < 64 and query.get("force") != "true":
            return _problem(
                422, "too_small", "Image refused", f"{pixels.shape[1]} x {pixels.shape[0]} px; at least 64 expected"
            )
        return JSONResponse(answer(content, query))

    return app


def main() -> None:
    """Serve on loopback for a limited time."""
    port = int(sys.argv[1])
    lifetime_s = float(sys.argv[2]) if len(sys.argv) > 2 else 600.0
    end = threading.Timer(lifetime_s, os._exit, (3,))
    end.daemon = True
    end.start()
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
