"""Models of the Hugging Face Hub: what is kept on this machine, and what the user asked to be downloaded."""

from __future__ import annotations

import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_utils.errors import Cancelled, Refused
from model_utils.reporting import Report

POLL_SECONDS = 0.05
ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
WANTED = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
UNWANTED = ["*/*", "consolidated*"]
"""Folders of other formats, and a second copy of the weights under another name."""


@dataclass(frozen=True)
class Kept:
    """A Hub repository at one commit, on this machine."""

    folder: Path
    commit: str


def is_id(name: str) -> bool:
    """Whether `name` can be the name of a repository on the Hub: owner/name."""
    return ID.fullmatch(name) is not None and ".." not in name and "--" not in name


def kept(id: str, revision: str | None, file: str) -> Kept | None:
    """What an earlier download left here; asks nobody."""
    import huggingface_hub

    path = huggingface_hub.try_to_load_from_cache(id, file, revision=revision)
    return _kept(Path(path).parent) if isinstance(path, str) else None


def _kept(folder: Path) -> Kept:
    return Kept(folder, folder.name)


def download(id: str, revision: str | None, report: Report) -> Kept:
    """The repository's configuration, tokenizer and safetensors weights; Refused with a sentence when the Hub does not give them.

    It waits in a thread of its own, so that meanwhile other work can be done in `report.breathe`.
    """
    waiting, progress = Future[Kept](), _Progress()
    # A daemon, unlike the threads of an executor: also the end of the process waits for no silent network.
    thread = threading.Thread(target=_fulfil, args=(waiting, id, revision, progress), daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            report.breathe()
            if progress.note:
                report(progress.fraction, progress.note)
    finally:
        progress.stopped = thread.is_alive()  # a stopped download ends at its next piece
    assert waiting.done(), f"the download of {id} died; its thread said why"
    return waiting.result()


def _fulfil(waiting: Future[Kept], id: str, revision: str | None, progress: _Progress) -> None:
    """A refusal is raised where the result is waited for."""
    try:
        waiting.set_result(_download(id, revision, progress))
    except (Refused, Cancelled) as ended:
        waiting.set_exception(ended)


def _download(id: str, revision: str | None, progress: _Progress) -> Kept:
    import httpx2
    import huggingface_hub
    from huggingface_hub import errors

    named = f"{id}@{revision}" if revision else id
    try:
        commit = (
            huggingface_hub.HfApi().model_info(id, revision=revision).sha
        )  # asks the Hub, unlike a download that finds a part here
        folder = huggingface_hub.snapshot_download(
            id, revision=commit, allow_patterns=WANTED, ignore_patterns=UNWANTED, tqdm_class=_told(named, progress)
        )
    except errors.GatedRepoError as error:
        raise Refused(
            f"{named} is given only to people who accepted its terms: accept them at https://huggingface.co/{id}, log in on this machine with `hf auth login`, and ask again."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise Refused(
            f"{id} has no revision {revision!r} on the Hub; give a branch, a tag or a commit of it."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise Refused(
            f"There is no model {id!r} on the Hub, or it is private and nobody is logged in; check the name (owner/name)."
        ) from error
    except (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.HfHubHTTPError,
        httpx2.HTTPError,
        OSError,
    ) as error:
        raise Refused(
            f"{named} is not on this machine and the Hub cannot be reached ({type(error).__name__}); connect, or give a local folder."
        ) from error
    return _kept(Path(folder))


class _Progress:
    """What the download tells the thread that waits for it, and the wish to stop."""

    fraction = 0.0
    note = ""
    stopped = False


def _told(named: str, progress: _Progress) -> type:
    """A stand-in for tqdm that writes into `progress`."""
    from tqdm.auto import tqdm

    class Told(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **(kwargs | {"disable": True}))
            self.seen = 0.0

        def update(self, n: float | None = 1) -> bool | None:
            if progress.stopped:
                raise Cancelled
            self.seen += n or 0
            if self.total and self.total > 1 << 20:
                progress.fraction = min(1.0, self.seen / self.total)
                progress.note = f"downloading {named}: {self.seen / 1e6:.0f} of {self.total / 1e6:.0f} MB"
            return super().update(n)

    return Told
