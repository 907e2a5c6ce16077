"""Weights files: the catalogue, what is opened and what is refused, which network a file belongs to, the command.

Nothing in a file is executed, nothing is half-loaded, and every refusal is a sentence with a way out.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import os
import pickle
import random
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from restore_core.checkpoints import (
    catalogue,
    checksums,
    conversion,
    files,
    folders,
    match,
    reading,
    recognition,
    rounding,
)
from restore_core.checkpoints.catalogue import CATALOGUE, Bring, Checkpoint, Hub, Shipped, Url
from restore_core.commands import weights as weights_command
from restore_core.errors import CheckpointError, KeysDiffer, NotDownloaded, WrongHash
from restore_core.networks import ARCHITECTURES
from restore_core.networks.compact_unet import new
from restore_core.networks.conditional_unet import ConditionalUNet
from restore_core.networks.latent_unet import LatentUNet
from restore_core.networks.nafnet import ConditionalNAFNet
from restore_core.networks.sr3_unet import SR3, SR3UNet
from restore_core.networks.swin_unet import SwinSizes, SwinUNet
from restore_core.networks.vq_autoencoder import Decoder, Encoder, VQAutoencoder

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder."""
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("STEPBACK_MODELS", raising=False)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def network(seed: int = 0) -> LatentUNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LatentUNet(3, 3, (8, 8, 16), 4)


def saved(path: Path, found: Any, **how: Any) -> Path:
    torch.save(found, path, **how)
    return path


def is_filled(module: torch.nn.Module, state: Mapping[str, Tensor]) -> bool:
    own = module.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[name], state[name]) for name in own)


SHAPES = {"latent_conv.weight": (4, 16, 1, 1)}
RECORD = Checkpoint(
    "test/net", "refusion-latent-unet", Url("https://x.invalid/net.pth"), "MIT", shapes=SHAPES
)


# --- the catalogue ---------------------------------------------------------------------------------------------


def test_every_record_is_complete():
    kinds = {architecture.key for architecture in ARCHITECTURES}
    for key, record in CATALOGUE.items():
        assert record.key == key and re.fullmatch(r"[a-z0-9]+/[a-z0-9-]+", key)
        assert record.architecture in kinds
        assert record.licence and record.terms.endswith(".") and record.source.page
        assert re.fullmatch(r"[0-9a-f]{64}|", record.sha256)
        if record.source.kind != "shipped":
            assert record.size > 1e6 and record.citation and record.note
            assert record.shapes, "nothing marks this file among its kind"


def test_no_two_records_share_a_file_or_an_alias():
    files_and_names = [name for record in CATALOGUE.values() for name in {record.file, *record.source.names}]
    assert len(files_and_names) == len(set(files_and_names))


def test_every_published_file_of_the_specifications_is_there():
    published = {r.source.published for r in CATALOGUE.values() if isinstance(r.source, Bring)}
    published |= {name for record in CATALOGUE.values() for name in record.source.names}
    assert published >= {
        "I640000_E37_gen.pth", "I830000_E32_gen.pth", "I1560000_E91_gen.pth",
        *(f"resshift_{n}.pth" for n in ("realsrx4_s15_v1", "realsrx4_s15_v2", "realsrx4_s4_v3", "bicsrx4_s4")),
        *(f"resshift_{n}_s4.pth" for n in ("inpainting_imagenet", "inpainting_face", "inpaint_face", "faceir")),
        *(f"resshift_{n}.pth" for n in ("realsrx4_s15", "bicsrx4_matlab_s15", "bicsrx4_opencv_s15", "sr_s15_k2_p03")),
        "autoencoder_vq_f4.pth", "celeba256_vq_f4_dim3_face.pth", "ffhq512_vq_f8_dim8_face.pth",
        "SinSR_v1.pth", "SinSR_v2.pth", "rain100h_sde.pth", "sde_rain100h.pth", "ir-sde.pth", "ir-sde-denoising.pth",
        "refusion.pth", "latent-reffusion-dehazing.pth", "latent-dehazing.pth", "latent-reffusion-bokeh.pth",
        "latent-bokeh.pth", "reffusion-ssr.pth",
    }  # fmt: skip


