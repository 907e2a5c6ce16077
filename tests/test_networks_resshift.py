"""ResShift's networks: built from shapes alone, any size, any precision; attention and snapping by brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from restore_core.networks import ARCHITECTURES, vq_autoencoder
from restore_core.networks.swin import (
    APART,
    SwinLayer,
    SwinSizes,
    WindowAttention,
    join_windows,
    shift_mask,
    split_windows,
)
from restore_core.networks.swin_unet import SwinUNet
from restore_core.networks.vq_autoencoder import Attention, Codebook, Decoder, Encoder, VQAutoencoder

SIZES = SwinSizes(width=32, heads=2, window=4, hidden=48, depth=2, side=16)
SMALL = replace(SIZES, side=4)  # one window held it: never shifted
LATENT = 4


def _unet(channels: int = LATENT + 3, **more: object) -> SwinUNet:
    """Two levels on latents of four channels, the picture at the latent's size; multiples of 8."""
    sizes = {"widths": [32, 64], "depths": [2, 1], "swin": [SIZES, SMALL], "middle": SMALL} | more
    return SwinUNet(channels, LATENT, 32, **sizes)


def _vq(*, depths: list[int], attend: list[bool]) -> VQAutoencoder:
    widths = [32, 32, 64][: len(depths)]
    encoder = Encoder(3, 5, 32, widths, depths, attend)
    return VQAutoencoder(encoder, Decoder(5, 3, widths, [d + 1 for d in depths], attend), codes=16, width=4)


UNETS: dict[str, Callable[[], nn.Module]] = {
    "picture-as-latent": _unet,
    "picture-x2-and-mask": lambda: _unet(LATENT + 10, lq_stages=[(4, 5, 10)]),
    "picture-x4": lambda: _unet(LATENT + 12, lq_stages=[(3, 4, 8), (8, 6, 12)]),
    "no-attention-at-the-top": lambda: _unet(
        widths=[32, 32], depths=[1, 3], swin=[None, SIZES], middle=SIZES
    ),
    "three-levels": lambda: _unet(
        widths=[32, 32, 64], depths=[1, 1, 1], swin=[replace(SIZES, depth=3), None, SMALL], middle=SMALL
    ),
}
SCALES = {"picture-x2-and-mask": 2, "picture-x4": 4}
AUTOENCODERS: dict[str, Callable[[], nn.Module]] = {
    "vq-f4": lambda: _vq(depths=[1, 2, 1], attend=[False, False, False]),
    "vq-f2-attention": lambda: _vq(depths=[2, 1], attend=[False, True]),
}


