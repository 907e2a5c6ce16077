"""SR3's, IR-SDE's and Refusion's networks: built from shapes alone, any size, any batch, any precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from restore_core.networks import ARCHITECTURES
from restore_core.networks.conditional_unet import ConditionalUNet, SoftmaxAttention
from restore_core.networks.latent_unet import LatentUNet
from restore_core.networks.layers import ChannelNorm
from restore_core.networks.nafnet import ConditionalNAFNet
from restore_core.networks.sr3_unet import SCHEDULE, SR3, SelfAttention, SR3UNet

SR3_CONFIG = {"norm_groups": 4}


def _sr3(told: str, **sizes: Any) -> SR3:
    unet = SR3UNet(6, 3, 8, sizes.pop("widths"), told=told, groups=4, **sizes)
    return SR3(unet, {name: 10 for name in SCHEDULE} if told == "level" else None)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "sr3-level": lambda: _sr3("level", widths=[8, 16, 32], blocks=2, attention=[1]),
    "sr3-step": lambda: _sr3("step", widths=[8, 8, 16, 16], blocks=1, attention=[0, 3]),
    "sr3-one-level": lambda: _sr3("level", widths=[12], blocks=3),
    "unet": lambda: ConditionalUNet(3, 3, [8, 16, 32, 64]),
    "unet-uneven": lambda: ConditionalUNet(4, 4, [8, 8, 24], kernel=3),
    "unet-denoising": lambda: ConditionalUNet(1, 1, [8, 16, 32], conditional=False),
    "nafnet": lambda: ConditionalNAFNet(3, 8, [1, 2], 2, [2, 1]),
    "nafnet-dehazing": lambda: ConditionalNAFNet(8, 8, [1, 1, 2], 1, [1, 1, 1], intro_skip=True),
    "nafnet-bokeh": lambda: ConditionalNAFNet(4, 8, [1, 2], 1, [1, 1], lens=True),
    "nafnet-stereo": lambda: ConditionalNAFNet(3, 8, [1, 1], 1, [1, 2], stereo=True),
    "nafnet-denoising": lambda: ConditionalNAFNet(3, 8, [2], 1, [1], conditional=False),
    "latent": lambda: LatentUNet(3, 3, [4, 8, 16], 5),
    "latent-deep": lambda: LatentUNet(1, 1, [2, 8, 4, 6, 16], 3),
}
DENOISERS = [key for key in NETWORKS if not key.startswith("latent")]


def _network(key: str) -> nn.Module:
    """With weights N(0, 1/fan_in), the norms' gains about one: nothing is switched off by zeros."""
    network, random = NETWORKS[key]().eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in network.named_parameters():
            nn.init.normal_(p, 0.0, max(1, p[0].numel()) ** -0.5 if p.ndim > 1 else 0.1, generator=random)
            if name.endswith(".g") or (p.ndim == 1 and name.endswith("weight")):
                p.add_(1)
    return network


def _inputs(key: str, n: int, height: int, width: int) -> tuple[Tensor, ...]:
    """x, times and what else the network takes, for n images."""
    random = torch.Generator().manual_seed(1)
    channels = {"sr3": 6, "unet": 3, "unet-uneven": 4, "unet-denoising": 1, "nafnet-dehazing": 8}
    channels |= {"nafnet-bokeh": 4, "nafnet-stereo": 6}
    shape = (n, channels.get("sr3" if key.startswith("sr3") else key, 3), height, width)
    x, y = torch.rand(shape, generator=random), torch.rand(shape, generator=random)
    if key.startswith("sr3"):
        return x, torch.linspace(0.1, 0.9, n) if "step" not in key else torch.arange(n) * 90
    t = torch.arange(1, n + 1) * 20
    if key.endswith("denoising"):
        return x, t
    return (x, t, y, torch.rand(n, 3, generator=random) * 100) if key.endswith("bokeh") else (x, t, y)


@pytest.mark.parametrize("key", NETWORKS)
def test_shapes_alone_rebuild_the_module(key: str):
    network = _network(key)
    state = network.state_dict()
    (found,) = [a for a in ARCHITECTURES if a.matches(frozenset(state))]
    shapes = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    again = found.build(shapes, SR3_CONFIG if key.startswith("sr3") else {})
    assert list(again.state_dict()) == list(state)
    again.load_state_dict(state)
    x = torch.rand(1, 3 if key == "latent" else 1, 12, 12)
    inputs = (x,) if key.startswith("latent") else _inputs(key, 2, 12, 20)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(*inputs), network(*inputs))


@pytest.mark.parametrize("size", [(1, 2), (7, 5), (18, 33)])
@pytest.mark.parametrize("key", DENOISERS)
def test_any_size_is_kept(key: str, size: tuple[int, int]):
    x, *rest = _inputs(key, 2, *size)
    with torch.no_grad():
        out = _network(key)(x, *rest)
    assert out.shape == (2, 3 if key.startswith("sr3") else x.shape[1], *size)
    assert out.isfinite().all()