FULL = [
    ("sr3_full_sr_sr3_16_128", {"sr3/faces-16-128"}),
    ("sr3_full_sr_sr3_64_512", {"sr3/faces-64-512"}),
    ("sr3_full_sample_sr3_128", {"sr3/faces-128"}),
    ("resshift_unet_full_realsr", {"resshift/realsr-x4-v3", "resshift/realsr-x4-v1", "sinsr/realsr-x4-v2"}),
    ("resshift_unet_full_inpaint_keys", {"resshift/inpaint-imagenet", "resshift/inpaint-face"}),
    ("resshift_unet_full_faceir", {"resshift/faceir"}),
    ("resshift_unet_full_x2_keys", set()),
    ("resshift_vq_full_f4", {"resshift/vq-f4", "resshift/vq-f4-face"}),
    ("resshift_vq_full_f8_keys", {"resshift/vq-f8-face"}),
    ("irsde_cunet_nf64_d4_full", {"irsde/derain-h", "irsde/deblur-gopro", "irsde/sr-x4"}),
    ("irsde_cunet_nf32_d5_full", {"irsde/shadow"}),
    ("irsde_denoising_unet_full", {"irsde/denoise"}),
    ("irsde_cnafnet_w64_full", {"refusion/shadow", "refusion/derain"}),
    ("irsde_cnafnet_dehazing_full", {"refusion/dehaze"}),
    ("irsde_cnafnet_stereo_full", {"refusion/stereo-x4"}),
    ("irsde_latent_unet_haze_full", {"refusion/dehaze-latent"}),
]


def shapes_of(fixture: str) -> dict[str, Tensor]:
    """A published file's names and shapes, without memory."""
    tensors = json.loads((GOLDEN / f"{fixture}.json").read_text())["tensors"]
    return {name: torch.empty(shape, device="meta") for name, shape, _ in tensors}


@pytest.mark.parametrize(("fixture", "keys"), FULL, ids=[name for name, _ in FULL])
def test_published_files_are_told_by_their_shapes_without_memory(fixture: str, keys: set[str]):
    """Names and shapes of the published files fit; their sizes are the records'; no parameter is allocated."""
    state = shapes_of(fixture)
    found = match.candidates(state)
    assert {record.key for record in found} >= keys and bool(found) == bool(keys)
    module = match.blank(state, found[0].config if found else {})
    match.compare(module.state_dict(), state)
    assert sum(p.numel() for p in module.parameters() if not p.is_meta) < 1e-2 * sum(
        p.numel() for p in module.parameters()
    )
    assert not any(buffer.is_meta for buffer in module.buffers()), (
        "a value that the network computes was lost"
    )
    stored = 4 * sum(math.prod(t.shape) for t in state.values())
    for record in found:
        if record.key in keys:
            assert abs(record.size - stored) < 8e5


def test_an_unknown_key_is_answered_with_near_ones():
    with pytest.raises(CheckpointError, match=r"resshift/vq-f4.*weights list"):
        catalogue.record("resshift/vqf4")
    with pytest.raises(CheckpointError, match="there are"):
        catalogue.record("../../etc/passwd")


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("a/b", Bring("../b.pth", "https://x.invalid")),
        ("a/b", Bring("b.pth", "https://x.invalid", aliases=("/etc/b.pth",))),
        ("a/b", Shipped("../b.safetensors")),
        ("a/b", Hub("owner/model", "x/../../b.pth")),
        ("../b", Url("https://x.invalid/b.pth")),
        ("a/b", Url("https://x.invalid/..")),
        ("a/b", Bring("c\\b.pth", "https://x.invalid")),
    ],
)
def test_no_name_leads_out_of_the_weights_folder(key: str, source: Any):
    with pytest.raises(ValueError, match="could lead out"):
        Checkpoint(key, "compact", source, "MIT")


# --- loading ---------------------------------------------------------------------------------------------------


def _swin() -> SwinUNet:
    sizes, middle = (SwinSizes(width=32, heads=1, window=4, hidden=64, depth=2, side=side) for side in (8, 4))
    return SwinUNet(6, 3, 32, (32, 32), (1, 1), (sizes, None), middle, [])


KINDS = {
    "compact": lambda: new(4),
    "sr3-unet": lambda: SR3(SR3UNet(6, 3, 8, (8, 16), blocks=1, groups=4), {"betas": 20}),
    "irsde-unet": lambda: ConditionalUNet(3, 3, (8, 16, 32), conditional=True),
    "refusion-nafnet": lambda: ConditionalNAFNet(3, 8, (1, 1), 1, (1, 1)),
    "refusion-latent-unet": network,
    "swin-unet": _swin,
    "vq-autoencoder": lambda: VQAutoencoder(
        Encoder(3, 3, 32, [32, 32], [1, 1], [False, False]),
        Decoder(3, 3, [32, 32], [1, 1], [False, False]),
        16,
        3,
    ),
}


