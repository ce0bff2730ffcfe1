"""Where a model's files lie, what their headers say, and whether they changed; no weights are read here and torch is not imported."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from model_utils import demo, hub
from model_utils.contracts.common import ModelSpec
from model_utils.errors import Refused
from model_utils.reporting import Report

PROJECT = Path(__file__).resolve().parent.parent
MODELS = "CANDOR_MODELS"
"""Environment variable: folders, parted like those of PATH, under which local models may lie."""

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
CONVERT = (
    "Candor opens safetensors only, because pickled weights can run code; "
    "open the model once with transformers where you trust it, and call save_pretrained, which writes safetensors"
)

BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "U32": 4, "U64": 8, "F4": 0.5, "F8_E8M0": 1,
}  # fmt: skip
DTYPE_NAMES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
LARGEST_HEADER = 100 << 20
BLOCK = 4 << 20


@dataclass(frozen=True)
class Checkpoint:
    """Files of one model, or of one adapter, that lie on this machine."""

    folder: Path
    source: Literal["embedded", "folder", "hub"]
    commit: str | None = None
    """of a Hub model"""


@dataclass(frozen=True)
class Stored:
    """What the headers of safetensors files say."""

    shapes: dict[str, tuple[int, ...]]
    """tensor -> shape"""
    dtypes: dict[str, str]
    """tensor -> safetensors' name of its type"""

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def bytes(self) -> int:
        """Bytes of all tensors as they lie on disk."""
        return int(sum(math.prod(self.shapes[name]) * BYTES[dtype] for name, dtype in self.dtypes.items()))


# --- finding --------------------------------------------------------------------------------------------------------


def locate(spec: ModelSpec) -> Checkpoint | None:
    """The model's files; None for a Hub model that is not on this machine yet. Refused when there can be no model of this name."""
    if spec.id in demo.ADAPTERS:
        raise Refused(f"{spec.id!r} is an adapter; give it as the adapter of demo/tuned.")
    if spec.id in demo.MODELS:
        return Checkpoint(demo.FOLDER / spec.id.removeprefix("demo/"), "embedded")
    if spec.id.startswith("demo/"):
        raise Refused(f"There is no embedded model {spec.id!r}; there are {', '.join(demo.MODELS)}.")
    return _find(spec.id, spec.revision, check_model)


def locate_adapter(spec: ModelSpec) -> Checkpoint | None:
    """The adapter's files; None for a Hub adapter that is not on this machine yet."""
    assert spec.adapter is not None, f"{spec.name} has no adapter"
    if spec.adapter in demo.ADAPTERS:
        return Checkpoint(demo.FOLDER / spec.adapter.removeprefix("demo/"), "embedded")
    return _find(spec.adapter, None, check_adapter)


def _find(name: str, revision: str | None, check: Any) -> Checkpoint | None:
    folder = Path(os.path.expanduser(name))
    if os.path.isdir(folder):  # unlike Path.is_dir it takes any text, too long or with NUL
        if revision is not None:
            raise Refused(
                f"{name[:200]!r} is a folder, and only models of the Hub have revisions; leave the revision {revision!r} out."
            )
        folder = _allowed(folder)
        check(folder)
        return Checkpoint(folder, "folder")
    if not hub.is_id(name):
        raise Refused(
            f"{name[:200]!r} is neither an embedded model ({', '.join(demo.MODELS)}), nor a folder on this machine, nor a name on the Hugging Face Hub (owner/name); give one of these."
        )
    kept = hub.kept(name, revision, ADAPTER_CONFIG if check is check_adapter else "config.json")
    if kept is None or not _complete(kept.folder):
        return None
    check(kept.folder)
    return Checkpoint(kept.folder, "hub", kept.commit)


