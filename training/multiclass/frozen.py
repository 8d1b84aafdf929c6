"""Which part of a network a stage trains, and what stays as it is."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from training.multiclass.recipe import ALL, HEAD
from training.networks import anatomy_of, head_of

_NORMALISATIONS = nn.BatchNorm1d | nn.BatchNorm2d


def trainable_names(network: nn.Module) -> tuple[str, ...]:
    """Parameters that the network lets train at all, in its order, before any stage froze some."""
    return tuple(name for name, parameter in network.named_parameters() if parameter.requires_grad)


def trained_names(network: nn.Module, trains: str, trainable: Iterable[str]) -> tuple[str, ...]:
    """Name the parameters of the part that a stage trains.

    Parameters
    ----------
    network
        As made by `training.networks.build_network`.
    trains
        ``all``, ``head``, or the first module of the top part (`training.multiclass.recipe.Stage`).
    trainable
        As `trainable_names` gave them.

    Raises
    ------
    ValueError
        If there is no such module, or the part has no parameter that trains.
    """
    names = list(trainable)
    if trains != ALL:
        first = anatomy_of(network).head if trains == HEAD else trains
        order = [name for name, _ in network.named_parameters()]
        start = next((k for k, name in enumerate(order) if name.startswith(f"{first}.")), None)
        if start is None:
            raise ValueError(f"trains: {trains!r} is no module with weights; all, head or a module's name expected")
        above = set(order[start:])
        names = [name for name in names if name in above]
    if not names:
        raise ValueError(f"trains: nothing from {trains!r} up can be trained")
    return tuple(names)


def freeze_all_but(network: nn.Module, trained: Iterable[str]) -> None:
    """Let gradients reach these parameters and no others."""
    moved = set(trained)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in moved)


def train_mode(network: nn.Module, trained: Iterable[str], *, fixed_statistics: bool) -> None:
    """Put a network into training mode; batch normalisation whose weights are frozen stays in inference mode.

    Parameters
    ----------
    network
        What is trained.
    trained
        Parameters that move.
    fixed_statistics
        Keep all batch normalisation in inference mode.
    """
    moved = set(trained)
    network.train()
    for name, module in network.named_modules():
        if isinstance(module, _NORMALISATIONS) and (fixed_statistics or f"{name}.weight" not in moved):
            module.eval()


def head_inputs(network: nn.Module, films: Tensor) -> Tensor:
    """Compute what the last linear layer sees, ``(N, C)``, without gradients."""
    seen: list[Tensor] = []

    def remember(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])

    handle = head_of(network).register_forward_pre_hook(remember)
    try:
        with torch.inference_mode():
            network(films)
    finally:
        handle.remove()
    return seen[-1].float().clone()


def squared_weights(network: nn.Module) -> Tensor:
    """Sum the squared weights of all linear layers (Keras's ``l2`` without its factor); biases are not counted."""
    squares = [module.weight.square().sum() for module in network.modules() if isinstance(module, nn.Linear)]
    return torch.stack(squares).sum()


def parameters_of(network: nn.Module, names: Iterable[str]) -> Mapping[str, nn.Parameter]:
    """Give parameters by name."""
    wanted = set(names)
    return {name: parameter for name, parameter in network.named_parameters() if name in wanted}