def test_every_architecture_is_among_the_kinds_below():
    families = ("compact", "sr3", "resshift", "sinsr", "irsde", "refusion")
    assert KINDS.keys() >= {r.architecture for r in CATALOGUE.values() if r.family in families}
    assert KINDS.keys() <= {a.key for a in ARCHITECTURES}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".old.pth"])
def test_each_kind_of_network_comes_back_as_it_was(kind: str, suffix: str, tmp_path: Path):
    made = KINDS[kind]()
    state, path = made.state_dict(), tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        saved(path, state, _use_new_zipfile_serialization=suffix == ".pth")
    found = match.build(reading.open_state(path), {"norm_groups": 4})
    assert type(found) is type(made) and is_filled(found, state)
    assert not found.training and not any(p.requires_grad or p.is_meta for p in found.parameters())
    ours, theirs = dict(made.named_buffers()), dict(found.named_buffers())
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "a buffer that no file holds"


def test_a_loaded_network_shares_nothing_with_its_file(tmp_path: Path):
    for path in (saved(tmp_path / "net.pth", network().state_dict()), tmp_path / "net.safetensors"):
        if path.suffix == ".safetensors":
            save_file(network().state_dict(), path)
        module = match.build(reading.open_state(path), {})
        with path.open("r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
        assert is_filled(module, network().state_dict())


def test_half_precision_becomes_float32_and_integers_stay(tmp_path: Path):
    state = {name: tensor.half() for name, tensor in network().state_dict().items()}
    module = match.build(reading.open_state(saved(tmp_path / "net.pth", state)), {})
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert is_filled(module, {name: tensor.float() for name, tensor in state.items()})


def test_derived_buffers_are_the_networks_own():
    """ResShift's files list masks that went through an average of weights; files without them load too."""
    made = _swin()
    state = made.state_dict()
    masks = [name for name in state if name.endswith("attn_mask")]
    assert masks
    bent = state | {name: state[name] + 0.01 for name in masks}
    assert is_filled(match.build(bent, {}), state)
    bare = {name: tensor for name, tensor in state.items() if not name.endswith(match.DERIVED)}
    assert match.build(bare, {"image_size": 8}).state_dict().keys() == state.keys()


def test_building_in_one_thread_leaves_others_alone():
    """Parameters without memory are a matter of the thread that loads."""
    state, stop, metas = network().state_dict(), threading.Event(), []
    loader = threading.Thread(
        target=lambda: [match.build(state, {}) for _ in iter(lambda: stop.is_set(), True)]
    )
    loader.start()
    metas = [torch.nn.Linear(2, 2).weight.is_meta for _ in range(300)]
    stop.set()
    loader.join()
    assert not any(metas)


def nested(state: Mapping[str, Tensor]) -> dict[str, Any]:
    junk = {name: torch.zeros(1) for name in state}
    return {
        "bare": state,
        "ordered": OrderedDict(state),
        "params_ema before params": {"params": junk, "params_ema": state},
        "params": {"params": state},
        "state_dict with counters": {"iters_start": 3, "log_step": {"train": 5}, "state_dict": state},
        "state_dict beside a tensor": {"step": torch.tensor(3), "state_dict": state},
        "two deep": {"model": {"state_dict": state}},
        "one unknown wrapper": {"anything": state, "epoch": 4},
        "training state beside weights": {
            "net": state,
            "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}},
        },
        "module.": {f"module.{name}": tensor for name, tensor in state.items()},
        "module._orig_mod.": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
        "_orig_mod.module.": {"state_dict": {f"_orig_mod.module.{name}": t for name, t in state.items()}},
    }


@pytest.mark.parametrize("how", list(nested({})))
def test_wrappers_are_peeled(how: str, tmp_path: Path):
    state = network().state_dict()
    path = saved(tmp_path / "net.pth", nested(state)[how])
    assert is_filled(match.build(reading.open_state(path), {}), state)


def test_the_record_says_where_to_look_in_a_file_of_several(tmp_path: Path):
    state = network().state_dict()
    path = saved(tmp_path / "net.pth", {"first": network(1).state_dict(), "second": state})
    with pytest.raises(CheckpointError, match=r"several networks \(first, second\)"):
        reading.open_state(path)
    assert is_filled(match.build(reading.open_state(path, ("second",)), {}), state)


def test_a_file_is_found_where_people_put_it(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the family's folder, at the top, in a further folder, under an alias; safetensors before a pickle."""
    record = Checkpoint(
        "test/net", "compact", Bring("ours.pth", "https://x.invalid", aliases=("theirs.pth",)), "MIT"
    )
    with pytest.raises(NotDownloaded):
        files.locate(record)
    shelf = tmp_path / "shelf"
    monkeypatch.setenv("STEPBACK_MODELS", os.pathsep.join(map(str, (tmp_path / "none", shelf))))
    places = [shelf / "test/theirs.pth", shelf / "theirs.pth", shelf / "ours.pth", weights / "theirs.pth",
              weights / "ours.pth", weights / "test/ours.pth", weights / "test/ours.safetensors"]  # fmt: skip
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
        assert files.locate(record) == place


PEAK = """
import re, sys
from pathlib import Path
from restore_core.checkpoints import match, reading

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

match.build(reading.open_state(Path(sys.argv[1])), {})
before = peak()
match.build(reading.open_state(Path(sys.argv[2])), {})
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_loading_takes_the_module_and_at_most_the_file_beside_it(suffix: str, tmp_path: Path):
    """The file's share is mapped: the system takes it back at need."""
    save = save_file if suffix == ".safetensors" else torch.save
    small, large = tmp_path / f"small{suffix}", tmp_path / f"large{suffix}"
    save(network().state_dict(), small)
    save(LatentUNet(3, 3, (64, 512, 512, 512), 4).state_dict(), large)
    root = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", PEAK, small, large], cwd=root, capture_output=True, text=True, check=True
    )
    assert 1.0 < int(run.stdout) / large.stat().st_size < 2.2


# --- refusals of foreign, damaged and hostile files ------------------------------------------------------------


class Bomb:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_wants_to_run_code_is_refused_by_name(tmp_path: Path, zipped: bool, protocol: int):
    mark = tmp_path / "was-run"
    found = {**network().state_dict(), "more": Bomb(mark)}
    path = saved(tmp_path / "net.pth", found, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match=r"wants to run code.*asks for (posix|nt)\.system.*safetensors"):
        reading.open_state(path)
    with pytest.raises(CheckpointError, match="wants to run code"):
        conversion.convert(path)
    assert not mark.exists() and not path.with_suffix(".safetensors").exists()


def test_a_pickle_of_a_newer_kind_is_told_as_such(tmp_path: Path):
    path = saved(tmp_path / "net.pth", network().state_dict(), pickle_protocol=4)
    with pytest.raises(CheckpointError, match=r"newer kind of pickle.*safetensors"):
        reading.open_state(path)


def test_a_plain_pickle_is_refused(tmp_path: Path):
    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps({"a": Bomb(tmp_path / "was-run")}))
    with pytest.raises(CheckpointError, match=r"not a whole weights file|wants to run code"):
        reading.open_state(path)
    assert not (tmp_path / "was-run").exists()


