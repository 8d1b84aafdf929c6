"""Torch networks to ONNX graphs that keep every parameter under its PyTorch name, and back.

The exporter's optimiser would fold batch normalisation into the convolutions; only its constant folding is used, so
that the network can be rebuilt from the file. ONNX Runtime fuses when it loads.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch import nn

from training.networks import ExplainedNetwork, LogitsNetwork, anatomy_of, build_network

OPSET: Final = 18
INPUT_NAME: Final = "films"
OUTPUT_NAMES: Final = ("logits", "features", "cam")
HEAD: Final = "fc"
"""What the last linear layer is called in every export."""
REGION_PREFIX: Final = "spn."
"""Begins the names of what an expert with a predicted region has beside the classifier."""
_PREFIX: Final = "network."
_ARCHITECTURE_KEY: Final = "discern.architecture"
_NOT_STORED: Final = ".num_batches_tracked"


class ExportError(ValueError):
    """A network that cannot be released: its graph, its parity or its identity is not what was promised."""


def to_onnx(network: nn.Module, architecture: str, size_px: int) -> onnx.ModelProto:
    """Trace a network with its features and class activation maps.

    Parameters
    ----------
    network
        As made by `build_network`, on the CPU.
    architecture
        Its name; it is stored in the file.
    size_px
        Side of the input.

    Returns
    -------
    ModelProto
        Input ``films (N, 3, size_px, size_px)``; outputs ``logits``, ``features``, ``cam``, or ``logits`` alone where
        the network has no class activation map; float32 initialisers named as in ``network.state_dict()``, but for the
        last linear layer, which is ``fc`` whatever the library calls it. No trace of the machine it was made on.
    """
    anatomy = anatomy_of(network)
    wrapped: nn.Module = LogitsNetwork(network) if anatomy.no_cam else ExplainedNetwork(network)
    outputs = OUTPUT_NAMES[:1] if anatomy.no_cam else OUTPUT_NAMES
    return trace(wrapped, outputs, architecture, channels=3, size_px=size_px, renamed={anatomy.head: HEAD})


def trace(
    wrapped: nn.Module,
    output_names: tuple[str, ...],
    architecture: str,
    *,
    channels: int,
    size_px: int,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> onnx.ModelProto:
    """Trace a module whose attribute ``network`` holds the parameters.

    Parameters
    ----------
    wrapped
        Takes ``(N, channels, size_px, size_px)``, returns one tensor an output name.
    output_names
        In the order of the outputs.
    architecture
        Stored in the file.
    channels, size_px
        Of the input.
    renamed
        Module to the name that its parameters are stored under.

    Returns
    -------
    ModelProto
        Initialisers otherwise named as in ``wrapped.network.state_dict()``; the batch is free.

    Raises
    ------
    ExportError
        If the exporter gives nothing.
    """
    wrapped = wrapped.eval().to(memory_format=torch.contiguous_format)
    program = torch.onnx.export(
        wrapped,
        (torch.zeros(2, channels, size_px, size_px),),
        dynamo=True,
        optimize=False,
        verbose=False,
        opset_version=OPSET,
        input_names=[INPUT_NAME],
        output_names=list(output_names),
        dynamic_shapes={INPUT_NAME: {0: torch.export.Dim("N")}},
    )
    if program is None:
        raise ExportError("the exporter returned nothing")
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    model: onnx.ModelProto = program.model_proto
    _tidy(model, renamed)
    helper.set_model_props(model, {_ARCHITECTURE_KEY: architecture})
    onnx.checker.check_model(model, full_check=True)
    return model


def _tidy(model: onnx.ModelProto, renamed: Mapping[str, str]) -> None:
    """Drop the prefix of the wrapper, the zero biases of bias-free convolutions, and the exporter's records."""
    graph = model.graph

    def stored(name: str) -> str:
        module, _, parameter = name.removeprefix(_PREFIX).rpartition(".")
        return f"{renamed.get(module, module)}.{parameter}" if module else parameter

    zeros = {
        entry.name
        for entry in graph.initializer
        if not entry.name.startswith(_PREFIX) and entry.data_type == TensorProto.FLOAT and not to_array(entry).any()
    }
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]
        node.input[:] = [stored(name) if name.startswith(_PREFIX) else name for name in node.input]
        node.doc_string = ""
        del node.metadata_props[:]
    used = {name for node in graph.node for name in node.input}
    kept = []
    for entry in graph.initializer:
        entry.name = stored(entry.name) if entry.name.startswith(_PREFIX) else entry.name
        entry.doc_string = ""
        del entry.metadata_props[:]
        if entry.name in used:
            kept.append(entry)
    kept = [onnx.TensorProto.FromString(entry.SerializeToString()) for entry in kept]
    del graph.initializer[:], graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    graph.initializer.extend(kept)
    graph.name, graph.doc_string, model.doc_string = "explained", "", ""
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]


