"""Networks as functions. The only package that imports onnxruntime."""