def _zip(path: Path, parts: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def _foreign(path: Path, what: str) -> None:
    state = network().state_dict()
    good = io.BytesIO()
    torch.save(state, good)
    with zipfile.ZipFile(good) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    make = {
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("weights\n" * 100),
        "html": lambda: path.write_text("<!DOCTYPE html><title>Google Drive - Virus scan warning</title>"),
        "lfs": lambda: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        "png": lambda: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 600),
        "gzip": lambda: path.write_bytes(gzip.compress(good.getvalue())),
        "bomb": lambda: _zip(path, {"net/data.pkl": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED),
        "packed": lambda: _zip(path, {"weights/net.pth": good.getvalue()}),
        "pictures": lambda: _zip(path, {"a.txt": b"a"}),
        "dots": lambda: _zip(path, {**parts, "../../evil": b"x"}),
        "script": lambda: _zip(path, {**parts, "net/code/x.py": b"", "net/constants.pkl": b""}),
        "cut": lambda: path.write_bytes(good.getvalue()[: len(good.getvalue()) // 2]),
        "cut-header": lambda: path.write_bytes(good.getvalue()[:40]),
        "huge-header": lambda: path.write_bytes((10**9).to_bytes(8, "little") + b'{"a"' + b" " * 600),
        "list": lambda: torch.save([torch.zeros(2)], path),
        "number": lambda: torch.save(3, path),
        "nothing": lambda: torch.save({}, path),
        "training": lambda: torch.save(
            {"epoch": 1, "optimizer": {"state": {0: {"m": torch.zeros(2)}}}}, path
        ),
        "expanded": lambda: torch.save({"init_conv.weight": torch.zeros(1).expand(10**12)}, path),
        "sparse": lambda: torch.save({"a": torch.eye(3).to_sparse()}, path),
        "complex": lambda: torch.save({"a": torch.zeros(2, dtype=torch.complex64)}, path),
        "twice": lambda: torch.save({"a": torch.zeros(2), "module.a": torch.zeros(2)}, path),
        "numbered": lambda: torch.save({0: torch.zeros(2)}, path),
    }
    make[what]()


REFUSED = {
    "empty": "is empty",
    "text": "neither a safetensors nor a PyTorch file",
    "html": "web page",
    "lfs": "git lfs pull",
    "png": "a picture",
    "gzip": "packed archive",
    "bomb": "compressed archive",
    "packed": "zip archive around weights/net.pth",
    "pictures": "PyTorch did not write",
    "dots": "leads out",
    "script": "TorchScript",
    "cut": "not a whole weights file",
    "cut-header": "not a whole weights file",
    "huge-header": "neither a safetensors nor a PyTorch file",
    "list": "holds a list",
    "number": "holds a int",
    "nothing": "without content",
    "training": "state of a training",
    "expanded": "claims 1,000,000,000,000 numbers",
    "sparse": "sparse",
    "complex": "complex",
    "twice": "'a' twice",
    "numbered": "no tensors under their names",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_weights_file_is_told_with_a_way_out(what: str, tmp_path: Path):
    path = tmp_path / "file.pth"
    _foreign(path, what)
    with pytest.raises(CheckpointError, match=re.escape(REFUSED[what])) as error:
        reading.open_state(path)
    assert (
        path.name in str(error.value) and str(error.value).count(". ") >= 1 and "\n" not in str(error.value)
    )


def test_a_tar_a_folder_and_nothing(tmp_path: Path):
    with tarfile.open(tmp_path / "net.tar", "w") as archive:
        archive.add(saved(tmp_path / "net.pth", network().state_dict()), "net.pth")
    for path, sentence in (
        (tmp_path / "net.tar", "tar archive"),
        (tmp_path, "a folder"),
        (tmp_path / "no", "no file"),
    ):
        with pytest.raises(CheckpointError, match=sentence):
            reading.open_state(path)


def test_a_damaged_part_is_found(tmp_path: Path):
    """One byte of the numbers: only the archive's own check sum knows."""
    path = saved(tmp_path / "net.pth", network().state_dict())
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda info: info.file_size)
    data[part.header_offset + 200 + part.file_size // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"damaged: 1 of its \d+ parts"):
        reading.open_state(path)


@pytest.mark.parametrize("seed", range(30))
def test_files_damaged_anywhere_are_opened_or_refused(seed: int, tmp_path: Path):
    """Whatever the bytes, the answer is tensors or a sentence: no other error, nothing executed."""
    chance = random.Random(seed)
    path = tmp_path / "net.bin"
    kind = seed % 3
    if kind == 0:
        save_file(network().state_dict(), path)
    else:
        saved(path, network().state_dict(), _use_new_zipfile_serialization=kind == 1)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 5, 50))):
        where = chance.randrange(chance.choice((64, 2000, len(data))))
        data[where] = chance.randrange(256)
    path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
    try:
        match.build(reading.open_state(path), {})
    except CheckpointError as error:
        assert "\n" not in str(error)


# --- refusals of other networks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "whose"),
    [
        (("unet.down.lora_down.weight", "unet.down.lora_up.weight"), "a LoRA"),
        (("conv_first.weight", "body.0.rdb1.conv1.weight"), "Real-ESRGAN"),
        (("conv0.weight", "conv1.weight_orig"), "discriminator"),
        (("model.diffusion_model.input_blocks.0.0.weight",), "Stable Diffusion"),
        (("a", "b", "c", "d"), "first: a, b, c, ..."),
    ],
)
def test_other_peoples_networks_are_called_by_their_name(names: tuple[str, ...], whose: str, tmp_path: Path):
    path = saved(tmp_path / "net.pth", {name: torch.zeros(2) for name in names})
    with pytest.raises(KeysDiffer, match=whose) as error:
        match.build(reading.open_state(path), {})
    assert "Known: compact" in str(error.value)


