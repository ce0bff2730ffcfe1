"""Finding a model's files: what is opened, what is refused and with which words, and when files count as changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from model_utils import checkpoints, demo
from model_utils.contracts.common import ModelSpec
from model_utils.errors import Refused


@pytest.mark.parametrize("name", demo.MODELS)
def test_embedded_models_lie_in_the_package(name: str):
    assert checkpoints.locate(ModelSpec(id=name)) == demo.FOLDER / name.split("/")[1]


def test_a_local_folder_is_itself(tiny_llama: Path):
    assert checkpoints.locate(ModelSpec(id=str(tiny_llama))) == tiny_llama


@pytest.mark.parametrize(
    ("id", "part"),
    [
        ("demo/nothing", "There is no embedded model 'demo/nothing'; there are demo/base"),
        ("/no/such/folder", "neither an embedded model"),
        ("a\0b", "neither an embedded model"),
        ("x" * 4_000, "neither an embedded model"),
        ("~nobody-of-this-name/model", "neither an embedded model"),
        ("openai/secret", "nor a folder on this machine"),
    ],
)
def test_what_is_no_model_is_refused(id: str, part: str):
    with pytest.raises(Refused, match=part):
        checkpoints.locate(ModelSpec(id=id))


def test_an_empty_folder_and_pickled_weights_are_refused(tmp_path: Path):
    with pytest.raises(Refused, match=r"config\.json is missing"):
        checkpoints.locate(ModelSpec(id=str(tmp_path)))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(Refused, match="no safetensors weights"):
        checkpoints.locate(ModelSpec(id=str(tmp_path)))


def test_signature_changes_with_any_file_and_digest_with_weights_only(tiny_llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    signature, digest = checkpoints.signature(folder), checkpoints.weights_digest(folder)
    assert checkpoints.signature(folder) == signature
    assert checkpoints.weights_digest(tiny_llama) == digest, "a copy has the same weights"

    config = folder / "config.json"
    config.write_text(config.read_text() + "\n")
    assert checkpoints.signature(folder) != signature
    assert checkpoints.weights_digest(folder) == digest

    weights = folder / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    times = weights.stat()
    weights.write_bytes(changed)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert checkpoints.weights_digest(folder) != digest


def test_signature_sees_a_change_whose_time_and_size_were_put_back(tiny_llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    signature, weights = checkpoints.signature(folder), folder / "model.safetensors"
    times, content = weights.stat(), weights.read_bytes()
    weights.write_bytes(content[:-1] + b"\0")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert checkpoints.signature(folder) != signature