def obtain(spec: ModelSpec, report: Report) -> tuple[Checkpoint, Checkpoint | None]:
    """(files of the model, files of its adapter); downloads what is named by a Hub id and not on this machine yet."""
    model = locate(spec) or _download(spec.id, spec.revision, check_model, report)
    if spec.adapter is None:
        return model, None
    return model, locate_adapter(spec) or _download(spec.adapter, None, check_adapter, report)


def _download(name: str, revision: str | None, check: Any, report: Report) -> Checkpoint:
    kept = hub.download(name, revision, report)
    check(kept.folder)
    return Checkpoint(kept.folder, "hub", kept.commit)


def allowed_folders() -> list[Path]:
    """Under which folders local models may lie: those of CANDOR_MODELS, else the person's home and this project."""
    given = os.environ.get(MODELS)
    folders = given.split(os.pathsep) if given else [os.path.expanduser("~"), str(PROJECT)]
    return [Path(os.path.realpath(folder)) for folder in folders if folder]


def _allowed(folder: Path) -> Path:
    real = Path(os.path.realpath(folder))
    if not any(real.is_relative_to(root) for root in allowed_folders()):
        listed = ", ".join(str(root) for root in allowed_folders())
        raise Refused(
            f"The folder {str(folder)!r} lies outside the folders that models may be opened from ({listed}); move it there, or start Candor with {MODELS} set to its parent."
        )
    return folder


def check_model(folder: Path) -> None:
    """Refused unless the folder holds a configuration and safetensors weights."""
    if not (folder / "config.json").is_file():
        hint = "it holds an adapter: give it as the adapter of its base model" if (folder / ADAPTER_CONFIG).is_file() else "give the folder that save_pretrained wrote"  # fmt: skip
        raise Refused(f"The folder {str(folder)!r} holds no model: config.json is missing; {hint}.")
    if (folder / ADAPTER_CONFIG).is_file():
        raise Refused(
            f"The folder {str(folder)!r} holds a model and an adapter together, and transformers would mix them; part them into two folders."
        )
    if "transformers_weights" in configuration(folder):
        raise Refused(
            f"config.json in {str(folder)!r} names weights in another file (transformers_weights); save the model again with save_pretrained."
        )
    weight_files(folder)


def check_adapter(folder: Path) -> None:
    """Refused unless the folder holds a PEFT adapter with safetensors weights."""
    if not (folder / ADAPTER_CONFIG).is_file():
        raise Refused(
            f"The folder {str(folder)!r} holds no PEFT adapter: {ADAPTER_CONFIG} is missing; give the folder that save_pretrained of the adapter wrote."
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise Refused(f"The adapter in {str(folder)!r} has no {ADAPTER_WEIGHTS}. {CONVERT}.")


def adapter_kind(folder: Path) -> str:
    """PEFT's name for this kind of adapter, such as LORA."""
    try:
        return str(json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))["peft_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{ADAPTER_CONFIG} in {str(folder)!r} cannot be read; copy the adapter's files again.") from error


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights, in the order of their names; Refused when there are none that Candor opens."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise Refused(f"The folder {str(folder)!r} holds no safetensors weights ({WEIGHTS} or {INDEX}). {CONVERT}.")
    try:
        names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        plain = names and all(isinstance(name, str) and Path(name).name == name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{INDEX} in {str(folder)!r} cannot be read; copy the model's files again.") from error
    missing = [name for name in sorted(names) if not (folder / name).is_file()] if plain else []
    if not plain or missing:
        what = f"{missing[0]!r}, which is missing" if missing else "files outside the folder or none"
        raise Refused(f"{INDEX} in {str(folder)!r} names {what}; copy the model's files again.")
    return [folder / name for name in sorted(names)]


def _complete(folder: Path) -> bool:
    """Whether a kept Hub model has its weights; a download that was stopped has not."""
    if (folder / ADAPTER_WEIGHTS).is_file():
        return True
    try:
        weight_files(folder)
    except Refused:
        return False
    return True


# --- reading about ----------------------------------------------------------------------------------------------------


def stored(paths: Sequence[Path]) -> Stored:
    """What the headers say; Refused when a file is no safetensors file, or cut short."""
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, str] = {}
    for path in paths:
        for name, entry in _header(path).items():
            shapes[name], dtypes[name] = tuple(entry["shape"]), entry["dtype"]
    return Stored(shapes, dtypes)