def test_missing_unexpected_and_misshapen_keys_are_named_in_one_sentence():
    state = network().state_dict()
    del state["final_conv.bias"]
    state |= {f"extra.{i}": torch.zeros(1) for i in range(5)}
    state["final_conv.weight"] = torch.zeros(3, 8, 5, 5)
    with pytest.raises(KeysDiffer) as error:
        match.build(state, {})
    for part in (
        "1 missing: final_conv.bias",
        "5 unexpected: extra.0, extra.1, extra.2, ...",
        "1 misshapen: final_conv.weight (3, 8, 5, 5) instead of (3, 8, 3, 3)",
        "Choose the file made for it.",
    ):
        assert part in str(error.value)


def test_a_network_cut_short_is_told():
    state = {
        name: tensor for name, tensor in network().state_dict().items() if not name.startswith("final_conv")
    }
    with pytest.raises(
        KeysDiffer, match=r"marks of refusion-latent-unet, but 'final_conv.weight' is missing"
    ):
        match.build(state, {})


def test_a_filled_network_is_never_half_filled():
    module, before = network(1), {name: t.clone() for name, t in network(1).state_dict().items()}
    broken = network().state_dict()
    broken["final_conv.bias"] = torch.full((3,), math.nan)
    for state in (broken, {**network().state_dict(), "extra": torch.zeros(1)}):
        with pytest.raises(CheckpointError):
            match.fill(module, state)
        assert is_filled(module, before)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_no_numbers_are_refused(value: float, dtype: torch.dtype):
    state = {name: tensor.to(dtype) for name, tensor in network().state_dict().items()}
    state["init_conv.weight"].view(-1)[7] = value
    with pytest.raises(CheckpointError, match=r"1 of \d+ parameters hold NaN or infinite.*init_conv"):
        match.build(state, {})


