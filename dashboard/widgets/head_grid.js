const GAP = 24; // between panels
const HEADLINE = 44; // title, colour bar and head numbers above a panel
const TITLE = 280; // title and colour bar keep this width over a narrow panel
const LAYERS = 40; // room for the layer numbers left of a panel
const LARGEST = 48; // side of a head in CSS pixels
const TALL = 640; // the grid is not taller than this while heads keep their SMALLEST side
const SMALLEST = 20;
const NARROW = 640; // below this width panels are stacked
const LABEL = 12; // height of a number beside the grid
const HINT = "Each square is one head, from the first token to the last: a row is a token that looks, a column one looked at. Point at a head to read it, click or press Enter to open it.";

// A head is [row, column] here; [layer, head], the numbers that people know, where the page and people read it.

class Heads {
  constructor(root) {
    this.root = root;
    this.node = element("div", "heads");
    this.plot = element("div", "plot");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "application");
    this.image = element("canvas");
    this.marks = element("canvas");
    for (const canvas of [this.image, this.marks]) canvas.setAttribute("aria-hidden", "true");
    this.readout = element("div", "readout data");
    this.words = element("div", "words muted");
    this.live = element("div", "unseen");
    this.live.setAttribute("aria-live", "polite");
    this.node.append(this.plot, this.readout, this.words, this.live);
    root.replaceChildren(this.node);
    this.tip = new Tip(root);
    this.heads = [];
    this.listen();
    this.scrolled = () => this.left();
    addEventListener("scroll", this.scrolled, true);
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.node);
  }

  remove() {
    this.watch.disconnect();
    removeEventListener("scroll", this.scrolled, true);
    clearTimeout(this.speaking);
    this.root.replaceChildren();
  }

  show(content, opened) {
    const mode = isDark(this.root) ? "dark" : "light";
    const { measure, shape } = content;
    Object.assign(this, { content, shape });
    this.opened = opened && this.held([content.layers.indexOf(opened[0]), opened[1]]);
    if (this.cell && !this.held(this.cell)) this.cell = null;
    this.panels = [
      { title: "base", table: content[`sequential-base ${mode}`], atlas: this.atlas("base", mode), low: "1e\u22126", high: "1", unit: "log" },
      { title: "tuned", table: content[`sequential-tuned ${mode}`], atlas: this.atlas("tuned", mode), low: "1e\u22126", high: "1", unit: "log" },
      { ...measure, table: content[`${measure.scale} ${mode}`], ...this.ends(measure) },
    ];
    for (const head of this.heads.splice(0)) head.remove();
    for (const { title, table, low, high, unit } of this.panels) {
      const head = element("div", "head");
      head.append(element("span", "title", title), colourBar(table, low, high, unit));
      this.heads.push(head);
    }
    this.plot.replaceChildren(...this.heads, this.image, this.marks);
    this.words.textContent = `Layers go down, heads across. base and tuned: mean share of the look, blank below 1e\u22126. ${measure.words}`;
    const said = `All heads of both models and their ${measure.title}, ${shape[0]} layers by ${shape[1]} heads.`;
    this.plot.setAttribute("aria-label", `${said} Arrow keys move, Home and End go along a layer, Enter opens a head.`);
    this.theme();
    this.measure();
    this.draw();
  }

  ends({ scale, limit, unit }) {
    const both = scale === "diverging";
    return { low: both ? short(-limit) : "0", high: (both ? "+" : "") + short(limit), unit };
  }

  // All pictures of one side as one image: heads across, layers down.
  atlas(side, mode) {
    const codes = this.content[side], table = this.content[`sequential-${side} ${mode}`];
    const [layers, heads] = this.content.shape, [rows, columns] = this.content.cells[side];
    if (!codes.length) return null;
    const image = new ImageData(heads * columns, layers * rows);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = codeColours(table);
    let at = 0;
    for (let layer = 0; layer < layers; layer += 1)
      for (let head = 0; head < heads; head += 1)
        for (let row = 0; row < rows; row += 1) {
          const line = (layer * rows + row) * heads * columns + head * columns;
          for (let column = 0; column < columns; column += 1, at += 1) pixels[line + column] = colours[codes[at]];
        }
    const canvas = element("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext("2d").putImageData(image, 0, 0);
    return { canvas, rows, columns };
  }

  theme() {
    const style = getComputedStyle(this.root);
    const named = (name) => style.getPropertyValue(name).trim();
    this.colours = { text: named("--st-text-color"), back: named("--st-background-color"), line: named("--st-border-color") };
    this.font = `12px ${named("--st-font") || "sans-serif"}`;
  }

  resized() {
    if (!this.content || this.node.clientWidth === this.width) return;
    this.measure();
    this.draw();
  }

  measure() {
    this.width = this.node.clientWidth;
    const [layers, heads] = this.shape;
    const stacked = this.width < NARROW;
    const room = stacked ? this.width : (this.width - 2 * GAP) / 3;
    this.side = Math.max(1, Math.min((room - LAYERS) / heads, LARGEST, Math.max(SMALLEST, TALL / layers)));
    const column = Math.min(room, Math.max(LAYERS + heads * this.side, TITLE));
    const high = HEADLINE + layers * this.side;
    this.places = this.panels.map((_, i) => (stacked ? [LAYERS, i * (high + GAP) + HEADLINE] : [i * (column + GAP) + LAYERS, HEADLINE]));
    const height = stacked ? 3 * (high + GAP) - GAP + 4 : high + 4;
    this.plot.style.height = `${height}px`;
    this.ratio = devicePixelRatio || 1;
    for (const canvas of [this.image, this.marks]) {
      canvas.width = Math.round(this.width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.heads.forEach((head, i) => {
      const [left, top] = this.places[i];
      Object.assign(head.style, { left: `${left - LAYERS}px`, top: `${top - HEADLINE}px`, width: `${column}px` });
    });
    this.plot.dataset.places = this.places.flat().join(" "); // left and top of each panel
    this.plot.dataset.side = this.side;
  }

  draw() {
    const began = performance.now();
    const context = this.image.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.image.height);
    context.font = this.font;
    this.panels.forEach((panel, i) => this.drawPanel(context, panel, i));
    this.mark();
    this.node.dataset.drawMs = (performance.now() - began).toFixed(1);
  }

  drawPanel(context, panel, i) {
    const [layers, heads] = this.shape, { scale, limit, table, atlas } = panel;
    context.imageSmoothingEnabled = atlas ? this.side * this.ratio < Math.max(atlas.rows, atlas.columns) : false;
    for (let row = 0; row < layers; row += 1)
      for (let column = 0; column < heads; column += 1) {
        const [x, y, side] = this.box(i, [row, column]);
        if (atlas) context.drawImage(atlas.canvas, column * atlas.columns, row * atlas.rows, atlas.columns, atlas.rows, x, y, side, side);
        else if (scale) this.fill(context, table, level(this.value([row, column]), scale, limit), [x, y, side, side]);
        context.strokeStyle = this.colours.line;
        context.lineWidth = 1;
        if (side > 6) context.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
      }
    this.numbers(context, i);
  }

  fill(context, table, at, box) {
    if (at === null) return;
    context.fillStyle = `rgb(${table[4 * at]} ${table[4 * at + 1]} ${table[4 * at + 2]})`;
    context.fillRect(...box);
  }

  // Layer and head numbers beside a panel: all, or every second, fifth, ... where they would touch.
  numbers(context, i) {
    const [layers, heads] = this.shape, [left, top] = this.places[i];
    const down = stepOf(this.side), across = stepOf(this.side / 1.5);
    context.fillStyle = this.colours.text;
    context.globalAlpha = 0.78;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (let row = 0; row < layers; row += down) context.fillText(this.content.layers[row], left - 6, top + (row + 0.5) * this.side);
    context.textBaseline = "alphabetic";
    context.textAlign = "center";
    for (let column = 0; column < heads; column += across) context.fillText(column, left + (column + 0.5) * this.side, top - 5);
    context.globalAlpha = 1;
  }

  // Left, top and side of a head in a panel: whole dots of the screen, a line apart.
  box(i, [row, column]) {
    const [left, top] = this.places[i];
    const dot = (at) => Math.round(at * this.ratio) / this.ratio;
    const x = dot(left + column * this.side), y = dot(top + row * this.side);
    const gap = this.side > 12 ? 2 : this.side > 6 ? 1 : 0;
    return [x, y, dot(this.side) - gap];
  }

  value([row, column]) {
    return this.content.values[row * this.shape[1] + column];
  }

  // The head itself when the grid has it, else null.
  held([row, column]) {
    return row >= 0 && row < this.shape[0] && column >= 0 && column < this.shape[1] ? [row, column] : null;
  }

  // The layer above: the opened head and the pointed one, in every panel.
  mark() {
    const context = this.marks.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.marks.height);
    this.panels.forEach((_, i) => {
      if (this.opened) this.frame(context, this.box(i, this.opened), 2.5);
      if (this.cell) this.frame(context, this.box(i, this.cell), 1.5);
    });
    this.read();
  }

  frame(context, [x, y, side], line) {
    for (const [width, colour] of [[line + 2, this.colours.back], [line, this.colours.text]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(x - 0.5, y - 0.5, side + 1, side + 1);
    }
  }

  name([row, column]) {
    return `layer ${this.content.layers[row]}, head ${column}`;
  }

  said(cell) {
    const { title, unit, scale } = this.content.measure;
    return `${title} ${number(this.value(cell), scale === "diverging")} ${unit}`.trim();
  }

  read() {
    const cell = this.cell ?? this.opened;
    if (!cell) this.readout.replaceChildren(element("span", "muted", HINT));
    else {
      const opened = String(cell) === String(this.opened ?? null) ? " (open)" : "";
      this.readout.replaceChildren(`${this.name(cell)}${opened}: `, element("b", "", this.said(cell)));
    }
    clearTimeout(this.speaking); // held back a little: a moving pointer must not flood a screen reader
    this.speaking = setTimeout(() => (this.live.textContent = cell ? this.readout.textContent : ""), 200);
  }

  listen() {
    const { plot } = this;
    plot.addEventListener("pointermove", (event) => event.pointerType === "touch" || this.point(...this.at(event)));
    plot.addEventListener("pointerleave", () => this.point(null));
    plot.addEventListener("click", (event) => this.open(this.at(event)[0]));
    plot.addEventListener("keydown", (event) => this.typed(event));
    plot.addEventListener("blur", () => this.point(null));
  }

  // The head at a place of the window and its panel; null outside.
  at(event) {
    const frame = this.plot.getBoundingClientRect();
    for (const [i, [left, top]] of this.places.entries()) {
      const row = Math.floor((event.clientY - frame.top - top) / this.side), column = Math.floor((event.clientX - frame.left - left) / this.side);
      const cell = this.held([row, column]);
      if (cell) return [cell, i];
    }
    return [null];
  }

  point(cell, panel = 2) {
    const sign = cell && `${cell} ${panel}`;
    if (sign === this.pointed) return;
    this.pointed = sign;
    this.cell = cell;
    this.mark();
    if (cell) this.explain(cell, panel);
    else this.tip.hide();
  }

  // What scrolls takes the tip away from its head, not the head from the keyboard.
  left() {
    this.pointed = null;
    this.tip.hide();
  }

  // The head's number and its picture in both models, large.
  explain(cell, panel) {
    const frame = this.plot.getBoundingClientRect(), [x, y, side] = this.box(panel, cell);
    const looks = element("div", "looks");
    for (const { title, atlas } of this.panels.slice(0, 2)) if (atlas) looks.append(this.look(cell, title, atlas));
    this.tip.show([`${this.name(cell)}: ${this.said(cell)}`], new DOMRect(frame.left + x, frame.top + y, side, side), looks);
  }

  look([row, column], title, { canvas, rows, columns }) {
    const figure = element("span", "look"), large = element("canvas");
    [large.width, large.height] = [columns, rows];
    large.getContext("2d").drawImage(canvas, column * columns, row * rows, columns, rows, 0, 0, columns, rows);
    figure.append(title, large);
    return figure;
  }

  open(cell) {
    if (!cell) return;
    this.opened = cell;
    this.mark();
    this.pick([this.content.layers[cell[0]], cell[1]]);
  }

  typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [row, column] = this.cell ?? this.opened ?? [0, 0], last = this.shape[1] - 1;
    const first = !this.cell && !this.opened; // the first key press only shows where one is
    const moves = { ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], Home: [row, 0], End: [row, last] };
    if (moves[event.key]) this.point(first ? [0, 0] : (this.held(moves[event.key]) ?? [row, column]));
    else if (event.key === "Enter" || event.key === " ") this.open(this.cell);
    else if (event.key === "Escape" && this.cell) this.point(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

// The colour of each code of the pictures as one number a pixel: blank for 0, then the table from its lowest entry.
function codeColours(table) {
  const bytes = new Uint8Array(4 * 256);
  for (let code = 1; code < 256; code += 1) bytes.set([...table.subarray(4 * (code - 1), 4 * (code - 1) + 3), 255], 4 * code);
  return new Uint32Array(bytes.buffer);
}

// Which entry of a colour table shows a value; null for none. As `levels` in theme.py.
function level(value, scale, limit) {
  if (Number.isNaN(value)) return null;
  const share = limit > 0 ? Math.max(-1, Math.min(1, value / limit)) : 0;
  return Math.round(254 * (scale === "diverging" ? (share + 1) / 2 : Math.max(0, share)));
}

const stepOf = (room) => [1, 2, 5, 10, 20, 50, 100].find((one) => one * room >= LABEL) ?? 200;

export default mounted((root) => new Heads(root));