def _filled(network: nn.Module) -> nn.Module:
    """Weights N(0, 1/fan_in), the norms' gains about one."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in network.named_parameters():
            nn.init.normal_(p, 0.0, p[0].numel() ** -0.5 if p.ndim > 1 else 0.1, generator=random)
            if p.ndim == 1 and name.endswith("weight"):
                p.add_(1)
    return network.eval()


def _network(key: str) -> nn.Module:
    return _filled((UNETS | AUTOENCODERS)[key]())


def _inputs(key: str, n: int, height: int, width: int) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    if key in AUTOENCODERS:
        return (2 * torch.rand(n, 3, height, width, generator=random) - 1,)
    r = SCALES.get(key, 1)
    x = torch.randn(n, LATENT, height, width, generator=random)
    lq = 2 * torch.rand(n, 3, r * height, r * width, generator=random) - 1
    mask = (torch.rand(n, 1, r * height, r * width, generator=random) > 0.5) * 2.0 - 1
    return (x, torch.arange(n) * 3, lq, mask) if key.endswith("mask") else (x, torch.arange(n) * 3, lq)


@pytest.mark.parametrize("key", [*UNETS, *AUTOENCODERS])
def test_shapes_alone_rebuild_the_module(key: str):
    network, inputs = _network(key), _inputs(key, 2, 12, 20)
    state = network.state_dict()
    (found,) = [a for a in ARCHITECTURES if a.matches(frozenset(state))]
    again = found.build({name: torch.empty_like(value, device="meta") for name, value in state.items()}, {})
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in state.items()}
    again.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(*inputs), network(*inputs))


def test_a_file_without_buffers_is_read_by_the_nominal_size():
    network, inputs = _network("three-levels"), _inputs("three-levels", 1, 16, 16)
    derived = ("attn_mask", "relative_position_index")
    state = {k: v for k, v in network.state_dict().items() if not k.endswith(derived)}
    (found,) = [a for a in ARCHITECTURES if a.matches(frozenset(state))]
    again = found.build(state, {"image_size": 16})
    again.load_state_dict(state)
    assert again.state_dict().keys() == network.state_dict().keys()
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(*inputs), network(*inputs))
    published = found.build(state, {})  # 64: the lowest level is 16 then, and shifted
    assert published.middle_block[1].blocks[1].shift == 2 and again.middle_block[1].blocks[1].shift == 0


def test_what_a_file_says_of_derived_buffers_is_ignored():
    network = _unet()
    state = network.state_dict()
    masks = [key for key in state if key.endswith("attn_mask")]
    assert masks == ["input_blocks.1.1.blocks.1.attn_mask", "output_blocks.2.1.blocks.1.attn_mask"]
    network.load_state_dict(state | {key: state[key] * 0.999 for key in masks})
    assert all(network.state_dict()[key].unique().tolist() == [APART, 0.0] for key in masks)


@pytest.mark.parametrize("size", [(1, 2), (7, 5), (18, 33)])
@pytest.mark.parametrize("key", [*UNETS, *AUTOENCODERS])
def test_any_size_is_kept(key: str, size: tuple[int, int]):
    x, *rest = _inputs(key, 2, *size)
    with torch.no_grad():
        out = _network(key)(x, *rest)
    assert out.shape == x.shape and out.isfinite().all()


@pytest.mark.parametrize(("key", "multiple"), [("picture-x2-and-mask", 8), ("three-levels", 16)])
def test_latent_and_picture_are_padded_alike(key: str, multiple: int):
    network, (x, t, *rest) = _network(key), _inputs(key, 1, multiple, 3 * multiple)
    assert network.multiple == multiple
    r, cut = SCALES.get(key, 1), multiple - 3
    whole = [x[..., :cut, :], *(p[..., : r * cut, :] for p in rest)]
    padded = [
        nn.functional.pad(p, (0, 0, 0, s * 3), mode="reflect") for p, s in zip(whole, [1, r, r], strict=False)
    ]
    with torch.no_grad():
        expected = network(padded[0], t, *padded[1:])[..., :cut, :]
        torch.testing.assert_close(network(whole[0], t, *whole[1:]), expected)


@pytest.mark.parametrize("key", UNETS)
def test_each_image_of_a_batch_has_its_own_time(key: str):
    network, inputs = _network(key), _inputs(key, 2, 9, 16)
    with torch.no_grad():
        together = network(*inputs)
        apart = torch.cat([network(*(v[i : i + 1] for v in inputs)) for i in range(2)])
        torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)
        x, t, *rest = inputs
        one_time = network(x, t[0].double(), *rest)  # as a process holds it
    torch.testing.assert_close(one_time[0], together[0], rtol=1e-4, atol=1e-5)
    assert (one_time[1] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("key", [*UNETS, *AUTOENCODERS])
def test_memory_format_and_autocast_leave_the_function(key: str):
    network, (x, *rest) = _network(key), _inputs(key, 1, 16, 24)

    def run(x: Tensor) -> Tensor:
        if key in UNETS:
            return network(x, *rest)
        decoded = network.decode(torch.linspace(-2, 2, 4 * 6 * 7).reshape(1, 4, 6, 7), quantize=False)
        return torch.cat([network.encode(x).flatten(), decoded.flatten()])

    with torch.no_grad():
        plain = run(x)
        with torch.autocast("cpu", torch.bfloat16):
            low = run(x)
        network.to(memory_format=torch.channels_last)
        last = run(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)
    assert (low.float() - plain).square().mean() < 0.03**2 * plain.square().mean()


def test_windows_are_split_row_by_row_and_joined_again():
    x = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    windows = split_windows(x, 2)
    assert windows.shape == (12, 4, 3)
    assert torch.equal(windows[4], x[0, :, 2:4, 2:4].flatten(1).T)
    assert torch.equal(join_windows(windows, 2, 4, 6), x)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_formula(masked: bool):
    random, side, heads = torch.Generator().manual_seed(0), 3, 2
    attention = _filled(WindowAttention(8, side, heads))
    x = torch.randn(2 * 5, side**2, 8, generator=random)  # two pictures of five windows
    mask = torch.randn(5, side**2, side**2, generator=random) if masked else None
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    out = torch.zeros_like(x)
    for window in range(10):
        for head in range(heads):
            part = slice(4 * head, 4 * head + 4)
            logits = q[window, :, part] @ k[window, :, part].T / 4**0.5
            for i in range(side**2):
                for j in range(side**2):
                    dy, dx = i // side - j // side, i % side - j % side
                    row = (dy + side - 1) * (2 * side - 1) + dx + side - 1
                    logits[i, j] += attention.relative_position_bias_table[row, head]
            logits = logits + mask[window % 5] if masked else logits
            out[window, :, part] = logits.softmax(dim=-1) @ v[window, :, part]
    torch.testing.assert_close(attention(x, mask), attention.proj(out))


@pytest.mark.parametrize(
    ("attention", "shape"), [(Attention(64), (1, 64, 12, 12)), (SwinLayer(32, SIZES), (2, 32, 8, 16))]
)
def test_attention_never_stores_all_pairs(attention: nn.Module, shape: tuple[int, ...]):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for memory_format in (torch.contiguous_format, torch.channels_last):
            expected = attention(x)
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where the fused kernel declines
                torch.testing.assert_close(attention(x.contiguous(memory_format=memory_format)), expected)


def test_the_mask_parts_columns_in_the_bottom_windows_alone():
    height, width, window, shift = 8, 12, 4, 1
    mask = shift_mask(height, width, window, shift).reshape(2, 3, 4, 4, 4, 4)  # window; token i; token j
    assert (mask[0] == 0).all()
    for a in range(4):
        for b in range(4):
            parted = (a < window - shift) != (b < window - shift)
            assert (mask[1, :, :, a, :, b] == (APART if parted else 0)).all()


@pytest.mark.parametrize(("sizes", "alone"), [(SIZES, False), (SMALL, True)])
def test_shifted_blocks_let_windows_meet_unless_the_nominal_picture_is_one_window(
    sizes: SwinSizes, alone: bool
):
    layer = _filled(SwinLayer(32, sizes))
    for block in layer.blocks:  # group norms see the whole picture
        block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    x = torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[..., :4, :4] += 1
    with torch.no_grad():
        difference = (layer(changed) - layer(x)).abs().amax(dim=(0, 1))
    assert difference[:4, :4].min() > 1e-3
    assert (difference[:4, 4:].max() < 1e-6) == alone


def test_the_swin_layer_replaces_its_input():
    layer = _filled(SwinLayer(32, SIZES))
    nn.init.zeros_(layer.patch_unembed.proj.weight)
    with torch.no_grad():
        out = layer(torch.randn(1, 32, 4, 8, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(out, layer.patch_unembed.proj.bias[None, :, None, None].expand_as(out))


def test_the_nearest_code_is_found_in_every_precision_and_piece(monkeypatch: pytest.MonkeyPatch):
    random = torch.Generator().manual_seed(0)
    codebook = Codebook(40, 3)
    z = torch.randn(2, 3, 9, 7, generator=random)
    pixels = z.permute(0, 2, 3, 1)[..., None, :]
    expected = (pixels - codebook.embedding.weight).double().square().sum(dim=-1).argmin(dim=-1)
    monkeypatch.setattr(vq_autoencoder, "ROWS", 10)
    assert torch.equal(codebook.indices(z), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codebook.indices(z), expected)
    torch.testing.assert_close(codebook(z), codebook.embedding.weight[expected].permute(0, 3, 1, 2))


def test_the_gradient_passes_the_snap():
    codebook = Codebook(16, 4)
    z = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    (codebook(z) * weight).sum().backward()
    assert torch.equal(z.grad, weight)


def test_decoding_snaps_unless_told_otherwise():
    network, (x,) = _network("vq-f4"), _inputs("vq-f4", 1, 13, 22)
    with torch.no_grad():
        z = network.encode(x)
        assert z.shape == (1, 4, 4, 6) and network.factor == 4
        snapped = network.quantize(z)
        torch.testing.assert_close(network.decode(z), network.decode(snapped, quantize=False))
        assert (network.decode(z) - network.decode(z, quantize=False)).abs().max() > 1e-3
