// What all widgets use. Text from models and people reaches the page through textContent or fillText, never as markup.
const QUIET = "\u0001";

const TYPES = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array };

// Arrays that travelled deflated come out as their bytes; `inflated` makes them what they are.
function unpack(block) {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(block.subarray(4, 4 + length)));
  let at = 4 + length;
  for (const { name, dtype, length: count, deflated } of header.arrays) {
    at += (8 - (at % 8)) % 8;
    const type = deflated ? Uint8Array : TYPES[dtype];
    const size = deflated ?? count * type.BYTES_PER_ELEMENT;
    header[name] = new type(block.buffer.slice(block.byteOffset + at, block.byteOffset + at + size));
    at += size;
  }
  return header;
}

const isDeflated = (content) => content.arrays.some(({ deflated }) => deflated);

async function inflated(content) {
  const all = content.arrays.filter(({ deflated }) => deflated).map(async ({ name, dtype }) => {
    const stream = new Blob([content[name]]).stream().pipeThrough(new DecompressionStream("deflate"));
    content[name] = new TYPES[dtype](await new Response(stream).arrayBuffer());
  });
  await Promise.all(all);
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const plain = (shown) => shown.replaceAll(QUIET, "");

// Sets the text of a node from the output of Python's `visible`: what stands for another character is quiet.
function write(node, shown) {
  node.replaceChildren(...shown.split(QUIET).map((part, i) => (i % 2 ? element("i", "quiet", part) : document.createTextNode(part))));
}

function channels(colour) {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

function isDark(node) {
  const [r, g, b] = channels(getComputedStyle(node).getPropertyValue("--st-background-color").trim() || "#ffffff");
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 128;
}

function number(value, signed) {
  if (Number.isNaN(value)) return "no value";
  const size = Math.abs(value);
  const text = size === 0 || (size >= 0.001 && size < 1e5) ? size.toFixed(4) : size.toExponential(2).replace("-", "\u2212");
  return (value < 0 ? "\u2212" : signed && value > 0 ? "+" : "") + text;
}

// For the ends of a scale: as short as the value allows.
const short = (value) => String(Number(value.toPrecision(3))).replace("-", "\u2212");

function colourBar(table, low, high, unit) {
  const bar = element("span", "bar muted data");
  const canvas = element("canvas");
  canvas.width = table.length / 4;
  canvas.height = 1;
  const image = new ImageData(canvas.width, 1);
  for (let i = 0; i < table.length; i += 4) image.data.set([table[i], table[i + 1], table[i + 2], 255], i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  bar.append(element("span", "", low), canvas, element("span", "", unit ? `${high}  ${unit}` : high));
  return bar;
}

class Tip {
  constructor(parent) {
    this.node = element("div", "tip");
    this.node.setAttribute("popover", "manual");
    this.node.setAttribute("aria-hidden", "true"); // the same words are the aria-label of the cell
    parent.append(this.node);
  }
  // Lines, and under them any further nodes, beside a box of the window.
  show(lines, box, ...further) {
    this.node.replaceChildren(...lines.map((line) => {
      const row = element("div");
      row.dir = "auto";
      write(row, line);
      return row;
    }), ...further);
    if (!this.node.matches(":popover-open")) this.node.showPopover();
    const { width, height } = this.node.getBoundingClientRect();
    const above = box.top - height - 8;
    this.node.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`;
    this.node.style.top = `${above >= 8 ? above : Math.min(box.bottom + 8, innerHeight - height - 8)}px`;
  }
  hide() {
    if (this.node.matches(":popover-open")) this.node.hidePopover();
  }
}

// Where the pin of each widget stands in this browser: {turn, cell, click}; outlives the widget's node.
const pins = new Map();

// The pin to show: the page's wish when it is new and no click is still under way to Python, else the last one here.
function pinned({ key, cell, turn, after }) {
  const held = pins.get(key) ?? { turn: -1 };
  if (held.turn !== turn) Object.assign(held, { turn }, held.click === undefined || held.click === after ? { cell } : {});
  pins.set(key, held);
  return held.cell;
}

// What is reported to Python of one thing: at once, what follows within PACE when that is over, and of several the last. A
// held key makes thirty steps a second, and each report runs the page.
const PACE = 150;

class Channel {
  tell(value) {
    this.waiting = { value };
    if (this.pause === undefined) this.flush();
  }
  flush() {
    const { waiting } = this;
    this.waiting = this.pause = undefined;
    if (!waiting) return;
    this.send(waiting.value);
    this.pause = setTimeout(() => this.flush(), PACE);
  }
}

// One object per place on the page, kept while Streamlit calls again with new data. Streamlit runs the cleanup of a
// superseded call after the next call may have begun, so only the latest call's cleanup counts. The widget tells Python
// its pin and what else is in `names`; each of these is settled between page and person as the pin is.
function mounted(make, names = []) {
  const instances = new WeakMap();
  return ({ parentElement, data, setStateValue }) => {
    let widget = instances.get(parentElement);
    if (!widget) {
      instances.set(parentElement, (widget = make(parentElement.querySelector(".root"))));
      widget.channels = Object.fromEntries(["pick", ...names].map((name) => [name, new Channel()]));
      widget.tell = (name, value) => widget.channels[name].tell(value);
      widget.pick = (cell) => widget.tell("pick", cell);
    }
    const turn = (widget.turn = (widget.turn ?? 0) + 1);
    const content = unpack(data);
    const wishes = { pick: content.wish, ...content.wishes };
    for (const [name, channel] of Object.entries(widget.channels)) {
      pinned(wishes[name]);
      channel.send = (cell) => {
        const click = `${Date.now()}-${Math.random()}`;
        Object.assign(pins.get(wishes[name].key), { cell, click });
        setStateValue(name, { cell, click });
      };
    }
    const show = () => {
      if (widget.turn !== turn || instances.get(parentElement) !== widget) return;
      widget.show(content, ...Object.entries(widget.channels).map(([name, { waiting }]) => (waiting ? waiting.value : pinned(wishes[name]))));
    };
    if (isDeflated(content)) inflated(content).then(show);
    else show();
    return () => {
      if (widget.turn !== turn) return;
      for (const { pause } of Object.values(widget.channels)) clearTimeout(pause);
      widget.remove();
      instances.delete(parentElement);
    };
  };
}
