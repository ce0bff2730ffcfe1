"""Where a model's files lie, and whether they changed; no weights are read here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from model_utils import demo
from model_utils.contracts.common import ModelSpec
from model_utils.errors import Refused


def locate(spec: ModelSpec) -> Path:
    """The folder of a model; Refused when there is no model that Candor can open."""
    if spec.id in demo.MODELS:
        return demo.FOLDER / spec.id.removeprefix("demo/")
    if spec.id.startswith("demo/"):
        raise Refused(f"There is no embedded model {spec.id!r}; there are {', '.join(demo.MODELS)}.")
    folder = Path(os.path.expanduser(spec.id))
    if not os.path.isdir(folder):  # unlike Path.is_dir it takes any text, too long or with NUL
        raise Refused(
            f"{spec.id[:200]!r} is neither an embedded model ({', '.join(demo.MODELS)}) nor a folder on this machine; give one of these."
        )
    if not (folder / "config.json").is_file():
        raise Refused(
            f"The folder {str(folder)!r} holds no model: config.json is missing; give the folder that save_pretrained wrote."
        )
    if not any(folder.glob("*.safetensors")):
        raise Refused(
            f"The folder {str(folder)!r} holds no safetensors weights, the only kind that Candor opens; save the model again with safe_serialization=True."
        )
    return folder


def signature(folder: Path) -> str:
    """Changes whenever a file of the folder is replaced or written: digest over name, device, inode, size and times of each."""
    lines = []
    try:
        for path in sorted(folder.iterdir()):
            stat = path.stat()
            lines.append(
                f"{path.name} {stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
            )
    except OSError as error:
        raise Refused(
            f"The files of the model in {str(folder)!r} cannot be read ({error}); mend the folder."
        ) from error
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def weights_digest(folder: Path) -> str:
    """SHA-256 over the weight files in the order of their names, hexadecimal: what a model is, wherever it lies."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