@pytest.mark.parametrize("key", DENOISERS)
def test_each_image_of_a_batch_has_its_own_time(key: str):
    network, inputs = _network(key), _inputs(key, 2, 9, 11)
    with torch.no_grad():
        together = network(*inputs)
        apart = torch.cat([network(*(v[i : i + 1] for v in inputs)) for i in range(2)])
        torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)
        x, t, *rest = inputs
        one_time = network(x, t[0].double(), *rest)  # as a process holds it
    torch.testing.assert_close(one_time[0], together[0], rtol=1e-4, atol=1e-5)
    assert (one_time[1] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("key", DENOISERS)
def test_memory_format_and_autocast_leave_the_function(key: str):
    network, (x, *rest) = _network(key), _inputs(key, 1, 16, 24)
    with torch.no_grad():
        plain = network(x, *rest)
        with torch.autocast("cpu", torch.bfloat16):
            low = network(x, *rest)
        network.to(memory_format=torch.channels_last)
        last = network(x.contiguous(memory_format=torch.channels_last), *rest)
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)
    assert (low.float() - plain).square().mean() < 0.03**2 * plain.square().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channel_norm_is_one_function_in_every_precision(dtype: torch.dtype):
    x = 0.03 * torch.randn(1, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    x = x.to(dtype)
    var = x.float().var(dim=1, correction=0)
    normed = ChannelNorm(64)(x)
    torch.testing.assert_close(normed.std(dim=1, correction=0), (var / (var + 1e-5)).sqrt())


def test_the_norm_groups_of_the_published_sr3_networks_are_known():
    for widths, groups in [([32, 64, 128, 256, 256], 32), ([32, 64, 128, 256, 512], 16)]:
        state = SR3(SR3UNet(6, 3, 32, widths, blocks=1)).state_dict()
        (found,) = [a for a in ARCHITECTURES if a.matches(frozenset(state))]
        assert found.build(state, {}).denoise_fn.final_conv.block[0].num_groups == groups


def test_attention_of_sr3_sits_where_the_file_has_it():
    unet = NETWORKS["sr3-step"]().denoise_fn
    where = [k for k, layer in enumerate(unet.downs) if getattr(layer, "attn", None) is not None]
    assert where == [1, 7]  # conv, [stage, shrink] x 3, stage


def _all_pairs(qkv: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(C)) v with every pair of pixels stored: (N, 3 heads C, H, W) -> (N, heads C, H, W)."""
    n, channels, height, width = qkv.shape
    q, k, v = qkv.reshape(n, 3, heads, channels // (3 * heads), height * width).unbind(1)
    pairs = (torch.einsum("nhci,nhcj->nhij", q, k) * q.shape[2] ** -0.5).softmax(dim=-1)
    return torch.einsum("nhij,nhcj->nhci", pairs, v).reshape(n, -1, height, width)


ATTENTION: dict[str, tuple[Callable[[], nn.Module], Callable[[Any, Tensor], Tensor]]] = {  # and its formula
    "irsde": (lambda: SoftmaxAttention(48), lambda m, x: m.to_out(_all_pairs(m.to_qkv(x), 4))),
    "sr3": (lambda: SelfAttention(48, 16), lambda m, x: x + m.out(_all_pairs(m.qkv(m.norm(x)), 1))),
}


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["plain", "last"]
)
@pytest.mark.parametrize("key", ATTENTION)
def test_attention_is_the_formula_and_never_stores_all_pairs(key: str, memory_format: torch.memory_format):
    build, formula = ATTENTION[key]
    attention, random = build(), torch.Generator().manual_seed(0)
    x = torch.randn(2, 48, 5, 12, generator=random)
    with torch.no_grad():
        for p in attention.parameters():
            nn.init.normal_(p, 0.0, 0.3, generator=random)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where the fused kernel declines
            out = attention(x.contiguous(memory_format=memory_format))
        torch.testing.assert_close(out, formula(attention, x), rtol=1e-4, atol=1e-4)


def test_the_trained_schedule_is_read_with_the_network():
    network = NETWORKS["sr3-level"]()
    state = network.state_dict()
    state["betas"] = torch.linspace(1e-6, 1e-2, 10)
    network.load_state_dict(state)
    assert torch.equal(network.betas, state["betas"])


def test_a_latent_is_decoded_to_the_size_that_its_skips_had():
    network = _network("latent")
    a, b = torch.rand(1, 3, 13, 22), torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        latent, skips = network.encode(a)
        network.encode(b)
        assert latent.shape == (1, 5, 8, 12)
        torch.testing.assert_close(network.decode(latent, skips), network(a))
        assert network(a).shape == a.shape
        other = network.decode(torch.zeros_like(latent), skips)
    assert (other - network(a)).abs().max() > 1e-3


def test_stereo_views_meet_only_in_their_attention():
    network, (x, t, y) = _network("nafnet-stereo"), _inputs("nafnet-stereo", 1, 16, 32)
    single = ConditionalNAFNet(3, 8, [1, 1], 1, [1, 2]).eval()
    single.load_state_dict({k: v for k, v in network.state_dict().items() if ".fusion." not in k})
    with torch.no_grad():
        met = network(x, t, y)
        for name, p in network.named_parameters():
            if name.endswith(("fusion.beta", "fusion.gamma")):
                p.zero_()
        apart = network(x, t, y)
        views = [single(x[:, i : i + 3], t, y[:, i : i + 3]) for i in (0, 3)]
    torch.testing.assert_close(apart, torch.cat(views, dim=1))
    assert (met - apart).abs().max() > 1e-3


def test_lenses_change_the_bokeh_and_one_triple_serves_a_batch():
    network, (x, t, y, lens) = _network("nafnet-bokeh"), _inputs("nafnet-bokeh", 2, 8, 8)
    with torch.no_grad():
        own, shared = network(x, t, y, lens), network(x, t, y, lens[:1])
    torch.testing.assert_close(own[0], shared[0])
    assert (own[1] - shared[1]).abs().max() > 1e-3
