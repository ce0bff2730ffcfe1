"""The panel of the pair with the real engine: what can be chosen, what is refused and why, and that nothing is ever lost by a choice."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from streamlit.testing.v1 import AppTest

from dashboard.session import compute, pairs
from dashboard.widgets.pair_picker import short_name, title
from dashboard.widgets.text import plain
from model_utils import analyses, checkpoints, demo
from model_utils.catalogue import DEFAULT, EMBEDDED, PUBLIC
from model_utils.contracts.common import ModelSpec, Request, Specs
from model_utils.engine import Engine
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import builders
from tests.test_pages import APP, PAGES, ask, checked, go, kept, words, written

pytestmark = pytest.mark.slow


SOON = 120.0


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    running = Engine()
    yield running
    running.stop()


@pytest.fixture
def app(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(compute, "engine", lambda: engine)
    monkeypatch.setattr(compute, "load_ahead", lambda: None)
    return show(AppTest.from_file(APP, default_timeout=SOON))


def show(app: AppTest) -> AppTest:
    """With the panel and its form open."""
    app.session_state[pairs.PAIR_PANEL] = app.session_state["own-open"] = True
    return checked(app.run())


def over(app: AppTest) -> AppTest:
    """When the pair was opened, or was not."""
    held = kept(app).report
    assert held is not None and held.job.wait(SOON)
    return show(app)


def choose(app: AppTest, key: str) -> AppTest:
    return over(checked(app.button(key=key).click().run()))


def type_pair(app: AppTest, base: object, tuned: object, **fields: object) -> AppTest:
    """What is typed into the form, and pressed."""
    for name, value in {"base-id": base, "tuned-id": tuned, "tuned-adapter": "", **fields}.items():
        app.text_input(key=f"own-{name.replace('_', '-')}").set_value(str(value))
    (submit,) = [button for button in app.button if button.label == "Compare these"]
    return checked(submit.click().run())


def specs(base: object, tuned: object) -> Specs:
    return Pair(ModelSpec(id=str(base)), ModelSpec(id=str(tuned)))


def answers(app: AppTest) -> list[str]:
    """The texts of both answers, from a Run to the end."""
    checked(app.number_input(key="length").set_value(3).run())
    ask(app)
    assert kept(app).held["generation"].job.wait(SOON)
    checked(app.run())
    return [body for body in written(app) if 'class="written' in body]


# What can be chosen


def test_opening_the_panel_reports_the_present_pair(app: AppTest):
    over(app)
    assert kept(app).pair == DEFAULT
    assert "differs from base in" in words(app) and "everything works" in words(app)


@pytest.mark.parametrize("number", [i for i, pair in enumerate(EMBEDDED) if pair.specs.tuned.adapter is None])
def test_a_listed_pair_is_one_click_in_the_panel(app: AppTest, number: int):
    choose(app, f"embedded-{number}")
    assert kept(app).pair == EMBEDDED[number].specs
    assert kept(app).report.result.models.tuned.id == EMBEDDED[number].specs.tuned.name  # type: ignore[union-attr]
    assert len(answers(app)) == 2


def test_the_pair_is_the_same_on_every_page(app: AppTest):
    choose(app, "embedded-1")
    for page in PAGES:
        assert kept(go(app, page)).pair == EMBEDDED[1].specs


def test_two_folders(app: AppTest, tiny_pair: Pair[Path]):
    over(type_pair(app, f" {tiny_pair.base} ", tiny_pair.tuned))
    assert kept(app).pair == specs(tiny_pair.base, tiny_pair.tuned)
    assert not app.error
    assert len(answers(app)) == 2


def test_an_adapter_over_its_base(app: AppTest, tiny_pair: Pair[Path], tmp_path: Path):
    adapter = builders.tiny_adapter(tmp_path / "adapter", tiny_pair.base)
    over(type_pair(app, tiny_pair.base, tiny_pair.base, tuned_adapter=adapter))
    report = kept(app).report.result  # type: ignore[union-attr]
    assert report.shares_weights and report.adapter_restores_base and report.differs
    assert kept(app).pair.tuned.adapter == str(adapter)
    assert len(answers(app)) == 2


def test_number_format_and_placement_go_to_both_sides(app: AppTest, tiny_pair: Pair[Path]):
    app.selectbox(key="own-dtype").set_value("bfloat16")
    app.selectbox(key="own-placement").set_value("cpu")
    over(type_pair(app, tiny_pair.base, tiny_pair.tuned))
    report = kept(app).report.result  # type: ignore[union-attr]
    assert [opening.dtype for _, opening in report.openings.items()] == ["bfloat16", "bfloat16"]


# What is refused at once


def pickled(folder: Path, model: Path) -> Path:
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return folder


NONSENSE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "nothing": (lambda tmp, model: " ", "Type a folder or a Hub name"),
    "no such folder": (lambda tmp, model: tmp / "nowhere", "neither an embedded model"),
    "an empty folder": (lambda tmp, model: tmp, "config.json is missing"),
    "an unknown embedded model": (lambda tmp, model: "demo/unknown", "There is no embedded model"),
    "a folder elsewhere": (lambda tmp, model: "/usr", "lies outside the folders"),
    "pickled weights": (lambda tmp, model: pickled(tmp / "pickled", model), "pickled weights can run code"),
    "markup": (lambda tmp, model: "<script>alert(1)</script>", "neither an embedded model"),
    "NUL": (lambda tmp, model: "a\0b", "neither an embedded model"),
    "too long": (lambda tmp, model: "x" * 5_000, "at most 4096 characters"),
    "a climb": (lambda tmp, model: "/etc", "lies outside the folders"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_one_sentence_and_changes_nothing(app: AppTest, tiny_llama: Path, tmp_path: Path, name: str):
    make, sentence = NONSENSE[name]
    type_pair(over(app), tiny_llama, make(tmp_path, tiny_llama))
    assert len(app.error) == 1 and plain(sentence) in app.error[0].value
    assert kept(app).pair == DEFAULT
    assert not kept(app).recent
    over(type_pair(app, tiny_llama, tiny_llama))
    assert not app.error, "a pair that can be opened takes the sentence away"


# What is refused when the files are read


def corrupt(folder: Path, model: Path) -> Path:
    """Two tensors under wrong names: a whole file, and not this model's."""
    shutil.copytree(model, folder)
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)[:2]
    wrong = {("other." + name if name in names else name): tensor for name, tensor in tensors.items()}
    save_file(wrong, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def cut(folder: Path, model: Path) -> Path:
    shutil.copytree(model, folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    return folder


@pytest.mark.parametrize(("spoil", "sentence"), [(corrupt, "lack 2 tensors"), (cut, "is not a whole safetensors file")])
def test_files_that_cannot_be_read_bring_the_former_pair_back(
    app: AppTest, tiny_pair: Pair[Path], tmp_path: Path, spoil: Callable[[Path, Path], Path], sentence: str
):
    """Nothing is lost: the pair before is asked again, and the instruction and its answers are still there."""
    over(type_pair(app, tiny_pair.base, tiny_pair.tuned))
    before = answers(app)
    over(type_pair(app, tiny_pair.base, spoil(tmp_path / "spoilt", tiny_pair.tuned)))
    assert len(app.error) == 1 and plain(sentence) in app.error[0].value
    assert kept(app).pair == specs(tiny_pair.base, tiny_pair.tuned)
    assert [body for body in written(app) if 'class="written' in body] == before
    assert answers(app) == before


def test_a_hub_name_without_a_connection_brings_the_former_pair_back(app: AppTest):
    over(type_pair(app, "nobody/nothing", "nobody/nothing"))
    assert "the Hub cannot be reached" in app.error[0].value
    assert kept(app).pair == DEFAULT
    choose(app, "embedded-1")
    assert not app.error
    assert specs("nobody/nothing", "nobody/nothing") not in kept(app).recent


def endless(kind: str, specs: Specs, request: Request, report: Report) -> None:
    while True:
        report.poll()
        time.sleep(0.01)


def test_a_load_can_be_cancelled(app: AppTest, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    over(app)
    monkeypatch.setattr(analyses, "execute", endless)
    tiny_llama = Path(shutil.copytree(tiny_llama, tmp_path / "not reported yet"))
    type_pair(app, tiny_llama, tiny_llama)
    job = kept(app).report.job  # type: ignore[union-attr]
    assert kept(app).pair.tuned.id == str(tiny_llama)
    checked(app.button(key="cancel-opening").click().run())
    assert kept(app).pair == DEFAULT
    assert job.wait(SOON) and job.state == "cancelled"
    assert "Stopped" in words(app) and not app.error


# Going back


def test_recent_pairs_are_a_short_list_without_repeats_and_without_the_present_one(
    app: AppTest, tiny_llama: Path, tmp_path: Path
):
    folders = [tmp_path / f"model {i}" for i in range(pairs.RECENT + 2)]
    for folder in folders:
        folder.symlink_to(tiny_llama)
        over(type_pair(app, tiny_llama, folder))
    over(type_pair(app, tiny_llama, folders[-2]))
    latest = [folders[-2], folders[-1], *reversed(folders[2:-2])]
    assert [pair.tuned.id for pair in kept(app).recent] == [str(folder) for folder in latest][: pairs.RECENT]
    labels = [button.label for button in app.button if str(button.key).startswith("recent-")]
    assert labels == [plain(title(pair)) for pair in kept(app).recent[1:]]
    choose(app, "recent-0")
    assert kept(app).pair.tuned.id == str(folders[-1])


# The report


def test_the_report_lies_open_until_it_is_closed(app: AppTest, tiny_pair: Pair[Path]):
    over(type_pair(app, tiny_pair.base, tiny_pair.tuned))
    checked(app.button(key="read-report").click().run())
    (table,) = [body for body in written(app) if 'class="opened"' in body]
    assert checkpoints.digest([tiny_pair.base / "model.safetensors"], Report()) in table
    assert any("<li><b>✓ Attention</b> works</li>" in body for body in written(app))
    assert "How to read this" in [expander.label for expander in app.expander]
    assert not [button for button in app.button if button.key == "read-report"], "the panel made room for it"
    kept(app).reading = False
    checked(app.run())
    assert not [body for body in written(app) if 'class="opened"' in body]


def test_names_stay_short():
    assert title(DEFAULT) == "demo/base vs demo/tuned"
    assert title(specs("/models/a", "owner/b")) == "a vs b"
    assert short_name(ModelSpec(id="owner/b", revision="v1", adapter="/adapters/c")) == "b@v1 + c"
    assert short_name(ModelSpec(id="/")) == "/"


# The catalogue


def test_the_catalogue_goes_from_small_to_large_and_names_each_model_once():
    sizes = [pair.gigabytes for pair in PUBLIC]
    assert sizes == sorted(sizes)
    ids = [spec.id for pair in PUBLIC for spec in pair.specs.sides]
    assert len(set(ids)) == len(ids)
    assert {pair.encoder_decoder for pair in PUBLIC} == {True, False}
    embedded = {spec.id for pair in EMBEDDED for spec in pair.specs.sides}
    assert embedded == set(demo.MODELS)
    assert {pair.specs.tuned.adapter for pair in EMBEDDED} - {None} == set(demo.ADAPTERS)


def test_what_the_catalogue_lists_is_not_asked_for_before_it_is_chosen(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    """Drawing the list locates nothing and opens nothing."""
    asked: list[str] = []
    monkeypatch.setattr(checkpoints.hub, "kept", lambda id, *rest: asked.append(id))
    show(app)
    assert [button.key for button in app.button if str(button.key).startswith("public-")] == [
        f"public-{number}" for number in range(len(PUBLIC))
    ]
    assert not asked
