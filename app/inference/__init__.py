"""Networks as functions. The only package that imports onnxruntime."""

import os

# onnxruntime 1.29 and later report to their maker and write a device identifier unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
