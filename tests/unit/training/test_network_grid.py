"""Where the cells of a network without padding look."""

import pytest
import torch
from torch import nn

from app.domain.preprocessing import Rectangle
from training.networks import anatomy_of, build_network, grid_rectangle


def made_symmetric(network: nn.Module) -> nn.Module:
    """Let every kernel be its own mirror image: nothing but the geometry can then tell right from left."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_((module.weight + module.weight.flip(3)) / 2)
    return network


def test_the_cells_of_inception_lie_in_the_middle_of_the_size_that_it_was_made_for() -> None:
    torch.manual_seed(3)
    network = made_symmetric(build_network("inceptionv3", 14)).eval()
    films = torch.rand(1, 3, 299, 299)

    with torch.inference_mode():
        there, back = (anatomy_of(network).features(network, each) for each in (films, films.flip(3)))
    rectangle = grid_rectangle(network, 299)

    assert float((back.flip(3) - there).abs().max() / there.abs().max()) < 1e-5
    assert float((back - there).abs().max() / there.abs().max()) > 1e-3
    assert rectangle == (21.5, 21.5, 277.5, 277.5)
    assert (rectangle[0] + rectangle[2]) / 2 == 299 / 2
    assert (rectangle[2] - rectangle[0]) / there.shape[3] == 32


@pytest.mark.parametrize(
    ("size_px", "expected"), [(224, (21.5, 21.5, 181.5, 181.5)), (160, (21.5, 21.5, 117.5, 117.5))]
)
def test_what_makes_no_cell_is_lost_on_the_right_and_below(size_px: int, expected: Rectangle) -> None:
    network = build_network("inceptionv3", 14).eval()

    with torch.inference_mode():
        cells = anatomy_of(network).features(network, torch.zeros(1, 3, size_px, size_px)).shape[3]

    assert grid_rectangle(network, size_px) == expected
    assert (expected[2] - expected[0]) / cells == 32


def test_a_network_that_pads_covers_its_whole_input() -> None:
    assert grid_rectangle(build_network("resnet18", 14), 224) is None