def test_large_finite_weights_are_not_taken_for_infinite():
    state = network().state_dict()
    state["init_conv.weight"] = torch.full_like(state["init_conv.weight"], 3e38)
    match.check_numbers(state)


def put(record: Checkpoint, state: Mapping[str, Tensor]) -> Path:
    path = files.path_of(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    return saved(path, dict(state))


def test_a_file_for_another_architecture_or_size_is_refused():
    put(RECORD, new(4).state_dict())
    with pytest.raises(
        KeysDiffer, match=r"net.pth: test/net is a network of the kind refusion.* compact.*compact/sr4"
    ):
        files.load(RECORD)
    put(RECORD, LatentUNet(3, 3, (8, 8, 16), 8).state_dict())
    with pytest.raises(KeysDiffer, match=r"latent_conv.weight \(8, 16, 1, 1\) instead of \(4, 16, 1, 1\)"):
        files.load(RECORD)
    put(RECORD, network().state_dict())
    assert is_filled(files.load(RECORD), network().state_dict())


def test_super_resolution_for_another_scale_is_refused():
    """The configuration for x2 has other first parameters than the files for x4."""
    with pytest.raises(
        KeysDiffer, match=r"input_blocks.0.0.weight \(160, 35, 3, 3\) instead of \(160, 6, 3, 3\)"
    ):
        match.expect(catalogue.record("resshift/realsr-x4-v3"), shapes_of("resshift_unet_full_x2_keys"))


# --- checksums, adding, removing, converting -------------------------------------------------------------------


def summed(record: Checkpoint, path: Path) -> Checkpoint:
    digest = checksums.sha256(path, folders.memory())
    return Checkpoint(**{**vars(record), "sha256": digest, "size": path.stat().st_size})


def test_the_checksum_is_compared_when_a_network_is_loaded():
    path = put(RECORD, network().state_dict())
    record = summed(RECORD, path)
    assert files.verify(record, path) and not files.verify(RECORD, path)
    files.load(record)
    same_size = path.read_bytes()[:-1] + b"\1"
    path.write_bytes(same_size)
    with pytest.raises(WrongHash, match=r"SHA-256 begins .* instead of .*weights remove test/net"):
        files.load(record)
    path.write_bytes(same_size[:-1])
    with pytest.raises(WrongHash, match="bytes instead of"):
        files.load(record)


def test_a_checksum_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_bytes(b"one")
    first = checksums.sha256(path, memory)
    with monkeypatch.context() as patched:
        patched.setattr(checksums.hashlib, "sha256", None)
        assert checksums.sha256(path, memory) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert checksums.sha256(path, memory) != first
    memory.write_text("no JSON")
    assert checksums.sha256(path, memory) == checksums.sha256(path, tmp_path / "none" / "memory.json")


def test_a_file_is_added_only_if_it_fits(tmp_path: Path, weights: Path):
    good, other = (
        saved(tmp_path / "my.pth", network().state_dict()),
        saved(tmp_path / "x.pth", new(4).state_dict()),
    )
    with pytest.raises(KeysDiffer, match=r"x\.pth"):
        files.add(RECORD, other)
    with pytest.raises(WrongHash):
        files.add(Checkpoint(**{**vars(RECORD), "sha256": "0" * 64}), good)
    assert [p for p in weights.rglob("*") if p.is_file() and p.name != ".checksums.json"] == []
    assert files.add(RECORD, good) == weights / "test/net.pth"
    assert is_filled(files.load(RECORD), network().state_dict()) and good.exists()
    save_file(network(1).state_dict(), tmp_path / "my.safetensors")
    assert files.add(RECORD, tmp_path / "my.safetensors") == weights / "test/net.safetensors"
    assert is_filled(files.load(RECORD), network(1).state_dict())
    assert set(files.remove(RECORD)) == {weights / "test/net.pth", weights / "test/net.safetensors"}
    assert files.remove(RECORD) == ()


def test_what_came_with_the_project_is_not_removed():
    with pytest.raises(CheckpointError, match="comes with the project"):
        files.remove(catalogue.record("compact/sr4"))


def test_what_came_with_the_project_is_not_replaced(weights: Path):
    rain, haze = (catalogue.record(f"compact/{task}") for task in ("rain", "haze"))
    brought = Path(catalogue.__file__).parents[2] / "weights" / haze.file
    assert files.add(rain, brought) == weights / rain.file  # where it was missing
    before = files.path_of(rain).read_bytes()
    with pytest.raises(CheckpointError, match="not replaced"):
        files.add(rain, Path(catalogue.__file__).parents[2] / "weights" / rain.file)
    assert files.path_of(rain).read_bytes() == before


@pytest.mark.parametrize("how", ["params_ema before params", "module._orig_mod."])
def test_a_file_is_converted_to_its_bare_state_dict(how: str, tmp_path: Path):
    state = network().state_dict()
    source = saved(tmp_path / "net.pth", nested(state)[how])
    target = conversion.convert(source)
    assert target == tmp_path / "net.safetensors" and is_filled(network(1), network(1).state_dict())
    found = load_file(target)
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)
    with safe_open(target, "pt") as file:
        told = file.metadata()
    assert told["source"] == "net.pth" and told["source_sha256"] == checksums.sha256(source, folders.memory())
    assert told["architecture"] == "refusion-latent-unet"
    for again in (source, target):
        with pytest.raises(CheckpointError, match=r"exists already|safetensors file already"):
            conversion.convert(again)


