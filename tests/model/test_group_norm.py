"""The quick gradient of group normalisation is torch's own."""

import pytest
import torch
from group_norm import QuickGroupNorm, quicken
from torch import Tensor, nn

from napari_medsam.engine.segmenters.compact.channels import CHANNELS
from napari_medsam.engine.segmenters.compact.network import PromptUNet


def gradients(norm: nn.GroupNorm, x: Tensor, of_output: Tensor) -> list[Tensor]:
    x = x.clone().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    out = norm(x)
    out.backward(of_output)
    return [out, *(v.grad for v in (x, norm.weight, norm.bias) if v.grad is not None)]


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_output_and_gradients_are_those_of_torch(groups: int) -> None:
    torch.manual_seed(groups)
    theirs, ours = nn.GroupNorm(groups, 8), QuickGroupNorm(groups, 8)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    x, of_output = 3 + 2 * torch.randn(2, 8, 3, 5, 4), torch.randn(2, 8, 3, 5, 4)
    found = gradients(ours, x, of_output)
    assert len(found) == 4
    for mine, torchs in zip(found, gradients(theirs, x, of_output), strict=True):
        torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-5)


def test_a_quickened_network_keeps_its_weights_and_learns_alike() -> None:
    torch.manual_seed(0)
    network = PromptUNet(3, (8, 16, 16, 16))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    x = torch.randn(1, CHANNELS, 16, 16, 16)
    network(x).square().mean().backward()
    expected = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    quicken(network)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network(x).square().mean().backward()
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-3, atol=1e-5)
