"""Offline: train, evaluate and export the networks that `app` serves. Needs the extra ``train`` (torch)."""

import os

# As in app.inference: onnxruntime reports to its maker unless this is set before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
