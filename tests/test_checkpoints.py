"""Finding a model's files: what is opened, what is refused and with which words, what headers say, and when files count as changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from model_utils import checkpoints, demo
from model_utils.contracts.common import ModelSpec
from model_utils.errors import Cancelled, Refused
from model_utils.reporting import Report
from tests import builders


def locate(id: str) -> Path | None:
    found = checkpoints.locate(ModelSpec(id=id))
    return found.folder if found else None


@pytest.mark.parametrize("name", demo.MODELS)
def test_embedded_models_lie_in_the_package(name: str):
    assert locate(name) == demo.FOLDER / name.split("/")[1]


def test_a_local_folder_is_itself(tiny_llama: Path):
    assert locate(str(tiny_llama)) == tiny_llama


def test_a_folder_has_no_revisions(tiny_llama: Path):
    with pytest.raises(Refused, match="only models of the Hub have revisions; leave the revision 'main' out"):
        checkpoints.locate(ModelSpec(id=str(tiny_llama), revision="main"))


def test_a_name_of_the_hub_that_is_not_here_is_not_refused_yet():
    assert locate("someone/not-here") is None
    assert "someone/not-here@None" in checkpoints.key(ModelSpec(id="someone/not-here"))


@pytest.mark.parametrize(
    ("id", "part"),
    [
        ("demo/nothing", "There is no embedded model 'demo/nothing'; there are demo/base"),
        ("/no/such/folder", "neither an embedded model"),
        ("a\0b", "neither an embedded model"),
        ("x" * 4_000, "neither an embedded model"),
        ("~nobody-of-this-name/model/x", "neither an embedded model"),
        ("demo/polite", "is an adapter; give it as the adapter of demo/tuned"),
        ("just words", "nor a name on the Hugging Face Hub"),
    ],
)
def test_what_is_no_model_is_refused(id: str, part: str):
    with pytest.raises(Refused, match=part):
        locate(id)


def test_only_folders_under_the_allowed_ones_are_opened(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    inside = Path(shutil.copytree(tiny_llama, tmp_path / "inside" / "model"))
    monkeypatch.setenv("CANDOR_MODELS", str(tmp_path / "inside"))
    assert locate(str(inside)) == inside
    with pytest.raises(Refused, match="outside the folders that models may be opened from") as caught:
        locate(str(tiny_llama))
    assert str(tmp_path / "inside") in str(caught.value)
    (tmp_path / "inside" / "link").symlink_to(tiny_llama)
    with pytest.raises(Refused, match="outside"):
        locate(str(tmp_path / "inside" / "link"))
    with pytest.raises(Refused, match="outside"):
        locate(str(tmp_path / "inside" / ".." / ".." / tiny_llama.name))
    monkeypatch.delenv("CANDOR_MODELS")
    assert checkpoints.allowed_folders() == [Path(os.path.realpath(os.path.expanduser("~"))), checkpoints.PROJECT]


def test_an_empty_folder_and_pickled_weights_are_refused(tmp_path: Path):
    with pytest.raises(Refused, match=r"config\.json is missing"):
        locate(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(Refused, match=r"no safetensors weights.*call save_pretrained, which writes safetensors"):
        locate(str(tmp_path))


def sharded(source: Path, folder: Path) -> Path:
    """The same weights in two files and an index."""
    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, where = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_headers_say_what_the_files_hold(tiny_llama: Path, tmp_path: Path):
    tensors = load_file(tiny_llama / "model.safetensors")
    for folder in (tiny_llama, sharded(tiny_llama, tmp_path / "sharded")):
        stored = checkpoints.stored(checkpoints.weight_files(folder))
        assert stored.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        assert stored.parameters == sum(tensor.numel() for tensor in tensors.values())
        assert stored.bytes == 4 * stored.parameters and set(stored.dtypes.values()) == {"F32"}


@given(cut=st.integers(0, 2_000))
def test_a_file_that_was_cut_short_or_grew_is_no_safetensors_file(tmp_path_factory: pytest.TempPathFactory, cut: int):
    path = tmp_path_factory.mktemp("cut") / "model.safetensors"
    save_file({"a": torch.zeros(100), "b": torch.ones(3, dtype=torch.bfloat16)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] if cut < len(whole) else whole + b"x")
    with pytest.raises(Refused, match="not a whole safetensors file"):
        checkpoints.stored([path])


@pytest.mark.parametrize("name", ["../model/model.safetensors", "gone.safetensors", "/etc/passwd", 7])
def test_an_index_that_names_other_files_is_refused(tiny_llama: Path, tmp_path: Path, name: object):
    folder = sharded(tiny_llama, tmp_path / "model")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["extra"] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(Refused, match=r"model\.safetensors\.index\.json"):
        locate(str(folder))


def test_the_digest_is_what_sha256sum_says(tiny_llama: Path, tmp_path: Path):
    weights = tiny_llama / "model.safetensors"
    assert checkpoints.digest([weights], Report()) == hashlib.sha256(weights.read_bytes()).hexdigest()
    folder = sharded(tiny_llama, tmp_path / "sharded")
    names = [path.name for path in checkpoints.weight_files(folder)]
    printed = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True).stdout
    assert checkpoints.digest(checkpoints.weight_files(folder), Report()) == hashlib.sha256(printed).hexdigest()


class Reads(Report):
    """Counts the blocks that are read, and can cancel."""

    def __init__(self, allowed: int = 1_000) -> None:
        self.blocks, self.allowed = 0, allowed

    def poll(self) -> None:
        self.blocks += 1
        if self.blocks > self.allowed:
            raise Cancelled


def test_an_unchanged_file_is_hashed_once_unless_asked_again(tiny_llama: Path, tmp_path: Path):
    weights = Path(shutil.copy(tiny_llama / "model.safetensors", tmp_path))
    reads = [Reads() for _ in range(4)]
    first = checkpoints.digest([weights], reads[0])
    assert checkpoints.digest([weights], reads[1]) == first
    assert checkpoints.digest([weights], reads[2], again=True) == first
    content, times = weights.read_bytes(), weights.stat()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert checkpoints.digest([weights], reads[3]) != first, "its time and size were put back"
    assert [one.blocks > 0 for one in reads] == [True, False, True, True]


def test_hashing_can_be_cancelled(tiny_llama: Path, tmp_path: Path):
    weights = Path(shutil.copy(tiny_llama / "model.safetensors", tmp_path))
    with pytest.raises(Cancelled):
        checkpoints.digest([weights], Reads(allowed=0))


def test_signature_changes_with_any_file(tiny_llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    signature, spec = checkpoints.signature(folder), ModelSpec(id=str(folder))
    key = checkpoints.key(spec)
    assert checkpoints.signature(folder) == signature
    config = folder / "config.json"
    config.write_text(config.read_text() + "\n")
    assert checkpoints.signature(folder) != signature and checkpoints.key(spec) != key


def test_whether_there_is_a_chat_template_is_told_by_the_files(tiny_llama: Path, tmp_path: Path):
    with_one = builders.tiny_llama(tmp_path / "chat", chat_template=True)
    told = [checkpoints.may_have_template(ModelSpec(id=str(folder))) for folder in (tiny_llama, with_one)]
    assert told == [False, True]
    assert checkpoints.may_have_template(ModelSpec(id="someone/not-here")), "the Hub's files are not here yet"
    assert checkpoints.may_have_template(ModelSpec(id="/no/such/folder"))
    (with_one / "chat_template.jinja").unlink()
    (with_one / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert checkpoints.may_have_template(ModelSpec(id=str(with_one)))


def test_free_memory_is_a_part_of_the_machines():
    import psutil

    assert 0 < checkpoints.free_memory() <= psutil.virtual_memory().total


def test_signature_sees_a_change_whose_time_and_size_were_put_back(tiny_llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    signature, weights = checkpoints.signature(folder), folder / "model.safetensors"
    times, content = weights.stat(), weights.read_bytes()
    weights.write_bytes(content[:-1] + b"\0")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert checkpoints.signature(folder) != signature