def _header(path: Path) -> dict[str, Any]:
    broken = Refused(f"{str(path)!r} is not a whole safetensors file; copy it again.")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= LARGEST_HEADER:
                raise broken
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            known = all(entry["dtype"] in BYTES for entry in header.values())
            if path.stat().st_size != 8 + length + end or not known:
                raise broken
            return header
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        if error is broken:
            raise
        raise broken from error


def configuration(folder: Path) -> dict[str, Any]:
    """config.json as it stands there."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(
            f"config.json in {str(folder)!r} cannot be read ({error}); copy the model's files again."
        ) from error
    if not isinstance(config, dict):
        raise Refused(f"config.json in {str(folder)!r} describes no model; copy the model's files again.")
    return config


def may_have_template(spec: ModelSpec) -> bool:
    """Whether the files name a chat template; True where they cannot tell, because they are not here yet or cannot be read."""
    try:
        found = [locate(spec), *([locate_adapter(spec)] if spec.adapter else [])]
    except Refused:
        return True
    return any(one is None or _names_template(one.folder) for one in found)


def _names_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError):
        return True


def key(spec: ModelSpec) -> str:
    """Changes whenever what the spec names changes on this machine; a Hub model that is not here yet is known by its name."""
    found = locate(spec)
    text = signature(found.folder) if found else f"{spec.id}@{spec.revision}"
    if spec.adapter is not None:
        adapter = locate_adapter(spec)
        text += signature(adapter.folder) if adapter else spec.adapter
    return text


def signature(folder: Path) -> str:
    """Changes whenever a file of the folder is replaced or written: digest over name, device, inode, size and times of each."""
    lines = []
    try:
        for path in sorted(folder.iterdir()):
            lines.append(f"{path.name} {_stamp(path)}")
    except OSError as error:
        raise Refused(
            f"The files of the model in {str(folder)!r} cannot be read ({error}); mend the folder."
        ) from error
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _stamp(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


# --- hashing --------------------------------------------------------------------------------------------------------

_digests: dict[tuple[int, ...], str] = {}
"""(device, inode, size, mtime_ns, ctime_ns) -> SHA-256 of a file that was read before"""


def digest(paths: Sequence[Path], report: Report, again: bool = False) -> str:
    """SHA-256, hexadecimal: of the one file, or of the lines that `sha256sum` prints for several; what a model is, wherever it lies.

    A file that was hashed and has not changed since is not read again, unless `again`.
    """
    total, done = sum(path.stat().st_size for path in paths), 0
    lines = []
    for path in paths:
        before = _stamp(path)
        if again or before not in _digests:
            sha = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    sha.update(block)
                    done += len(block)
                    report(done / total, f"hashing {path.name}")
                    report.breathe()
            if _stamp(path) != before:
                raise Refused(f"{str(path)!r} changed while it was read; ask again when it is complete.")
            _digests[before] = sha.hexdigest()
        lines.append(f"{_digests[before]}  {path.name}\n")
    return lines[0].split()[0] if len(lines) == 1 else hashlib.sha256("".join(lines).encode()).hexdigest()


# --- memory ---------------------------------------------------------------------------------------------------------


def free_memory() -> int:
    """Bytes that this process may still take: what the system calls available, or less where a control group allows less."""
    free = psutil.virtual_memory().available
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        cache = re.search(
            r"^inactive_file (\d+)$", Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii"), re.M
        )
    except (OSError, ValueError):
        return free
    if limit == "max":
        return free
    return min(free, int(limit) - used + int(cache[1] if cache else 0))