def test_rounded_weights_are_off_by_half_a_step_of_their_channel(tmp_path: Path):
    state = network().state_dict()
    target = conversion.convert(saved(tmp_path / "net.pth", state), tmp_path / "small.safetensors", eight_bits=True)
    assert 2 * target.stat().st_size < (tmp_path / "net.pth").stat().st_size
    found = reading.open_state(target)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        large = tensor.ndim >= 2 and tensor.numel() >= rounding.FEWEST
        if large:
            off, half = (t.flatten(1).abs().amax(1) for t in (found[name] - tensor, tensor / 254))
            assert 0 < off.max() and (off <= half * (1 + 1e-5)).all()
        else:
            assert torch.equal(found[name], tensor)


def test_rounded_channels_of_zeros_and_integers_are_kept():
    state = {"a.weight": torch.randn(8, 200), "b.weight": torch.randint(0, 9, (8, 200)), "c.bias": torch.randn(4000)}
    state["a.weight"][3] = 0
    back = rounding.restored(rounding.rounded(state), "x")
    assert (back["a.weight"][3] == 0).all() and all(torch.equal(back[n], state[n]) for n in ("b.weight", "c.bias"))


def test_eight_bits_without_scales_are_left_alone_and_false_scales_refused():
    plain = {"a": torch.ones(4, 4, dtype=torch.int8), "b": torch.ones(3), "b.scale": torch.ones(3)}
    assert rounding.restored(plain, "x").keys() == plain.keys()
    for scale in (torch.ones(5), torch.ones(4, 1), torch.ones(4, dtype=torch.int64)):
        with pytest.raises(CheckpointError, match=r"net\.safetensors: 'a' is rounded to 8 bits"):
            rounding.restored({"a": plain["a"], "a.scale": scale}, "net.safetensors")


def test_a_converted_file_takes_the_place_of_the_pickle():
    path = put(RECORD, network().state_dict())
    record = summed(RECORD, path)
    target = conversion.convert(path)
    path.unlink()
    assert files.locate(record) == target and files.standing(record).checksum == "converted here"
    assert is_filled(files.load(record), network().state_dict())


def test_nothing_is_converted_that_could_not_be_used(tmp_path: Path):
    state = network().state_dict()
    state["final_conv.bias"][0] = math.nan
    for name, found in (("nan", state), ("other", {"a": torch.zeros(2)})):
        path = saved(tmp_path / f"{name}.pth", found)
        with pytest.raises(CheckpointError):
            conversion.convert(path)
    assert {p.suffix for p in tmp_path.iterdir() if p.is_file()} == {".pth"}