def to_array(entry: onnx.TensorProto) -> NDArray[np.generic]:
    """Decode one initialiser."""
    array: NDArray[np.generic] = numpy_helper.to_array(entry)
    return array


def is_stored_in_half(name: str, dimensions: int) -> bool:
    """Matrices and kernels are stored in half precision; biases and the statistics of batch normalisation are not.

    The latter are a thousandth of the bytes, and a small variance would fall below float16's normal range.
    """
    return name.endswith(".weight") and dimensions >= 2


def store_in_half(model: onnx.ModelProto, names: Collection[str] | None = None) -> onnx.ModelProto:
    """Store convolution kernels and linear weights as float16, each with a Cast to float32 in front of its use.

    Initialisers keep their names. The values must have been rounded before: the computation is then unchanged.

    Parameters
    ----------
    model
        The network's graph.
    names
        Of the initialisers to store so; None is all that `is_stored_in_half`.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    renamed = {}
    for entry in graph.initializer:
        if entry.data_type != TensorProto.FLOAT or not is_stored_in_half(entry.name, len(entry.dims)):
            continue
        if names is not None and entry.name not in names:
            continue
        entry.CopyFrom(numpy_helper.from_array(to_array(entry).astype(np.float16), entry.name))
        renamed[entry.name] = f"{entry.name}.fp32"
        casts.append(
            helper.make_node("Cast", [entry.name], [renamed[entry.name]], f"cast.{entry.name}", to=TensorProto.FLOAT)
        )
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    for node in nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(halved, full_check=True)
    return halved


def initialisers(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """Floating-point initialisers of a graph by name; a number alone is a constant of the graph, no parameter."""
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16)
    return {entry.name: to_array(entry) for entry in model.graph.initializer if entry.data_type in kinds and entry.dims}


def rebuild_network(path: Path) -> nn.Module:
    """Make the PyTorch network again from a released ``model.onnx``.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Module
        The classifier, in evaluation mode, float32. What only training uses (an auxiliary head) is not in the file and
        starts anew; a predicted region is left out (`training.regions.export.rebuild_saliency_network`).

    Raises
    ------
    ExportError
        If the file does not name a known architecture or its initialisers do not fit it.
    """
    model: onnx.ModelProto = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    stored = initialisers(model)
    if _ARCHITECTURE_KEY not in properties or f"{HEAD}.weight" not in stored:
        raise ExportError(f"{path.name} does not name its architecture or has no {HEAD}.weight")
    size_px = model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    network = build_network(properties[_ARCHITECTURE_KEY], int(stored[f"{HEAD}.weight"].shape[0]), size_px)
    anatomy = anatomy_of(network)
    if anatomy.head != HEAD:
        for parameter in ("weight", "bias"):
            stored[f"{anatomy.head}.{parameter}"] = stored.pop(f"{HEAD}.{parameter}")
    stored = {name: value for name, value in stored.items() if not name.startswith(REGION_PREFIX)}
    state = network.state_dict()
    not_stored = f"{anatomy.auxiliary}." if anatomy.auxiliary else _NOT_STORED
    wanted = {name for name in state if not name.endswith(_NOT_STORED) and not name.startswith(not_stored)}
    if wanted != set(stored):
        odd = sorted(wanted ^ set(stored))
        raise ExportError(f"{path.name} and {properties[_ARCHITECTURE_KEY]} differ in {', '.join(odd[:5])}")
    for name in wanted:
        if state[name].shape != stored[name].shape:
            raise ExportError(f"{name}: {tuple(state[name].shape)} expected, {stored[name].shape} found")
        state[name] = torch.from_numpy(stored[name].astype(np.float32))
    network.load_state_dict(state)
    return network.eval()
