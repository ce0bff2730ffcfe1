"""The token strip and the map canvas in a real Chromium: pointer, keyboard, hostile text, exact values, exact colours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from dashboard.figures import theme
from tests.browser.conftest import NARROW, Serve
from tests.browser.server import ROOT

pytestmark = pytest.mark.alone

HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=2>",
    "![x](https://example.com/a.png)",
    "$x^2$",
)

WITHIN = "[...document.querySelectorAll('*')].map(one => one.shadowRoot?.querySelector('.maps')).find(one => one)"
SIZES = f"[...{WITHIN}.querySelectorAll('.plot')].map(one => [one.offsetWidth, one.offsetHeight, one.firstChild.width, one.firstChild.height])"
"""Width and height of each map in CSS pixels and in dots."""
COLOURS = f"""[...{WITHIN}.querySelectorAll('.plot canvas:first-child')].flatMap(canvas => {{
    const [left, top, wide] = canvas.parentNode.dataset.area.split(" ").map(Number), high = Number(canvas.parentNode.dataset.high);
    const ratio = devicePixelRatio, context = canvas.getContext("2d"), found = [];
    for (const [x, y] of Array.from({{length: 40}}, (_, i) => [0.013 + (i % 8) / 8, 0.03 + Math.floor(i / 8) / 5])) {{
        const [r, g, b, a] = context.getImageData(Math.round((left + x * wide) * ratio), Math.round((top + y * high) * ratio), 1, 1).data;
        if (a === 255) found.push([r, g, b]);
    }}
    return found;
}})"""
"""Colours of some places of every map."""

SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
HOSTILE = {HOSTILE!r}
"""
SCRIPT += """
import numpy as np
import streamlit as st

from dashboard.widgets.head_grid import HeadMeasure, head_grid
from dashboard.widgets.map_canvas import MapAxes, MapView, map_canvas
from dashboard.widgets.token_strip import Alternative, Comparison, token_strip
from model_utils.contracts.common import Encoded
from model_utils.pair import Pair

st.set_page_config(layout="wide")


def encoded(words, roles=None, special=(), repeated=()):
    text, spans, pieces, kinds = "", [], [], []
    for i, word in enumerate(words):
        for _ in range(4 if i in repeated else 1):
            spans.append((len(text), len(text) + len(word)))
            pieces.append(word)
            kinds.append((0 if roles is None else roles[i], i in special))
        text += word
    roles, special = np.array(kinds).T
    return Encoded(text, np.arange(len(spans)) + 100, np.array(spans), roles.astype(np.uint8), special.astype(bool), tuple(pieces))


def attention(count, seed):
    rng = np.random.default_rng(seed)
    values = rng.random((count, count)) ** 6 * np.tri(count)
    return (values / values.sum(axis=1, keepdims=True)).astype(np.float32)


def square(words, **regions):
    return MapAxes(words, np.arange(len(words)), np.arange(len(words)), causal=True, regions=regions)


def strips():
    words = ["<|user|>", *HOSTILE, "\\n", " yes", "\\0", "\\u202egnp", " \\u05e9\\u05dc\\u05d5\\u05dd", "e\\u0301", "\\U0001f389", " \\u6f22"]
    sequence = encoded(words, [0, *[1] * 8, *[2] * 4], special={0}, repeated={11})
    count = len(sequence)
    may = np.arange(count) != 2
    if st.button("page selects 6"):
        st.session_state.wish = 6
    pin = token_strip(sequence, key="strip", label="What the model read", values=np.linspace(-1, 1, count), limit=1.0,
                      colours="diverging", hover=[f"hover {w}" for w in sequence.pieces], selectable=may,
                      selected=st.session_state.get("wish"))
    st.text(f"picked {pin}")
    token_strip(sequence, key="plain", label="Inert", selectable=np.zeros(count, bool))
    token_strip(sequence, key="side", label="One side", values=np.linspace(0, 1, count), colours="base")


def long():
    count = st.slider("tokens", 1, 4000, 4000)
    token_strip(encoded([f" w{i}" for i in range(count)]), key="long", label="Long", values=np.arange(count), colours="tuned")


ANSWER = ["In", "come", " 3900", " minus", " debt", " 2100", " leaves", " 1800", ",", " above", " the", " limit", " of", " 1500", ".", "\\n",
          "Late", " payments", ":", " 1", ",", " so", " approve", " this", " loan", ".", " \\U0001f389", "<|end|>"]
ROWS = ("probability", "rank", "entropy", "1st", "2nd", "3rd", "4th", "5th")
OTHERS = [*HOSTILE, " \\u05e9\\u05dc\\u05d5\\u05dd", "\\n\\n", "", "internationalization_of_everything", " deny", " approve"]


def one_side(token, side):
    odds = np.sort(np.random.default_rng([token, side]).dirichlet(np.full(9, 0.5)))[::-1]
    pieces = (Alternative(OTHERS[(token + i) % len(OTHERS)], f"{odds[i]:.1%}") for i in range(5))
    return (f"{odds[token % 4]:.1%}", str(token % 4 + 1), f"{-(odds * np.log(odds + 1e-9)).sum():.2f} nats", *pieces)


def inspect():
    count = int(st.query_params.get("count", len(ANSWER)))
    sequence = encoded((ANSWER * 20)[:count], roles=[2] * count, special={27}, repeated={26})
    count = len(sequence)
    values = np.random.default_rng(5).normal(size=count) * np.linspace(0.2, 3, count)
    pin = token_strip(sequence, key="inspect", label="The answer of tuned, each token by log-ratio", values=values, limit=4.0,
                      colours="diverging", ends=("base holds it likelier", "tuned holds it likelier"),
                      compare=Comparison(ROWS, [Pair(one_side(i, 0), one_side(i, 1)) for i in range(count)]),
                      selectable=np.arange(count) != 3, greyed=np.abs(values) < 0.4, greyed_because="within the noise floor", mark=5)
    st.text(f"picked {pin}")


def maps():
    count, heads = st.slider("tokens", 2, 40, 12), int(st.query_params.get("heads", 1))
    base, tuned = (np.stack([attention(count, side + 2 * head) for head in range(heads)]) for side in (0, 1))
    words = [*HOSTILE, *(f" w{i}" for i in range(count))][:count]
    axes = square(words, instruction=((2, 5), (2, 5)), answer=((count - 3, count), (0, count)))
    if st.button("page looks at head 2"):
        st.session_state.view = MapView(head=2)
    now = map_canvas(Pair(base, tuned), axes, key="map", title="Two models: layer 1", view=st.session_state.get("view"))
    st.text(f"pinned {now.cell}")
    st.text(f"view {now.view.head} {now.view.scale} {now.view.first} {now.view.zoom}")


def many():
    count, heads = int(st.query_params["count"]), int(st.query_params.get("heads", 9))
    looks = Pair(*(np.stack([attention(count, side + 2 * head) for head in range(heads)]) for side in (0, 1)))
    looks = st.session_state.setdefault("looks", looks)
    axes = square([f" w{i}" for i in range(count)], instruction=((4, count // 2), (4, count // 2)), answer=((count // 2, count), (0, count)))
    now = map_canvas(looks, axes, key="map", title="Two models: layer 1")
    st.text(f"pinned {now.cell}")
    st.text(f"view {now.view.head} {now.view.scale} {now.view.first} {now.view.zoom}")


def big():
    values = np.zeros((1, 1024, 1024), dtype=np.float32)
    values[0, :, 0] = 0.2
    values[0, 800, 333] = 0.75
    values = st.session_state.setdefault("values", values)
    now = map_canvas(Pair(values, values), square([f" w{i}" for i in range(1024)]), key="map", title="Two models: layer 1")
    st.text(f"pinned {now.cell}")


def rectangle():
    rows, columns = st.slider("rows", 1, 40, 4), 10
    words = [f" read{i}" for i in range(columns)] + [f" wrote{i}" for i in range(rows)]
    values = np.arange(rows * columns, dtype=np.float32).reshape(1, rows, columns) / (rows * columns)
    axes = MapAxes(words, np.arange(columns, columns + rows), np.arange(columns), causal=False)
    now = map_canvas(Pair(values, values), axes, key="map", title="Two models: layer 1")
    st.text(f"pinned {now.cell}")


def signed():
    rows, columns = 3, int(st.query_params.get("columns", 8))
    values = np.random.default_rng(0).normal(size=(2, 1, rows, columns)).astype(np.float32)
    values[:, 0, 0, columns - 1] = np.nan
    values[:, 0, 1, 2] = 0
    values = st.session_state.setdefault("values", values)
    words = [f" read{i}" for i in range(columns)]
    axes = MapAxes(words, np.arange(rows), np.arange(columns), causal=False, row_pieces=HOSTILE[:rows], words=("answer token", "from part"))
    now = map_canvas(Pair(*values), axes, key="map", title="Two models: scores", signed=True, pale=st.query_params.get_all("pale"))
    st.text(f"pinned {now.cell}")


def own():
    counts = (6, 9)
    looks = Pair(*(np.stack([attention(count, side + 2 * head) for head in range(2)]) for side, count in enumerate(counts)))
    words = (f" b{i}" for i in range(6)), (f" t{i}" for i in range(9))
    axes = Pair(*(square(list(one), answer=((count - 3, count), (0, count))) for one, count in zip(words, counts)))
    now = map_canvas(looks, axes, key="map", title="Two models: layer 1")
    st.text(f"pinned {now.cell} {now.side}")
    st.text(f"view {now.view.head} {now.view.zoom}")


def heads():
    layers, count, cells = (int(st.query_params.get(name, number)) for name, number in (("layers", 6), ("heads", 4), ("cells", 16)))
    codes = np.arange(layers * count * cells * cells).reshape(layers, count, cells, cells) % 255 + 1
    codes = np.tril(codes).astype(np.uint8)
    values = (np.arange(layers * count).reshape(layers, count) / (layers * count)).astype(np.float32)
    values[0, 1] = np.nan
    measure = HeadMeasure(HOSTILE[1], values, st.query_params.get("scale", "sequential"), 1.0, "nats", HOSTILE[0])
    if st.button("page opens layer 3, head 2"):
        st.session_state.wish = (3, 2)
    head = head_grid(Pair(codes, codes[::-1]), measure, np.arange(layers) + 1, key="heads", selected=st.session_state.get("wish"))
    st.text(f"opened {head}")


def both():
    strips()
    maps()


{"strips": strips, "inspect": inspect, "long": long, "maps": maps, "big": big, "rectangle": rectangle, "many": many, "own": own, "signed": signed, "heads": heads, "both": both}[st.query_params["show"]]()
"""