def test_shared_and_strided_tensors_are_converted(tmp_path: Path):
    """safetensors takes neither: each gets its own numbers, in order."""
    state = network().state_dict()
    state["init_conv.weight"] = state["init_conv.weight"].to(memory_format=torch.channels_last)
    blocks = [name for name in state if state[name].shape == (8, 8, 3, 3)]
    state[blocks[1]] = state[blocks[0]]
    found = load_file(conversion.convert(saved(tmp_path / "net.pth", state)))
    assert all(torch.equal(found[name], state[name]) for name in state)


# --- recognising and the command -------------------------------------------------------------------------------


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> tuple[Checkpoint, Checkpoint]:
    """Two records that no shape tells apart."""
    pair = tuple(
        Checkpoint(
            f"test/{n}", "refusion-latent-unet", Bring(f"{n}.pth", "https://x.invalid"), "MIT", shapes=SHAPES
        )
        for n in ("one", "two")
    )
    for record in pair:
        monkeypatch.setitem(CATALOGUE, record.key, record)
    return pair


def test_a_file_is_told_by_checksum_then_name_then_shape(
    two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What shapes cannot tell is asked of the person: then several records come back."""
    path = saved(tmp_path / "any.pth", network().state_dict())
    assert recognition.recognise(path) == two
    assert recognition.recognise(path.rename(tmp_path / "two.pth")) == (two[1],)
    by_sum = summed(two[0], tmp_path / "two.pth")
    monkeypatch.setitem(CATALOGUE, "test/one", by_sum)
    assert recognition.recognise(tmp_path / "two.pth") == (by_sum,)
    converted = conversion.convert(tmp_path / "two.pth", tmp_path / "any.safetensors")
    assert recognition.recognise(converted) == (by_sum,)


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    weights_command.add_parser(parser.add_subparsers(required=True))
    asked = parser.parse_args(["weights", *arguments])
    return asked.run(asked)


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_command_from_file_to_removal(
    two, tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
):
    path = saved(tmp_path / "any.pth", network().state_dict())
    assert command("check", str(path), "--json") == 0
    found = told(capsys)
    assert found["records"] == ["test/one", "test/two"] and found["architecture"] == "refusion-latent-unet"
    assert found["parameters"] == sum(p.numel() for p in network().parameters()) and not found["published"]
    assert command("check", str(path)) == 0 and "nothing in the file tells which" in capsys.readouterr().out
    assert command("get", "test/two", "--from", str(path), "--json") == 0
    assert told(capsys)["path"] == str(weights / "test/two.pth")
    assert command("list", "--here", "--json") == 0
    assert [row["key"] for row in told(capsys)["weights"]] == ["test/two"]
    assert command("convert", str(path), "--json") == 0 and told(capsys)["file"] == str(
        tmp_path / "any.safetensors"
    )
    assert command("remove", "test/two", "--json") == 0
    assert told(capsys)["deleted"] == [str(weights / "test/two.pth")]
    assert command("remove", "test/two") == 0 and "Nothing of test/two" in capsys.readouterr().out


def test_the_list_shows_every_record(capsys: pytest.CaptureFixture[str]):
    assert command("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    assert command("list", "--json") == 0
    rows = {row["key"]: row for row in told(capsys)["weights"]}
    row = rows["resshift/realsr-x4-v3"]
    assert row["terms"].startswith("Non-commercial") and row["config"]["steps"] == 4 and row["path"] is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("get", "../../x"), "No weights are called"),
        (("get", "sr3/faces-16-128"), "Only a person can fetch them"),
        (("get", "resshift/vq-f4", "--offline"), "set offline"),
        (("get", "resshift/vq-f4", "--from", "nowhere.pth"), "no file"),
        (("check", "."), "a folder"),
        (("convert", "nowhere.pth"), "no file"),
        (("remove", "compact/sr4"), "comes with the project"),
    ],
)
def test_a_refusal_is_a_sentence_and_code_2(
    arguments, sentence: str, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STEPBACK_OFFLINE", "")
    assert command(*arguments) == 2
    out, err = capsys.readouterr()
    assert sentence in err and out == ""
    assert command(*arguments, "--json") == 2
    assert sentence in told(capsys)["error"]


def test_the_models_option_names_a_further_folder(
    two, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STEPBACK_MODELS", "")
    saved(tmp_path / "two.pth", network().state_dict())
    assert command("get", "test/two", "--models", str(tmp_path), "--json") == 0
    assert told(capsys)["path"] == str(tmp_path / "two.pth")
