"""The compact networks: sizes, cost, any size of picture, and the preconditioning's limits."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from restore_core.networks import compact_unet
from restore_core.networks.compact_blocks import BLOCKS
from restore_core.networks.compact_unet import CompactModel


def small() -> CompactModel:
    torch.manual_seed(0)
    model = CompactModel(
        compact_unet.CompactUNet(3, 4, (16,), (2,)),
        compact_unet.CompactUNet(9, 2, (8, 16), (1, 1), levels=True),
    )
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.05)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1, 1), (1, 50), (33, 64)])
def test_any_size(size: tuple[int, int]):
    model, y = small(), torch.rand(2, 3, *size) * 2 - 1
    g = model.predict(y)
    d = model.denoise(torch.randn_like(y), torch.tensor(0.8), torch.tensor(0.6), g, y)
    assert g.shape == d.shape == y.shape and torch.isfinite(d).all()


def test_one_level_for_all_pictures_bends_the_kernels_and_says_the_same():
    model, y = small(), torch.rand(3, 3, 32, 32) * 2 - 1
    g, r = model.predict(y), torch.randn(3, 3, 32, 32)
    a, s = torch.tensor(0.8), torch.tensor(0.6)
    together = model.denoise(r, a, s, g, y)
    each = model.denoise(r, a.expand(3), s.expand(3), g, y)
    assert torch.allclose(together, each, atol=1e-6)


def test_padding_does_not_reach_far():
    """An odd size is padded by reflection and cropped: the part far from the border is as in the larger picture."""
    model, y = small(), torch.rand(1, 3, 96, 96)
    assert torch.allclose(model.predict(y[..., :93, :94])[..., :48, :48], model.predict(y)[..., :48, :48], atol=1e-5)


@pytest.mark.parametrize("unshuffle", [2, 4])
def test_cost_a_pixel(unshuffle: int):
    model, y = compact_unet.new(unshuffle).eval(), torch.zeros(1, 3, 128, 128)
    with FlopCounterMode(display=False) as predictor, torch.no_grad():
        model.predict(y)
    with FlopCounterMode(display=False) as denoiser, torch.no_grad():
        model.denoise(y, torch.tensor(1.0), torch.tensor(0.1), y, y)
    assert predictor.get_total_flops() / 128**2 < 0.5e6
    assert denoiser.get_total_flops() / 128**2 < 0.2e6
    assert sum(p.numel() for p in model.parameters()) < 5e6


@pytest.mark.parametrize("unshuffle", [2, 4])
def test_build_reads_the_shapes(unshuffle: int):
    model = compact_unet.new(unshuffle)
    again = compact_unet.build(model.state_dict(), {})
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert again.predictor.multiple == model.predictor.multiple
    assert compact_unet.ARCHITECTURE.matches(frozenset(model.state_dict()))


def test_limits_of_the_denoiser():
    """D -> g where all is noise, D -> u where none is; finite at a = 0."""
    model, y = small(), torch.rand(1, 3, 32, 32)
    g, z, one = model.predict(y), torch.randn(1, 3, 32, 32), torch.tensor(1.0)
    sd = model.sd.item()
    noise_only = model.denoise(z, torch.tensor(0.0), one, g, y)
    raw = model.denoiser(torch.cat([z, g, y], 1), torch.tensor([20.0]))
    assert torch.allclose(noise_only, g + sd * raw, atol=1e-4)
    r = 0.1 * z
    clean = model.denoise(r, one, torch.tensor(1e-6), g, y)
    assert torch.allclose(clean, g + r, atol=1e-4)


def test_every_scale_of_a_state_is_the_same_picture():
    """(a, s) and (1, s/a) see the same u: one denoiser for every process."""
    model, y = small(), torch.rand(1, 3, 32, 32)
    g, r = model.predict(y), torch.randn(1, 3, 32, 32)
    a, s = torch.tensor(0.3), torch.tensor(0.5)
    direct = model.denoise(r, torch.tensor(1.0), s / a, g, y)
    scaled = model.denoise(a * r, a, s, g, y)
    assert torch.allclose(direct, scaled, atol=1e-5)


def test_target_is_what_makes_the_estimate_exact():
    model = small()
    x0, r, g = torch.randn(3, 2, 3, 8, 8)
    a, s, sd = torch.tensor(0.7), torch.tensor(0.4), torch.tensor(0.1)
    raw = model.target(x0, r, a, s, g, sd)
    assert torch.allclose(model.estimate(raw, r, a, s, g, sd), x0, atol=1e-4)


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_kind_of_block_is_told_from_its_keys(kind: str):
    sizes = dict(unshuffle=2, widths=(8, 16), depths=(2, 1), block=kind)
    predictor = compact_unet.CompactUNet(3, **sizes, spectra=True)
    model = CompactModel(predictor, compact_unet.CompactUNet(9, **sizes, levels=True, spectra=True))
    again = compact_unet.build(model.state_dict(), {})
    again.load_state_dict(model.state_dict())
    y = torch.rand(1, 3, 19, 30) * 2 - 1
    for p in (*model.parameters(), *again.parameters()):
        torch.nn.init.constant_(p, 0.01)
    with torch.no_grad():
        assert torch.equal(model.predict(y), again.predict(y)) and not torch.equal(model.predict(y), y)


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_begins_near_the_identity_and_can_be_bent(kind: str):
    torch.manual_seed(0)
    block, x = BLOCKS[kind](32, 5), torch.randn(2, 32, 8, 6)
    assert (block(x, torch.ones(2, 5)) - x).std() < 0.5
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.3)
    one, other = (block(x, torch.full((2, 5), v)) for v in (0.0, 1.0))
    assert one.shape == x.shape and (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("kind, local", [("plain", True), ("simple", True), ("transformer", False)])
def test_only_the_transformer_sees_beyond_its_neighbourhood(kind: str, local: bool):
    torch.manual_seed(0)
    block, x = BLOCKS[kind](32, 0), torch.randn(1, 32, 24, 24)
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.3)
    with torch.no_grad():
        same = torch.allclose(block(x)[..., :8, :8], block(x[..., :16, :16])[..., :8, :8], atol=1e-3)
    assert same is local


def test_channel_attention_is_eq_3_of_the_paper():
    """v weighed by softmax(tau q k^T) over channels, with q and k of unit length over the pixels."""
    torch.manual_seed(0)
    block, h = BLOCKS["transformer"](8, 0), torch.randn(1, 8, 5, 4)
    torch.nn.init.constant_(block.temperature, 1.7)
    q, k, v = (part.reshape(8, 20) for part in block.qkv_spatial(block.qkv(h))[0].chunk(3))
    q, k = q / q.norm(dim=1, keepdim=True), k / k.norm(dim=1, keepdim=True)
    weight = torch.exp(1.7 * q @ k.T)
    expected = (weight / weight.sum(1, keepdim=True) @ v).reshape(1, 8, 5, 4)
    assert torch.allclose(block._attention(h), expected, atol=1e-5)


@pytest.mark.parametrize("unshuffle", [2, 4])
def test_a_new_network_is_far_from_linear(unshuffle: int):
    """Features of a picture have a deviation near 1 all the way, where SiLU bends; the first answer is still y."""
    torch.manual_seed(0)
    predictor = compact_unet.new(unshuffle).predictor
    y = torch.rand(2, 3, 64, 64) * 2 - 1
    seen = []
    for layer in (predictor.head, predictor.down[0][0].enter, predictor.down[0][-1].leave):
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.std().item()))
    assert torch.equal(predictor(y, None, torch.zeros(2, 0)), torch.zeros_like(y))
    assert 0.5 < seen[0] < 2 and 0.5 < seen[1] < 3 and seen[2] > 0.1