def attention(count: int, seed: int) -> np.ndarray:
    """(query, key) float32; the same numbers as in the served script."""
    rng = np.random.default_rng(seed)
    values = rng.random((count, count)) ** 6 * np.tri(count)
    return (values / values.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def address(start_server: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The script above, served; `address + "strips"` is a page."""
    script = tmp_path_factory.mktemp("widgets") / "widgets.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with start_server(script=script) as server:
        yield f"{server.url}/?show="


def cell(page: Page, text: str, strip: str = "What the model read") -> Locator:
    literal = re.escape(text).replace(r"\ ", " ")  # JavaScript knows no escaped space
    return page.get_by_label(strip, exact=True).locator(".cell", has_text=re.compile(f"^{literal}$"))


def settled(page: Page, text: str) -> None:
    expect(page.get_by_text(text, exact=True)).to_be_visible()


# The strip


def test_hover_tells_token_id_role_value_and_the_given_text(page: Page, address: str):
    page.goto(address + "strips")
    cell(page, "·yes").hover()
    tip = page.locator(".tip:popover-open")
    expect(tip).to_contain_text("·yes")
    expect(tip).to_contain_text("token 6, id 106, instruction")
    expect(tip).to_contain_text("−0.2000")
    expect(tip).to_contain_text("hover  yes")
    cell(page, "🎉").hover()
    expect(tip).to_contain_text("tokens 11 to 14, ids 111, 112, 113, 114, bytes F0 9F 8E 89, answer")
    expect(tip).to_contain_text("(sum)")
    page.mouse.move(2, 2)
    expect(tip).to_have_count(0)


def test_hostile_text_is_shown_literally_and_never_runs(page: Page, address: str):
    page.goto(address + "strips")
    for text in HOSTILE:
        shown = text.replace(" ", "·")
        expect(cell(page, shown)).to_be_visible()
        cell(page, shown).hover()
        expect(page.locator(".tip:popover-open")).to_contain_text(shown)
        expect(page.locator(".tip:popover-open")).to_contain_text(f"hover {text}")
    page.goto(address + "maps")
    plot = page.locator(".plot").first
    plot.hover()
    point(page, plot, 12, (3, 1))
    expect(page.locator(".readout")).to_contain_text(HOSTILE[1].replace(" ", "·"))
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert page.locator(".root img, .root script, .root a").count() == 0


def test_invisible_characters_are_visible_and_directions_are_kept_apart(page: Page, address: str):
    page.goto(address + "strips")
    for shown in ("↵", "␀", "U+202Egnp", "·שלום", "e\u0301", "·漢"):
        expect(cell(page, shown)).to_have_count(1)
    cell_style = "node => [getComputedStyle(node).unicodeBidi, getComputedStyle(node).direction]"
    assert cell(page, "·שלום").evaluate(cell_style) == ["isolate", "rtl"]
    assert cell(page, "·yes").evaluate(cell_style) == ["isolate", "ltr"]
    boxes = [cell(page, shown).bounding_box() for shown in ("U+202Egnp", "·שלום", "e\u0301")]
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"], "the order of tokens does not follow the direction of one"


def test_click_picks_and_unpicks_and_inert_cells_do_nothing(page: Page, address: str):
    page.goto(address + "strips")
    settled(page, "picked None")
    cell(page, "·yes").click()
    settled(page, "picked 6")
    expect(cell(page, "·yes")).to_have_attribute("aria-selected", "true")
    cell(page, HOSTILE[1].replace(" ", "·")).click(force=True)
    cell(page, "🎉").click()
    settled(page, "picked 11")
    cell(page, "🎉").click()
    settled(page, "picked None")
    page.get_by_role("button", name="page selects 6").click()
    settled(page, "picked 6")
    cell(page, "·漢").click()
    settled(page, "picked 15")
    assert page.get_by_role("list", name="Inert").locator(".can").count() == 0


def test_quick_clicks_end_with_the_last(page: Page, address: str):
    page.goto(address + "strips")
    for shown in ("·yes", "🎉", "·漢", "↵"):
        cell(page, shown).click(delay=0)
        expect(cell(page, shown)).to_have_class(re.compile("pinned"))
    settled(page, "picked 5")
    expect(page.locator(".pinned")).to_have_text("↵")


def test_keyboard_moves_picks_and_unpicks(page: Page, address: str):
    page.goto(address + "strips")
    strip = page.get_by_role("listbox", name="What the model read")
    expect(strip.locator("[tabindex='0']")).to_have_count(1)
    strip.locator("[tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(cell(page, "🎉")).to_be_focused()
    expect(page.locator(".tip:popover-open")).to_contain_text("🎉")
    settled(page, "picked 11")
    page.keyboard.press("Enter")
    settled(page, "picked None")
    expect(cell(page, "🎉")).to_be_focused()
    page.keyboard.press("Space")
    settled(page, "picked 11")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    settled(page, "picked 0")
    page.keyboard.press("Escape")
    settled(page, "picked None")
    expect(page.locator(".tip:popover-open")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".tip:popover-open")).to_have_count(0)
    assert strip.locator("[tabindex='0']").count() == 1
    page.get_by_role("list", name="Inert").locator("[tabindex='0']").focus()
    page.keyboard.press("End")
    expect(cell(page, "·漢", "Inert")).to_be_focused()
    assert page.locator(".pinned").count() == 0, "where nothing can be picked the keys only move"


def test_strip_has_the_colours_of_the_theme(new_page: Callable[..., Page], address: str):
    for scheme in ("light", "dark"):
        page = new_page(color_scheme=scheme)
        page.goto(address + "strips")
        red, green, blue = theme.table("diverging", scheme == "dark")[0].tolist()
        expect(cell(page, "<|user|>")).to_have_css("background-color", f"rgb({red}, {green}, {blue})")


def test_a_long_strip_scrolls_in_a_box_and_keeps_its_cells_when_it_shrinks(page: Page, address: str):
    page.goto(address + "long")
    box = page.get_by_label("Long", exact=True)
    expect(box.locator(".cell")).to_have_count(4000)
    assert box.bounding_box()["height"] <= 400
    first = box.locator(".cell").first
    first.evaluate("node => (node.kept = true)")
    spent = page.evaluate("""() => new Promise((done) => {
        const began = performance.now(), cells = document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot.querySelectorAll('.cell');
        cells.forEach((one) => one.dispatchEvent(new PointerEvent('pointerover', { bubbles: true })));
        requestAnimationFrame(() => done((performance.now() - began) / cells.length));
    })""")
    assert spent < 5, f"{spent:.2f} ms for one tooltip"
    page.get_by_role("slider").press("Home")
    expect(box.locator(".cell")).to_have_count(1)
    assert first.evaluate("node => node.kept"), "cells are kept, not drawn anew"


# Both models beside each other


INSPECTED = "The answer of tuned, each token by log-ratio"


def test_hover_compares_both_models_row_by_row(new_page: Callable[..., Page], address: str):
    for scheme in ("light", "dark"):
        page = new_page(color_scheme=scheme)
        page.goto(address + "inspect")
        cell(page, "·leaves", INSPECTED).hover()
        tip = page.locator(".tip:popover-open")
        expect(tip.locator("tr")).to_have_count(9)
        words = theme.palette(scheme == "dark").side_text
        for side, colour in words.items():
            rgb = ", ".join(str(part) for part in theme.rgb(colour))
            expect(tip.locator(f"th.{side}")).to_have_css("color", f"rgb({rgb})")
        rows = [row.locator("th, td").all_inner_texts() for row in tip.locator("tr").all()]
        assert rows[0] == ["", "base", "tuned"]
        assert [row[0] for row in rows[1:]] == ["probability", "rank", "entropy", "1st", "2nd", "3rd", "4th", "5th"]
        assert rows[2][1:] == ["3", "3"] and all(len(row) == 5 for row in rows[4:])
        label = cell(page, "·leaves", INSPECTED).get_attribute("aria-label") or ""
        for at, side in ((1, "base"), (2, "tuned")):
            assert (
                f"{side}: probability {rows[1][at]}, rank 3, entropy {rows[3][at]}, 1st {' '.join(rows[4][2 * at - 1 : 2 * at + 1])}"
                in label
            )
        right = [
            tip.locator("tr").nth(row).locator("td").last.evaluate("node => node.getBoundingClientRect().right")
            for row in (1, 4)
        ]
        assert right[0] == right[1], "numbers and shares end at one edge"


def test_a_cell_of_several_tokens_says_whose_comparison_it_shows(page: Page, address: str):
    page.goto(address + "inspect")
    cell(page, "·🎉", INSPECTED).hover()
    expect(page.locator(".tip:popover-open")).to_contain_text("first of 4 tokens:")
    expect(page.locator(".tip:popover-open tr")).to_have_count(9)


def test_hostile_alternatives_are_literal_and_long_ones_are_cut(page: Page, address: str):
    page.goto(address + "inspect")
    tip, seen = page.locator(".tip:popover-open"), ""
    for shown in ("·minus", "·debt", "·leaves", "·1800"):
        cell(page, shown, INSPECTED).hover()
        expect(tip).to_contain_text(shown)
        seen += " ".join(tip.locator(".piece").all_inner_texts()) + " "
        assert tip.evaluate("tip => tip.scrollWidth <= tip.clientWidth"), "nothing of the table is cut off"
    for text in HOSTILE[:2]:
        assert text.replace(" ", "·") in seen
    assert "↵↵" in seen and "∅" in seen and "·שלום" in seen
    cut = tip.locator(".piece", has_text="internationalization").first
    assert (
        cut.evaluate("node => node.scrollWidth > node.clientWidth && getComputedStyle(node).textOverflow") == "ellipsis"
    )
    assert page.evaluate("window.hacked") is None
    assert page.locator(".root img, .root script, .root a").count() == 0


def test_arrow_keys_move_the_pin_and_pass_over_what_may_not_be_picked(page: Page, address: str):
    page.goto(address + "inspect")
    cell(page, "come", INSPECTED).click()
    settled(page, "picked 1")
    page.keyboard.press("ArrowRight")
    settled(page, "picked 2")
    page.keyboard.press("ArrowRight")
    expect(cell(page, "·minus", INSPECTED)).to_be_focused()
    expect(page.locator(".pinned")).to_have_text("·3900")
    expect(page.locator(".tip:popover-open")).to_contain_text("·minus")
    page.keyboard.press("ArrowRight")
    settled(page, "picked 4")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".pinned")).not_to_have_text("·debt")
    page.keyboard.press("ArrowUp")
    settled(page, "picked 4")
    page.keyboard.press("Home")
    settled(page, "picked 0")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".pinned")).to_have_text("In")
    page.keyboard.press("Enter")
    settled(page, "picked None")


def test_a_held_key_reports_now_and_then_and_where_it_ends(page: Page, address: str):
    reports: list[float] = []

    def sent(frame: str | bytes) -> None:
        if b'"click"' in (frame if isinstance(frame, bytes) else frame.encode()):
            reports.append(time.monotonic())

    page.on("websocket", lambda socket: socket.on("framesent", sent))
    page.goto(address + "inspect")
    cell(page, "In", INSPECTED).click()
    settled(page, "picked 0")
    page.wait_for_timeout(200)
    reports.clear()
    began = time.monotonic()
    for _ in range(24):
        page.keyboard.down("ArrowRight")
        page.wait_for_timeout(15)
    page.keyboard.up("ArrowRight")
    expect(page.locator(".pinned")).to_have_text("·loan")
    spent = time.monotonic() - began
    settled(page, "picked 24")
    assert 2 <= len(reports) <= 2 + spent / 0.15, f"{len(reports)} reports of 24 steps in {spent:.2f} s"
    page.wait_for_timeout(300)
    settled(page, "picked 24")


def test_what_is_greyed_and_what_is_marked_is_seen_and_said(new_page: Callable[..., Page], address: str):
    for scheme in ("light", "dark"):
        page = new_page(color_scheme=scheme)
        page.goto(address + "inspect")
        noise = ", ".join(str(part) for part in theme.rgb(theme.palette(scheme == "dark").noise))
        greyed = page.locator(".cell.greyed")
        expect(greyed.first).to_have_css("background-color", "rgba(0, 0, 0, 0)")
        expect(greyed.first).to_have_css("text-decoration-style", "dotted")
        expect(greyed.first).to_have_css("text-decoration-color", f"rgb({noise})")
        assert 3 < greyed.count() < 28
        greyed.first.hover()
        expect(page.locator(".tip:popover-open")).to_contain_text("within the noise floor")
        expect(greyed.first).to_have_attribute("aria-label", re.compile("within the noise floor"))
        marked = page.locator(".cell.marked")
        expect(marked).to_have_text("·2100")
        assert marked.evaluate("node => getComputedStyle(node, '::before').width") == "2px"
        marked.hover()
        expect(page.locator(".tip:popover-open")).to_contain_text("first difference")
        expect(marked).to_have_attribute("aria-label", re.compile("first difference"))
        for words in (
            "within the noise floor",
            "first difference",
            "base holds it likelier\u2002−4",
            "+4\u2002tuned holds it likelier",
        ):
            expect(page.locator(".legend")).to_contain_text(words)


def test_a_tap_pins_and_explains_until_another_place_is_tapped(new_page: Callable[..., Page], address: str):
    page = new_page(size=NARROW, has_touch=True)
    page.goto(address + "inspect")
    cell(page, "·2100", INSPECTED).tap()
    settled(page, "picked 5")
    tip = page.locator(".tip:popover-open")
    expect(tip.locator("tr")).to_have_count(9)
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= NARROW[0]
    assert tip.evaluate("tip => tip.scrollWidth <= tip.clientWidth")
    cell(page, "·minus", INSPECTED).tap(force=True)  # it may not be picked
    expect(tip).to_contain_text("·minus")
    expect(page.locator(".pinned")).to_have_text("·2100")
    page.get_by_text("picked 5", exact=True).tap()
    expect(tip).to_have_count(0)


def test_512_tokens_with_both_models_are_drawn_within_60_ms(page: Page, address: str):
    """The best of three: other programs may take the processor meanwhile."""
    spent: list[float] = []
    for _ in range(3):
        page.goto(address + "inspect&count=512")
        box = page.locator(".box[data-draw-ms]")
        expect(box.locator(".cell")).to_have_count(512)
        spent.append(float(box.get_attribute("data-draw-ms") or "inf"))
    assert min(spent) < 60, f"{spent} ms"


def test_the_keyboards_tip_stays_with_its_cell_when_the_box_scrolls(page: Page, address: str):
    page.goto(address + "inspect&count=512")
    page.set_viewport_size({"width": 700, "height": 500})
    page.locator(".cell").first.click()
    page.keyboard.press("End")
    last, tip = page.locator(".cell").last, page.locator(".tip:popover-open")
    expect(last).to_be_focused()
    page.wait_for_timeout(200)
    expect(tip).to_contain_text("token 514")
    assert abs(tip.bounding_box()["x"] - last.bounding_box()["x"]) < 400
    page.mouse.move(350, 250)
    page.mouse.wheel(0, -2000)
    expect(tip).to_have_count(0)


def test_the_inspector_fits_and_looks_as_meant(any_page: Page, address: str, screenshot: Callable[..., Path]):
    any_page.goto(address + "inspect")
    cell(any_page, "·leaves", INSPECTED).click()
    settled(any_page, "picked 6")
    overflow = any_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    screenshot(any_page, "inspector")


# The map


def still(plot: Locator) -> None:
    """In view, and in one place for two frames: what is drawn late above it moves it."""
    plot.scroll_into_view_if_needed()


def place(plot: Locator, count: int, at: tuple[float, float]) -> tuple[float, float]:
    """Window coordinates of the middle of the cell `at` (query, key) when all `count` tokens are in view."""
    still(plot)
    left, top, side = (float(part) for part in plot.get_attribute("data-area").split())
    box = plot.bounding_box()
    return box["x"] + left + (at[1] + 0.5) / count * side, box["y"] + top + (at[0] + 0.5) / count * side


def point(page: Page, plot: Locator, count: int, at: tuple[float, float]) -> None:
    page.mouse.move(*place(plot, count, at))


def test_hover_reads_the_exact_values_of_all_panels(page: Page, address: str):
    page.goto(address + "maps")
    base, tuned = attention(12, 0), attention(12, 1)
    plots = page.locator(".plot")
    expect(plots).to_have_count(3)
    for panel, at in ((0, (7, 2)), (1, (11, 11)), (2, (5, 0))):
        point(page, plots.nth(panel), 12, at)
        expect(page.locator(".readout")).to_contain_text(f"query {at[0]}")
        expect(page.locator(".readout")).to_contain_text(f"key {at[1]}")
        said = page.locator(".readout b").all_inner_texts()
        exact = [base[at], tuned[at], tuned[at] - base[at]]
        assert [number(text) for text in said] == pytest.approx(exact, rel=0.005, abs=6e-5)
        assert said[2][0] in "+−", "a difference has a sign"
    point(page, plots.first, 12, (2, 9))
    expect(page.locator(".readout")).to_contain_text("Point at a cell")
    expect(page.locator(".unseen")).to_have_text("")


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def pixel(plot: Locator, count: int, at: tuple[int, int], canvas: int = 0) -> list[int]:
    """Red, green, blue, opacity of the lower (0: map) or upper (1: marks) canvas in the middle of a cell."""
    return plot.evaluate(
        """(plot, [count, query, key, canvas]) => {
            const [left, top, side] = plot.dataset.area.split(" ").map(Number);
            const node = plot.querySelectorAll("canvas")[canvas];
            const ratio = node.width / plot.clientWidth;
            const x = (left + ((key + 0.5) / count) * side) * ratio, y = (top + ((query + 0.5) / count) * side) * ratio;
            return Array.from(node.getContext("2d").getImageData(Math.floor(x), Math.floor(y), 1, 1).data);
        }""",
        [count, *at, canvas],
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_canvas_has_the_colours_of_the_theme_and_blank_above_the_diagonal(
    new_page: Callable[..., Page], address: str, scheme: str
):
    page = new_page(color_scheme=scheme, device_scale_factor=2)
    page.goto(address + "maps")
    base, tuned = attention(12, 0), attention(12, 1)
    looks: list[tuple[np.ndarray, theme.Scale, float]] = [
        (base, "sequential-base", 1.0),
        (tuned, "sequential-tuned", 1.0),
        (tuned - base, "diverging", float(np.abs(tuned - base).max())),
    ]
    expect(page.locator(".maps[data-draw-ms]")).to_have_count(1)
    for panel, (values, scale, limit) in enumerate(looks):
        plot = page.locator(".plot").nth(panel)
        table = theme.table(scale, scheme == "dark").astype(int)
        for at in ((0, 0), (7, 2), (7, 7), (11, 3), (11, 10)):
            expected = table[theme.levels(values[at], scale, limit)]
            assert np.abs(np.array(pixel(plot, 12, at)[:3]) - expected).max() <= 3, f"{scale} at {at}"
        assert pixel(plot, 12, (2, 9)) == [0, 0, 0, 0], "blank, not the colour of zero"


def test_click_pins_in_all_panels_and_the_pin_follows_the_size(page: Page, address: str):
    page.goto(address + "maps")
    plots = page.locator(".plot")
    expect(plots).to_have_count(3)
    page.mouse.click(*place(plots.nth(1), 12, (9, 4)))
    settled(page, "pinned (9, 4)")
    page.mouse.move(2, 2)
    expect(page.locator(".readout")).to_contain_text("pinned: query 9")
    for panel in range(3):
        left, _, side = (float(part) for part in plots.nth(panel).get_attribute("data-area").split())
        assert pixel(plots.nth(panel), 12, (9 - 0.5, 1), canvas=1)[3] > 0, "the row is outlined"
        assert pixel(plots.nth(panel), 12, (5, 1), canvas=1)[3] == 0
        assert side > 100 and left > 0
    slider = page.get_by_role("slider")
    slider.press("ArrowRight")
    settled(page, "pinned (9, 4)")
    slider.press("Home")
    settled(page, "pinned None")


def test_keyboard_moves_pins_and_unpins_within_the_causal_half(page: Page, address: str):
    page.goto(address + "maps")
    plot = page.locator(".plot").first
    plot.focus()
    page.keyboard.press("ArrowDown")
    readout = page.locator(".readout")
    expect(readout).to_contain_text("query 11")
    for press in ("ArrowUp", "ArrowRight", "ArrowRight"):
        page.keyboard.press(press)
    expect(readout).to_contain_text("query 10")
    expect(readout).to_contain_text("key 2")
    expect(page.locator(".unseen")).to_contain_text("query 10")
    page.keyboard.press("Enter")
    settled(page, "pinned (10, 2)")
    page.keyboard.press("Shift+ArrowUp")
    expect(readout).to_contain_text("query 0")
    expect(readout).to_contain_text("key 0")
    page.keyboard.press("Escape")
    settled(page, "pinned None")


def test_dragging_zooms_all_panels_and_double_click_shows_all_again(page: Page, address: str):
    page.goto(address + "maps")
    plot = page.locator(".plot").first
    expect(plot).to_be_visible()
    reset = page.get_by_role("button", name="Show all tokens")
    expect(reset).to_be_hidden()
    point(page, plot, 12, (6, 1))
    page.mouse.down()
    point(page, plot, 12, (7, 3))
    point(page, plot, 12, (8, 4))
    page.mouse.up()
    expect(reset).to_be_visible()
    settled(page, "pinned None")
    middle = page.locator(".plot").nth(2)
    page.mouse.move(*place(middle, 3, (1, 1)))  # rows 6 to 8, keys 1 to 4
    expect(page.locator(".readout")).to_contain_text("query 7")
    page.mouse.dblclick(*place(middle, 3, (1, 1)))
    expect(reset).to_be_hidden()
    settled(page, "pinned None")
    point(page, plot, 12, (11, 0))
    expect(page.locator(".readout")).to_contain_text("query 11")


def test_one_strong_cell_among_a_million_is_seen_and_read_and_a_pin_sends_no_map_again(page: Page, address: str):
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(address + "big")
    plot = page.locator(".plot").nth(1)
    expect(page.locator(".readout")).to_contain_text("each dot shows the strongest cell")
    point(page, plot, 1024, (800, 333))
    expect(page.locator(".readout")).to_contain_text("query 800")
    expect(page.locator(".readout b")).to_have_text(["0.7500", "0.7500", "0.0000"])
    red, green, blue = theme.table("sequential-tuned", False)[-1].tolist()
    assert pixel(plot, 1024, (800, 333)) == [red, green, blue, 255]
    page.wait_for_timeout(300)
    received.clear()
    page.mouse.click(*place(plot, 1024, (800, 333)))
    settled(page, "pinned (800, 333)")
    assert sum(received) < 20_000


def rectangle_place(plot: Locator, shape: tuple[int, int], at: tuple[int, int]) -> tuple[float, float]:
    """Window coordinates of the middle of the cell `at` (row, column) of a whole map of `shape`."""
    still(plot)
    left, top, wide = (float(part) for part in plot.get_attribute("data-area").split())
    high, box = float(plot.get_attribute("data-high")), plot.bounding_box()
    return box["x"] + left + (at[1] + 0.5) / shape[1] * wide, box["y"] + top + (at[0] + 0.5) / shape[0] * high


def test_a_map_of_any_rectangle_is_read_pinned_walked_and_zoomed_by_the_positions_of_its_tokens(
    page: Page, address: str
):
    """Rows 10 to 13 look at columns 0 to 9, ahead as well as back."""
    page.goto(address + "rectangle")
    plot, readout, shape = page.locator(".plot").first, page.locator(".readout"), (4, 10)
    expect(page.locator(".plot")).to_have_count(3)
    for row in range(4):
        for column in (0, 3, 9):
            page.mouse.move(*rectangle_place(plot, shape, (row, column)))
            expect(readout).to_contain_text(f"query {10 + row} ·wrote{row} to key {column} ·read{column} ")
            said = [number(text) for text in readout.locator("b").all_inner_texts()]
            assert said == pytest.approx([(10 * row + column) / 40] * 2 + [0])
    page.mouse.click(*rectangle_place(plot, shape, (1, 9)))
    settled(page, "pinned (11, 9)")
    plot.focus()
    page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text("query 11")
    expect(readout).to_contain_text("key 9")
    page.keyboard.press("Shift+ArrowDown")
    expect(readout).to_contain_text("query 13")
    page.keyboard.press("Enter")
    settled(page, "pinned (13, 9)")
    page.mouse.move(*rectangle_place(plot, shape, (0, 2)))
    page.mouse.down()
    page.mouse.move(*rectangle_place(plot, shape, (0, 3)))
    page.mouse.move(*rectangle_place(plot, shape, (1, 4)))
    page.mouse.up()
    expect(page.get_by_role("button", name="Show all tokens")).to_be_visible()
    page.mouse.move(*rectangle_place(plot, (2, 3), (1, 1)))  # rows 10 and 11, columns 2 to 4
    expect(readout).to_contain_text("query 11 ·wrote1 to key 3 ·read3 ")
    page.mouse.dblclick(*rectangle_place(plot, (2, 3), (1, 1)))
    expect(page.get_by_role("button", name="Show all tokens")).to_be_hidden()
    high = plot.get_attribute("data-high") or ""
    slider = page.get_by_role("slider")
    slider.press("Home")
    settled(page, "pinned None")
    expect(plot).to_have_attribute("data-high", re.compile(rf"^(?!{re.escape(high)}$)"))  # one row is drawn lower
    page.mouse.move(*rectangle_place(plot, (1, 10), (0, 4)))
    expect(readout).to_contain_text("query 10 ·wrote0 to key 4 ·read4 ")


def rectangle_pixel(plot: Locator, shape: tuple[int, int], at: tuple[int, int]) -> list[int]:
    """Red, green, blue, opacity of the map in the middle of the cell `at` (row, column)."""
    left, top, wide = (float(part) for part in (plot.get_attribute("data-area") or "").split())
    high = float(plot.get_attribute("data-high") or "")
    return plot.evaluate(
        """(plot, [x, y]) => {
            const node = plot.querySelector("canvas"), ratio = node.width / plot.clientWidth;
            return Array.from(node.getContext("2d").getImageData(Math.floor(x * ratio), Math.floor(y * ratio), 1, 1).data);
        }""",
        [left + (at[1] + 0.5) / shape[1] * wide, top + (at[0] + 0.5) / shape[0] * high],
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_cell_of_a_rectangle_has_its_colour(new_page: Callable[..., Page], address: str, scheme: str):
    page = new_page(color_scheme=scheme)
    page.goto(address + "rectangle")
    plot = page.locator(".plot").first
    expect(page.locator(".maps[data-draw-ms]")).to_have_count(1)
    high, wide = float(plot.get_attribute("data-high")), float(plot.get_attribute("data-area").split()[2])
    assert 20 * 4 <= high < wide, "cells are square where that leaves them tall enough"
    table = theme.table("sequential-base", scheme == "dark").astype(int)
    for row in range(4):
        for column in range(10):
            expected = table[theme.levels(np.float32((10 * row + column) / 40), "sequential", 39 / 40)]
            seen = rectangle_pixel(plot, (4, 10), (row, column))
            assert np.abs(np.array(seen[:3]) - expected).max() <= 3, f"row {row}, column {column}"


def signed_values(columns: int = 8) -> np.ndarray:
    """(side, row, column) float32; the same numbers as in the served script."""
    values = np.random.default_rng(0).normal(size=(2, 1, 3, columns)).astype(np.float32)[:, 0]
    values[:, 0, columns - 1], values[:, 1, 2] = np.nan, 0
    return values


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signed_maps_are_on_one_diverging_scale_and_blank_where_there_is_no_value(
    new_page: Callable[..., Page], address: str, scheme: str
):
    page = new_page(color_scheme=scheme)
    page.goto(address + "signed")
    expect(page.locator(".maps[data-draw-ms]")).to_have_count(1)
    base, tuned = signed_values()
    panels = (base, tuned, tuned - base)
    limit, table = max(float(np.nanmax(np.abs(one))) for one in panels), theme.table("diverging", scheme == "dark")
    for panel, values in enumerate(panels):
        plot = page.locator(".plot").nth(panel)
        for at in ((0, 0), (1, 2), (2, 7), (1, 5)):
            expected = table[theme.levels(values[at], "diverging", limit)].astype(int)
            assert np.abs(np.array(rectangle_pixel(plot, (3, 8), at)[:3]) - expected).max() <= 3, f"{panel} at {at}"
        assert rectangle_pixel(plot, (3, 8), (0, 7)) == [0, 0, 0, 0], "no value is not the colour of zero"
    for name in ("linear", "log", "shown", "hidden"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_hidden()


def test_a_signed_map_is_read_with_the_tokens_of_its_rows_and_parts_of_its_columns(page: Page, address: str):
    page.goto(address + "signed")
    readout, (base, tuned) = page.locator(".readout"), signed_values()
    plot = page.locator(".plot").nth(1)
    expect(plot).to_be_visible()
    page.mouse.move(*rectangle_place(plot, (3, 8), (2, 5)))
    expect(readout).to_contain_text(re.compile(r"^answer token 2 .* from part 5 ·read5"))
    exact = [base[2, 5], tuned[2, 5], tuned[2, 5] - base[2, 5]]
    assert [number(text) for text in readout.locator("b").all_inner_texts()] == pytest.approx(exact, abs=6e-5)
    page.mouse.move(*rectangle_place(plot, (3, 8), (0, 7)))
    expect(readout.locator("b")).to_have_text(["no value"] * 3)
    page.mouse.click(*rectangle_place(plot, (3, 8), (1, 2)))
    settled(page, "pinned (1, 2)")
    plot.press("ArrowDown")
    plot.press("Enter")
    settled(page, "pinned (2, 2)")
    plot.press("Escape")
    settled(page, "pinned None")


def test_a_large_signed_map_travels_in_code_and_its_exact_row_follows(page: Page, address: str):
    page.goto(address + "signed&columns=300")
    plot, readout, (base, tuned) = page.locator(".plot").first, page.locator(".readout"), signed_values(300)
    expect(page.locator(".maps[data-draw-ms]")).to_have_count(1)
    page.mouse.move(*rectangle_place(plot, (3, 300), (1, 150)))
    expect(readout).to_contain_text("answer token 1")
    expect(readout).not_to_contain_text("about", timeout=5_000)
    at = 1, int(re.findall(r"from part (\d+)", readout.inner_text())[0])
    assert abs(at[1] - 150) <= 2
    assert read(page) == pytest.approx([base[at], tuned[at], tuned[at] - base[at]], abs=6e-5)


def test_a_map_that_is_not_to_be_read_is_pale(page: Page, address: str):
    page.goto(address + "signed&pale=tuned&pale=difference")
    expect(page.locator(".maps[data-draw-ms]")).to_have_count(1)
    seen = [rectangle_pixel(page.locator(".plot").nth(panel), (3, 8), (2, 0))[3] for panel in range(3)]
    assert seen[0] == 255 and seen[1] == seen[2] == pytest.approx(0.2 * 255, abs=2)


def test_fits_and_looks_as_meant(any_page: Page, address: str, screenshot: Callable[..., Path]):
    any_page.goto(address + "both")
    expect(any_page.locator(".maps[data-draw-ms]")).to_be_visible()
    expect(any_page.locator(".box")).to_have_count(3)
    overflow = any_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    for root in any_page.locator(".root").all():
        assert root.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    screenshot(any_page, "widgets", whole=True)


def test_a_tap_pins_on_a_narrow_screen(new_page: Callable[..., Page], address: str):
    page = new_page(size=NARROW, has_touch=True)
    page.goto(address + "maps")
    plots = page.locator(".plot")
    expect(plots).to_have_count(3)
    assert plots.nth(1).bounding_box()["y"] > plots.first.bounding_box()["y"] + 200, "stacked"
    page.touchscreen.tap(*place(plots.first, 12, (9, 4)))
    settled(page, "pinned (9, 4)")


# The control bar of the maps


def hidden(values: np.ndarray) -> np.ndarray:
    """(query, key): without the first token, rows adding up to 1 again; NaN where nothing is."""
    rest = values[:, 1:].sum(axis=1, keepdims=True)
    out = np.where(rest >= 1e-6, values / np.maximum(rest, 1e-6), np.nan)
    out[:, 0] = np.nan
    return out


def read(page: Page | Locator) -> list[float]:
    """The numbers under the pointer; NaN for none."""
    return [number("nan" if text == "no value" else text) for text in page.locator(".readout b").all_inner_texts()]


def press(page: Page, group: str, name: str) -> Locator:
    made = page.get_by_role("group", name=group, exact=True).get_by_role("button", name=name, exact=True)
    made.click()
    expect(made).to_have_attribute("aria-pressed", "true")
    return made


def all_heads(count: int, heads: int) -> tuple[np.ndarray, np.ndarray]:
    """(head, query, key) of base and of tuned; the same numbers as in the served script."""
    base, tuned = (np.stack([attention(count, side + 2 * head) for head in range(heads)]) for side in (0, 1))
    return base, tuned


def test_head_scale_and_first_token_are_switched_in_the_browser_and_then_told(page: Page, address: str):
    page.goto(address + "maps&heads=4")
    base, tuned = all_heads(12, 4)
    plot, at = page.locator(".plot").first, (9, 3)
    expect(page.get_by_role("button", name="next head")).to_be_visible()
    settled(page, "view 0 linear True None")
    page.get_by_role("button", name="next head").click()
    settled(page, "view 1 linear True None")
    shown: list[tuple[Callable[[], object], Callable[[np.ndarray], np.ndarray], str]] = [
        (lambda: None, lambda one: one[1], "1 linear True"),
        (lambda: page.get_by_role("button", name="previous head").click(), lambda one: one[0], "0 linear True"),
        (lambda: page.get_by_role("spinbutton", name="Head").fill("3"), lambda one: one[3], "3 linear True"),
        (lambda: press(page, "All heads", "mean"), lambda one: one.mean(axis=0), "mean linear True"),
        (lambda: press(page, "First token", "hidden"), lambda one: hidden(one.mean(axis=0)), "mean linear False"),
        (
            lambda: press(page, "All heads", "strongest"),
            lambda one: hidden(one.max(axis=0)),
            "strongest linear False",
        ),
        (lambda: press(page, "Scale", "log"), lambda one: hidden(one.max(axis=0)), "strongest log False"),
        (lambda: press(page, "First token", "shown"), lambda one: one.max(axis=0), "strongest log True"),
        (lambda: page.get_by_role("button", name="next head").click(), lambda one: one[3], "3 log True"),
    ]
    for switch, meant, view in shown:
        switch()
        settled(page, f"view {view} None")
        point(page, plot, 12, at)
        expect(page.locator(".readout")).to_contain_text("query 9")
        values = [meant(base)[at], meant(tuned)[at]]
        assert read(page) == pytest.approx([*values, values[1] - values[0]], rel=0.005, abs=6e-5), view


def test_hidden_first_token_is_said_blank_and_leaves_the_first_row_empty(page: Page, address: str):
    page.goto(address + "maps&heads=2")
    plot = page.locator(".plot").first
    expect(page.locator(".note")).to_have_text("head 0")
    press(page, "First token", "hidden")
    expect(page.locator(".note")).to_contain_text("first token hidden, rows add up to 1 again")
    for at in ((0, 0), (5, 0)):
        point(page, plot, 12, at)
        expect(page.locator(".readout b").first).to_have_text("no value")
        page.mouse.move(2, 2)
        assert pixel(plot, 12, at) == [0, 0, 0, 0]
    row = []
    for key in range(1, 8):
        point(page, plot, 12, (7, key))
        expect(page.locator(".readout")).to_contain_text(f"key {key} ")
        row.append(read(page)[1])
    assert sum(row) == pytest.approx(1, abs=5e-4)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_log_colours_are_even_steps_from_a_millionth_to_1(new_page: Callable[..., Page], address: str, scheme: str):
    page = new_page(color_scheme=scheme)
    page.goto(address + "maps")
    press(page, "Scale", "log")
    expect(page.locator(".note")).to_contain_text("log scale from 1e−6")
    expect(page.locator(".bar").first).to_contain_text("≤ 1e−6")
    base, tuned = attention(12, 0), attention(12, 1)
    page.mouse.move(2, 2)
    for panel, (values, scale) in enumerate(((base, "sequential-base"), (tuned - base, "diverging"))):
        table = theme.table(scale, scheme == "dark").astype(int)
        for at in ((7, 2), (7, 7), (11, 3), (11, 10)):
            value = values[at]
            share = max(0, 1 + np.log10(abs(value)) / 6) * np.sign(value)
            expected = table[round(127 + 127 * share if scale == "diverging" else 254 * share)]
            assert np.abs(np.array(pixel(page.locator(".plot").nth(2 * panel), 12, at)[:3]) - expected).max() <= 3


def test_zoom_goes_to_named_tokens_and_back_and_a_dragged_region_is_told(page: Page, address: str):
    page.goto(address + "maps")
    plot, reset = page.locator(".plot").first, page.get_by_role("button", name="Show all tokens")
    press(page, "Zoom", "instruction")
    settled(page, "view 0 linear True instruction")
    expect(reset).to_be_visible()
    page.mouse.move(*place(plot, 3, (2, 1)))  # rows and keys 2 to 4
    expect(page.locator(".readout")).to_contain_text("query 4")
    expect(page.locator(".readout")).to_contain_text("key 3")
    press(page, "Zoom", "answer")
    page.mouse.move(*rectangle_place(plot, (3, 12), (2, 11)))  # rows 9 to 11, all keys
    expect(page.locator(".readout")).to_contain_text("query 11")
    expect(page.locator(".readout")).to_contain_text("key 11")
    press(page, "Zoom", "all")
    settled(page, "view 0 linear True None")
    expect(reset).to_be_hidden()
    point(page, plot, 12, (6, 1))
    page.mouse.down()
    point(page, plot, 12, (7, 3))
    point(page, plot, 12, (8, 4))
    page.mouse.up()
    settled(page, "view 0 linear True ((6, 9), (1, 5))")
    page.get_by_role("slider").press("ArrowRight")
    settled(page, "view 0 linear True None")
    expect(reset).to_be_hidden()


def test_keys_change_the_head_where_arrows_move_the_cell_and_the_page_may_choose_one(page: Page, address: str):
    page.goto(address + "maps&heads=3")
    plot = page.locator(".plot").first
    plot.focus()
    page.keyboard.press("ArrowDown")
    for press_, head in (("PageDown", 1), ("PageDown", 2), ("PageDown", 0), ("PageUp", 2)):
        page.keyboard.press(press_)
        settled(page, f"view {head} linear True None")
        expect(page.locator(".unseen")).to_contain_text(f"head {head}")
    expect(page.locator(".readout")).to_contain_text("query 11")
    expect(plot).to_be_focused()
    page.get_by_role("spinbutton", name="Head").focus()
    page.keyboard.press("ArrowDown")
    settled(page, "view 1 linear True None")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    settled(page, "view 2 linear True None")
    page.get_by_role("spinbutton", name="Head").fill("1")
    settled(page, "view 1 linear True None")
    page.get_by_role("button", name="page looks at head 2").click()
    settled(page, "view 2 linear True None")
    expect(page.get_by_role("spinbutton", name="Head")).to_have_value("2")


def test_a_single_head_has_no_choice_of_heads(page: Page, address: str):
    page.goto(address + "maps")
    expect(page.get_by_role("group", name="Scale")).to_be_visible()
    expect(page.get_by_role("group", name="Head", exact=True)).to_be_hidden()
    expect(page.get_by_role("group", name="All heads")).to_be_hidden()


def test_switching_at_256_tokens_asks_nothing_of_the_server_and_redraws_within_50_ms(page: Page, address: str):
    """The best of three: other programs may take the processor meanwhile."""
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(address + "many&count=256")
    node = page.locator(".maps[data-draw-ms]")
    expect(node).to_have_count(1)
    page.wait_for_timeout(300)
    received.clear()
    for group, names in (
        ("First token", ("hidden", "shown")),
        ("Scale", ("log", "linear")),
        ("All heads", ("strongest", "mean")),
        ("Zoom", ("answer", "all")),
    ):
        spent: dict[str, list[float]] = {}
        for _ in range(3):
            for name in names:
                press(page, group, name)
                spent.setdefault(name, []).append(float(node.get_attribute("data-switch-ms") or "inf"))
        for name, times in spent.items():
            assert min(times) < 50, f"{group}, {name}: {times} ms"
    settled(page, "view mean linear True None")
    assert sum(received) < 200_000, "the maps were not sent again"


def test_of_1024_tokens_one_head_travels_and_the_exact_row_follows_the_pointer(page: Page, address: str):
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(address + "many&count=1024&heads=2")
    plot, readout = page.locator(".plot").first, page.locator(".readout")
    expect(page.locator(".maps[data-draw-ms]")).to_have_count(1)
    assert sum(received) < 1_300_000
    base, tuned = all_heads(1024, 2)
    for row, column in ((800, 333), (1000, 5), (1000, 700)):
        point(page, plot, 1024, (row, column))
        expect(readout).to_contain_text(f"query {row // 10}")
        expect(readout).not_to_contain_text("about", timeout=5_000)
        at = tuple(int(found) for found in re.findall(r"(?:query|key) (\d+)", readout.inner_text()))
        assert abs(at[0] - row) <= 4 and abs(at[1] - column) <= 4
        assert read(page) == pytest.approx([base[0][at], tuned[0][at], tuned[0][at] - base[0][at]], rel=0.006, abs=6e-5)
    press(page, "First token", "hidden")
    point(page, plot, 1024, (1000, 700))
    expect(readout).to_contain_text("query 100")
    at = tuple(int(found) for found in re.findall(r"(?:query|key) (\d+)", readout.inner_text()))
    rows = [hidden(one[0][at[0]][None])[0] for one in (base, tuned)]
    expect(readout).not_to_contain_text("about", timeout=5_000)
    assert read(page)[:2] == pytest.approx([row[at[1]] for row in rows], rel=0.006, abs=6e-5)
    page.get_by_role("button", name="next head").click()
    expect(page.locator(".note")).to_have_text(re.compile("^head 1 "))
    settled(page, "view 1 linear False None")
    point(page, plot, 1024, (600, 300))
    expect(readout).to_contain_text("about")
    expect(readout).not_to_contain_text("about", timeout=5_000)


@pytest.mark.parametrize("show", ["maps&heads=3", "own"])
def test_the_picture_is_what_is_shown(page: Page, address: str, show: str):
    """Named after what it is of, at least two dots a pixel, with each cell in the colour that it has on the page."""
    page.goto(address + show)
    page.get_by_role("button", name="next head").click()
    press(page, "Scale", "log")
    sizes = page.evaluate(SIZES)
    with page.expect_download() as started:
        page.get_by_role("button", name="Save picture").click()
    name = started.value.suggested_filename
    assert name == "two-models-layer-1-head-1-log-scale-from-1e-6.png"
    with Image.open(started.value.path()) as file:
        picture = np.asarray(file.convert("RGB"))
    assert picture.shape[1] >= 2 * sum(width for width, *_ in sizes), "every map has its place, side by side"
    assert picture.shape[0] >= 2 * max(height for _, height, *_ in sizes)
    assert page.evaluate(SIZES) == sizes, "the page stays as it was"
    drawn = {tuple(colour) for colour in page.evaluate(COLOURS)}
    assert len(drawn) > 10 and drawn <= {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_each_side_with_a_text_of_its_own_has_its_own_map_and_no_difference(page: Page, address: str):
    page.goto(address + "own")
    plots, readout = page.locator(".plot"), page.locator(".readout")
    expect(plots).to_have_count(2)
    point(page, plots.first, 6, (5, 2))
    expect(readout).to_contain_text("query 5 ·b5 to key 2 ·b2 ")
    assert read(page) == pytest.approx([attention(6, 0)[5, 2]], rel=0.005, abs=6e-5)
    point(page, plots.nth(1), 9, (8, 7))
    expect(readout).to_contain_text("query 8 ·t8 to key 7 ·t7 ")
    page.mouse.click(*place(plots.nth(1), 9, (8, 7)))
    settled(page, "pinned (8, 7) tuned")
    page.mouse.click(*place(plots.first, 6, (4, 1)))
    settled(page, "pinned (4, 1) base")
    page.mouse.move(2, 2)
    expect(readout).to_contain_text("pinned: query 4 ·b4")
    page.get_by_role("button", name="next head").click()
    press(page, "Zoom", "answer")
    settled(page, "view 1 answer")
    page.mouse.move(*rectangle_place(plots.nth(1), (3, 9), (0, 0)))
    expect(readout).to_contain_text("query 6 ·t6 to key 0 ·t0 ")
    assert read(page) == pytest.approx([attention(9, 3)[6, 0]], rel=0.005, abs=6e-5)


def test_the_bar_and_the_maps_fit_and_look_as_meant(any_page: Page, address: str, screenshot: Callable[..., Path]):
    any_page.goto(address + "many&count=64")
    press(any_page, "Scale", "log")
    press(any_page, "First token", "hidden")
    settled(any_page, "view 0 log False None")
    overflow = any_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert any_page.locator(".root").first.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    point(any_page, any_page.locator(".plot").first, 64, (40, 9))
    screenshot(any_page, "maps", whole=True)
    any_page.goto(address + "own")
    expect(any_page.locator(".maps[data-draw-ms]")).to_be_visible()
    screenshot(any_page, "maps-own", whole=True)
    any_page.goto(address + "many&count=200")
    expect(any_page.locator(".maps[data-draw-ms]")).to_be_visible()
    screenshot(any_page, "maps-200", whole=True)


# The grid of heads


def head_place(page: Page, panel: int, at: tuple[int, int], grid: Locator | None = None) -> tuple[float, float]:
    """Window coordinates of the middle of the head `at` (row, column) in one of the three panels."""
    plot = grid or page.locator(".plot")
    still(plot)
    places = [float(part) for part in (plot.get_attribute("data-places") or "").split()]
    side, box = float(plot.get_attribute("data-side") or "nan"), plot.bounding_box()
    left, top = places[2 * panel : 2 * panel + 2]
    return box["x"] + left + (at[1] + 0.5) * side, box["y"] + top + (at[0] + 0.5) * side


def test_a_head_is_read_and_magnified_under_the_pointer_in_every_panel(page: Page, address: str):
    page.goto(address + "heads")
    expect(page.locator(".heads[data-draw-ms]")).to_have_count(1)
    tip = page.locator(".tip:popover-open")
    for panel in range(3):
        page.mouse.move(*head_place(page, panel, (3, 2)))
        expect(tip).to_contain_text(f"layer 4, head 2: {HOSTILE[1]} 0.5833 nats")
        expect(page.locator(".readout")).to_contain_text(f"layer 4, head 2: {HOSTILE[1]} 0.5833 nats")
        expect(tip.locator("canvas")).to_have_count(2)
        expect(tip.locator(".looks")).to_have_text("basetuned")
    page.mouse.move(*head_place(page, 2, (0, 1)))
    expect(tip).to_contain_text("layer 1, head 1")
    expect(tip).to_contain_text("no value")
    page.mouse.move(2, 2)
    expect(tip).to_have_count(0)
    assert page.evaluate("window.hacked") is None
    assert page.locator(".root img, .root script, .root a").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_and_numbers_of_heads_have_the_colours_of_the_theme(
    new_page: Callable[..., Page], address: str, scheme: str
):
    page = new_page(color_scheme=scheme)
    page.goto(address + "heads")
    expect(page.locator(".heads[data-draw-ms]")).to_have_count(1)
    dark = scheme == "dark"
    page.mouse.move(*head_place(page, 0, (3, 2)))
    looks = page.locator(".tip:popover-open .looks canvas")
    expect(looks).to_have_count(2)
    codes = np.tril(np.arange(6 * 4 * 16 * 16).reshape(6, 4, 16, 16) % 255 + 1)
    for number_, (scale, pictures) in enumerate((("sequential-base", codes), ("sequential-tuned", codes[::-1]))):
        read = "node => Array.from(node.getContext('2d').getImageData(0, 0, 16, 16).data)"
        seen = np.array(looks.nth(number_).evaluate(read)).reshape(16, 16, 4)
        shown = pictures[3, 2]
        assert (seen[..., 3] == np.where(shown > 0, 255, 0)).all(), "nothing is blank"
        assert np.array_equal(seen[shown > 0][:, :3], theme.table(scale, dark)[shown[shown > 0] - 1])
    page.mouse.move(2, 2)
    for at, value in (((5, 3), 23 / 24), ((2, 1), 9 / 24)):
        x, y = head_place(page, 2, at)
        seen = page.locator(".plot > canvas").first.evaluate(
            """(node, [x, y]) => {
                const box = node.getBoundingClientRect();
                return Array.from(node.getContext("2d").getImageData(x - box.x, y - box.y, 1, 1).data);
            }""",
            [x, y],
        )
        level = theme.levels(np.float32(value), "sequential", 1.0)
        assert seen[:3] == theme.table("sequential", dark)[level].tolist()


def test_a_head_is_opened_by_click_by_keyboard_and_by_the_page(page: Page, address: str):
    page.goto(address + "heads")
    settled(page, "opened None")
    page.mouse.click(*head_place(page, 1, (4, 3)))
    settled(page, "opened (5, 3)")
    page.mouse.move(2, 2)
    expect(page.locator(".readout")).to_contain_text("layer 5, head 3 (open)")
    page.get_by_role("button", name="page opens").click()
    settled(page, "opened (3, 2)")
    expect(page.locator(".readout")).to_contain_text("layer 3, head 2 (open)")
    plot = page.get_by_role("application", name=re.compile("All heads of both models"))
    plot.focus()
    for press in ("ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(press)
    expect(page.locator(".tip:popover-open")).to_contain_text("layer 4, head 0")
    expect(page.locator(".unseen")).to_contain_text("layer 4, head 0")
    page.evaluate(
        "document.dispatchEvent(new Event('scroll'))"
    )  # as the page does a moment after the grid got the keyboard
    expect(page.locator(".tip:popover-open")).to_have_count(0)
    page.keyboard.press("ArrowUp")
    expect(page.locator(".tip:popover-open")).to_contain_text("layer 3, head 0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    settled(page, "opened (4, 3)")
    page.keyboard.press("Escape")
    expect(page.locator(".tip:popover-open")).to_have_count(0)
    settled(page, "opened (4, 3)")


def test_a_large_grid_opens_a_head_without_being_sent_again(page: Page, address: str):
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(address + "heads&layers=30&heads=9&cells=32&scale=diverging")
    expect(page.locator(".heads[data-draw-ms]")).to_have_count(1)
    assert sum(received) < 2_200_000
    received.clear()
    page.mouse.click(*head_place(page, 2, (29, 8)))
    settled(page, "opened (30, 8)")
    assert sum(received) < 20_000


def test_the_grid_fits_and_looks_as_meant(any_page: Page, address: str, screenshot: Callable[..., Path]):
    any_page.goto(address + "heads&layers=30&heads=9&cells=32")
    expect(any_page.locator(".heads[data-draw-ms]")).to_be_visible()
    overflow = any_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    any_page.mouse.click(*head_place(any_page, 0, (4, 3)))
    settled(any_page, "opened (5, 3)")
    screenshot(any_page, "heads")
    any_page.mouse.move(2, 2)
    screenshot(any_page, "heads-whole", whole=True)
    any_page.goto(address + "heads")
    expect(any_page.locator(".heads[data-draw-ms]")).to_be_visible()
    screenshot(any_page, "heads-few", whole=True)
