const LABEL = 12; // height of an axis label in CSS pixels
const LONGEST = 88; // an axis label never takes more than this
const LARGEST = 560; // longer side of a map in CSS pixels
const THINNEST = 20; // a row or column of the shorter side, where there is room
const HEADLINE = 240; // title and colour bar keep this width over a narrow map
const EDGE = 8; // room above and right of the map: labels and outlines at its border are not cut
const HINT = "Point at a cell to read it, click to pin it, drag to zoom.";
const POOLED = " There are more cells than dots here: each dot shows the strongest cell beneath it.";

const size = (span) => span[1] - span[0];

// A cell is [row, column] here; [query, key], the positions of its tokens in the sequence, where the page and people read it.

class Panel {
  constructor(maps, index) {
    this.maps = maps;
    this.index = index;
    this.node = element("div", "panel");
    this.head = element("div", "head");
    this.plot = element("div", "plot");
    this.plot.tabIndex = index ? -1 : 0;
    this.plot.setAttribute("role", "application");
    this.map = element("canvas");
    this.marks = element("canvas");
    for (const canvas of [this.map, this.marks]) canvas.setAttribute("aria-hidden", "true");
    this.plot.append(this.map, this.marks);
    this.node.append(this.head, this.plot);
    this.image = document.createElement("canvas");
  }

  describe(panel) {
    const { title, limit, scale, unit, beyond } = panel;
    Object.assign(this, panel);
    const high = (beyond ? "\u2265 " : "") + (scale === "diverging" ? "+" : "") + short(limit);
    const low = scale === "diverging" ? (beyond ? "\u2264 " : "") + short(-limit) : "0";
    this.head.replaceChildren(element("span", "title", title), colourBar(this.table, low, high, unit));
    const [rows, columns] = this.maps.count;
    this.plot.setAttribute("aria-label", `${title}, map of ${rows} by ${columns} tokens. Arrow keys move, Enter pins, Escape unpins.`);
  }

  value([row, column]) {
    return this.values[this.maps.start(row) + column];
  }

  // Colours of the cells in view, one dot a cell; with more cells than dots, each dot is the strongest cell beneath it.
  paint([high, wide]) {
    const { rows, columns } = this.maps.view;
    const height = Math.min(size(rows), high), width = Math.min(size(columns), wide);
    const strongest = this.strongest(rows, columns, height, width);
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = this.packed();
    const top = colours.length - 1;
    const [gain, zero] = this.scale === "diverging" ? [top / 2, top / 2] : [top, 0];
    const factor = this.limit > 0 ? gain / this.limit : 0;
    for (let i = 0; i < pixels.length; i += 1) {
      const value = strongest[i];
      if (value === value) pixels[i] = colours[Math.max(0, Math.min(top, Math.round(zero + value * factor)))];
    }
    this.image.width = width;
    this.image.height = height;
    this.image.getContext("2d").putImageData(image, 0, 0);
  }

  // NaN where no cell lies.
  strongest(rows, columns, height, width) {
    const out = new Float32Array(height * width).fill(NaN);
    const dot = Int32Array.from({ length: size(columns) }, (_, i) => Math.floor((i * width) / size(columns)));
    for (let row = rows[0]; row < rows[1]; row += 1) {
      const line = Math.floor(((row - rows[0]) * height) / size(rows)) * width;
      const start = this.maps.start(row), end = Math.min(columns[1], this.maps.end(row));
      for (let column = columns[0]; column < end; column += 1) {
        const at = line + dot[column - columns[0]], value = this.values[start + column];
        if (out[at] !== out[at] || Math.abs(value) > Math.abs(out[at])) out[at] = value;
      }
    }
    return out;
  }

  packed() {
    const bytes = new Uint8Array(this.table.length).map((byte, i) => (i % 4 === 3 ? 255 : this.table[i]));
    return new Uint32Array(bytes.buffer);
  }
}

class Maps {
  constructor(root) {
    this.root = root;
    this.node = element("div", "maps");
    this.grid = element("div", "panels");
    this.readout = element("div", "readout data");
    this.reset = element("button", "", "Show all tokens");
    this.reset.type = "button";
    this.reset.hidden = true;
    this.reset.onclick = () => this.zoom();
    this.live = element("div", "unseen");
    this.live.setAttribute("aria-live", "polite");
    const foot = element("div", "foot");
    foot.append(this.readout, this.reset);
    this.node.append(this.grid, foot, this.live);
    root.replaceChildren(this.node);
    this.panels = [];
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.grid);
  }

  remove() {
    this.watch.disconnect();
    clearTimeout(this.speaking);
    this.root.replaceChildren();
  }

  show(content, pin) {
    const { queries, keys } = content;
    const axes = `${queries} by ${keys} ${content.causal}`;
    if (axes !== this.axes) this.cell = this.view = null;
    Object.assign(this, { content, axes, count: [queries.length, keys.length], labels: content.pieces.map(label) });
    this.pin = pin && this.held([queries.indexOf(pin[0]), keys.indexOf(pin[1])]);
    if (!this.view) this.look();
    const mode = isDark(this.root) ? "dark" : "light";
    while (this.panels.length < content.panels.length) this.panels.push(this.listen(new Panel(this, this.panels.length)));
    for (const extra of this.panels.splice(content.panels.length)) extra.node.remove();
    this.panels.forEach((panel, i) => {
      const given = content.panels[i];
      panel.describe({ ...given, values: content[`values ${i}`], table: content[`${given.scale} ${mode}`] });
    });
    this.theme();
    this.measure();
    this.draw();
  }

  // Where a row of the packed cells begins, and past which column it ends.
  start(row) {
    return this.content.causal ? (row * (row + 1)) / 2 : row * this.count[1];
  }

  end(row) {
    return this.content.causal ? row + 1 : this.count[1];
  }

  // The cell itself when the maps have it, else null.
  held([row, column]) {
    return row >= 0 && row < this.count[0] && column >= 0 && column < this.end(row) ? [row, column] : null;
  }

  theme() {
    const style = getComputedStyle(this.root);
    const named = (name) => style.getPropertyValue(name).trim();
    this.colours = { text: named("--st-text-color"), back: named("--st-background-color"), line: named("--st-border-color"), accent: named("--st-primary-color") };
    this.font = `12px ${named("--st-font") || "sans-serif"}`;
  }

  resized() {
    if (!this.content || this.grid.clientWidth === this.width) return;
    this.measure();
    this.draw();
  }

  measure() {
    this.width = this.grid.clientWidth;
    const context = this.panels[0].map.getContext("2d");
    context.font = this.font;
    const widest = (tokens) => Math.max(...Array.from(tokens, (token) => context.measureText(this.labels[token]).width));
    const margin = (tokens) => Math.ceil(Math.min(LONGEST, widest(tokens))) + 8;
    [this.below, this.left] = [margin(this.content.keys), margin(this.content.queries)];
    const column = this.panels[0].node.clientWidth;
    const side = Math.max(96, Math.min(column - this.left - EDGE, LARGEST));
    const cell = Math.max(THINNEST, side / Math.max(...this.count));
    [this.high, this.wide] = this.count.map((cells) => Math.min(side, cells * cell));
    this.ratio = devicePixelRatio || 1;
    const width = this.left + this.wide + EDGE, height = this.below + this.high + EDGE;
    for (const { head, plot, map, marks } of this.panels) {
      head.style.width = `${Math.max(width, Math.min(HEADLINE, column))}px`;
      plot.style.width = `${width}px`;
      plot.style.height = `${height}px`;
      plot.dataset.area = `${this.left} ${EDGE} ${this.wide}`; // left, top and width of the map within the plot
      plot.dataset.high = this.high;
      for (const canvas of [map, marks]) {
        canvas.width = Math.round(width * this.ratio);
        canvas.height = Math.round(height * this.ratio);
      }
    }
  }

  // Dots of the screen that a map has, down and across.
  dots() {
    return [this.high, this.wide].map((side) => Math.round(side * this.ratio));
  }

  draw() {
    const began = performance.now();
    for (const panel of this.panels) this.drawMap(panel);
    this.mark();
    this.node.dataset.drawMs = (performance.now() - began).toFixed(1);
  }

  drawMap(panel) {
    panel.paint(this.dots());
    const context = panel.map.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, panel.map.width, panel.map.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(panel.image, this.left, EDGE, this.wide, this.high);
    context.strokeStyle = this.colours.line;
    context.lineWidth = 1;
    context.strokeRect(this.left - 0.5, EDGE - 0.5, this.wide + 1, this.high + 1);
    context.font = this.font;
    context.fillStyle = this.colours.text;
    context.globalAlpha = 0.78;
    for (const isRow of [true, false]) for (const at of this.shown(isRow)) this.label(context, at, isRow);
    context.globalAlpha = 1;
  }

  // Which rows or columns get a label: all, or every second, fifth, ... where they would touch.
  shown(isRow) {
    const span = this.span(isRow), room = (isRow ? this.high : this.wide) / size(span);
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((one) => one * room >= LABEL) ?? size(span);
    const first = Math.ceil(span[0] / step) * step;
    return Array.from({ length: Math.max(0, Math.ceil((span[1] - first) / step)) }, (_, i) => first + i * step);
  }

  label(context, at, isRow) {
    const middle = this.place(at + 0.5, isRow);
    context.save();
    context.beginPath();
    if (isRow) context.rect(0, 0, this.left - 2, this.high + 2 * EDGE);
    else context.rect(this.left - EDGE, this.high + EDGE + 1, this.wide + 2 * EDGE, this.below);
    context.clip();
    if (isRow) context.translate(this.left - 6, middle);
    else {
      context.translate(middle, this.high + EDGE + 6);
      context.rotate(-Math.PI / 2);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(this.labels[this.token(at, isRow)], 0, 0);
    context.restore();
  }

  // The position in the sequence of the token that a row or column stands for.
  token(at, isRow) {
    return isRow ? this.content.queries[at] : this.content.keys[at];
  }

  span(isRow) {
    return isRow ? this.view.rows : this.view.columns;
  }

  place(at, isRow) {
    const span = this.span(isRow), share = (at - span[0]) / size(span);
    return isRow ? EDGE + share * this.high : this.left + share * this.wide;
  }

  box([row, column]) {
    const left = this.place(column, false), top = this.place(row, true);
    return [left, top, this.place(column + 1, false) - left, this.place(row + 1, true) - top];
  }

  pooled() {
    const [high, wide] = this.dots();
    return size(this.view.rows) > high || size(this.view.columns) > wide;
  }

  inView([row, column]) {
    const { rows, columns } = this.view;
    return row >= rows[0] && row < rows[1] && column >= columns[0] && column < columns[1];
  }

  // The layer above the maps: pinned row, pinned cell, pointed cell, region being dragged.
  mark() {
    for (const { marks } of this.panels) {
      const context = marks.getContext("2d");
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.clearRect(0, 0, marks.width, marks.height);
      context.font = this.font;
      if (this.pin) this.markPin(context);
      if (this.cell && this.inView(this.cell)) this.markCell(context);
      if (this.region) this.markRegion(context);
    }
    this.read();
  }

  frame(context, [x, y, width, height], least) {
    const wide = Math.max(width, least), high = Math.max(height, least);
    x -= (wide - width) / 2;
    y -= (high - height) / 2;
    context.lineWidth = 3;
    context.strokeStyle = this.colours.back;
    context.strokeRect(x - 0.5, y - 0.5, wide + 1, high + 1);
    context.lineWidth = 1.5;
    context.strokeStyle = this.colours.text;
    context.strokeRect(x - 0.5, y - 0.5, wide + 1, high + 1);
  }

  inside(context, draw) {
    context.save();
    context.beginPath();
    context.rect(this.left - 4, EDGE - 4, this.wide + 8, this.high + 8);
    context.clip();
    draw();
    context.restore();
  }

  markPin(context) {
    const [row, column] = this.pin;
    const { rows, columns } = this.view;
    if (row < rows[0] || row >= rows[1]) return;
    this.inside(context, () => {
      const [, top, , height] = this.box(this.pin);
      const end = this.place(Math.min(this.end(row), columns[1]), false);
      if (end > this.left) this.frame(context, [this.left, top, end - this.left, height], 4);
      if (this.inView(this.pin)) this.frame(context, this.box(this.pin), 7);
    });
    this.chip(context, row, true);
    if (this.inView(this.pin)) this.chip(context, column, false);
  }

  markCell(context) {
    const [row, column] = this.cell;
    const [x, y, width, height] = this.box(this.cell);
    this.inside(context, () => {
      context.strokeStyle = this.colours.text;
      context.globalAlpha = 0.45;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(this.left, y + height / 2);
      context.lineTo(x, y + height / 2);
      context.moveTo(x + width / 2, y + height);
      context.lineTo(x + width / 2, EDGE + this.high);
      context.stroke();
      context.globalAlpha = 1;
      this.frame(context, [x, y, width, height], 7);
    });
    this.chip(context, row, true);
    this.chip(context, column, false);
  }

  // The exact label of one token, over the thinned ones.
  chip(context, at, isRow) {
    const middle = this.place(at + 0.5, isRow);
    const half = LABEL / 2 + 1;
    const thinned = this.shown(isRow).map((other) => this.place(other + 0.5, isRow));
    context.fillStyle = this.colours.back;
    for (const near of [middle, ...thinned.filter((other) => Math.abs(other - middle) < LABEL + 2)])
      if (isRow) context.fillRect(0, near - half, this.left - 2, 2 * half);
      else context.fillRect(near - half, this.high + EDGE + 3, 2 * half, this.below);
    context.fillStyle = this.colours.text;
    const font = context.font;
    context.font = `600 ${this.font}`;
    this.label(context, at, isRow);
    context.font = font;
  }

  markRegion(context) {
    const { rows, columns } = this.region;
    const left = this.place(columns[0], false), top = this.place(rows[0], true);
    const area = [left, top, this.place(columns[1], false) - left, this.place(rows[1], true) - top];
    context.fillStyle = this.colours.accent;
    context.globalAlpha = 0.18;
    context.fillRect(...area);
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.strokeStyle = this.colours.accent;
    context.strokeRect(...area);
  }

  read() {
    const cell = this.cell ?? this.pin;
    const sign = `${cell} ${this.cell ? "" : "pinned"} ${this.pooled()}`;
    if (sign === this.said && this.content === this.saidOf) return;
    Object.assign(this, { said: sign, saidOf: this.content });
    this.readout.replaceChildren(...(cell ? this.words(cell) : [element("span", "muted", HINT + (this.pooled() ? POOLED : ""))]));
    clearTimeout(this.speaking); // held back a little: a moving pointer must not flood a screen reader
    this.speaking = setTimeout(() => (this.live.textContent = cell ? this.readout.textContent : ""), 200);
  }

  words(cell) {
    const [query, key] = this.tokens(cell);
    const tokens = element("span");
    tokens.append(
      element("span", "muted", `${this.cell ? "" : "pinned: "}query ${query} `), this.piece(query),
      element("span", "muted", ` to key ${key} `), this.piece(key), " ",
    );
    const values = this.panels.map((panel) => {
      const one = element("span");
      const text = number(panel.value(cell), panel.scale === "diverging");
      one.append(element("span", "name muted", panel.title), element("b", "", text), " ");
      return one;
    });
    return [tokens, ...values];
  }

  tokens([row, column]) {
    return [this.token(row, true), this.token(column, false)];
  }

  piece(token) {
    const node = element("span", "token");
    node.dir = "auto";
    write(node, this.content.pieces[token]);
    return node;
  }

  listen(panel) {
    const { plot, node } = panel;
    this.grid.append(node);
    plot.addEventListener("pointermove", (event) => this.moved(event, panel));
    plot.addEventListener("pointerleave", () => this.point(null));
    plot.addEventListener("pointerdown", (event) => this.pressed(event, panel));
    plot.addEventListener("pointerup", (event) => this.released(event, panel));
    plot.addEventListener("pointercancel", () => this.dropped());
    plot.addEventListener("dblclick", () => this.zoom());
    plot.addEventListener("keydown", (event) => this.typed(event));
    plot.addEventListener("blur", () => this.point(null));
    return panel;
  }

  // The cell at a place of a panel; null outside. Where several cells share a dot: the strongest of them in this panel.
  at(event, panel) {
    const frame = panel.plot.getBoundingClientRect();
    const x = event.clientX - frame.left - this.left, y = event.clientY - frame.top - EDGE;
    if (x < 0 || y < 0 || x >= this.wide || y >= this.high) return null;
    const [high, wide] = this.dots();
    const under = (share, span, dots) => {
      const bins = Math.min(size(span), dots);
      const bin = Math.floor(share * bins);
      return [span[0] + Math.ceil((bin * size(span)) / bins), span[0] + Math.ceil(((bin + 1) * size(span)) / bins)];
    };
    const rows = under(y / this.high, this.view.rows, high), columns = under(x / this.wide, this.view.columns, wide);
    let best = null;
    for (let row = rows[0]; row < rows[1]; row += 1)
      for (let column = columns[0]; column < Math.min(columns[1], this.end(row)); column += 1)
        if (!best || Math.abs(panel.value([row, column])) > Math.abs(panel.value(best))) best = [row, column];
    return best;
  }

  point(cell) {
    if (String(cell) === String(this.cell ?? null)) return;
    this.cell = cell;
    this.mark();
  }

  corner(event, panel) {
    const frame = panel.plot.getBoundingClientRect();
    const share = (offset, side) => Math.max(0, Math.min(1, offset / side));
    return [share(event.clientY - frame.top - EDGE, this.high), share(event.clientX - frame.left - this.left, this.wide)];
  }

  pressed(event, panel) {
    if (event.button !== 0) return;
    this.down = { x: event.clientX, y: event.clientY, cell: this.at(event, panel), corner: this.corner(event, panel) };
    if (event.pointerType !== "touch") panel.plot.setPointerCapture(event.pointerId);
  }

  moved(event, panel) {
    const far = this.down && Math.hypot(event.clientX - this.down.x, event.clientY - this.down.y) > 5;
    if (event.pointerType !== "touch" && (this.region || far)) {
      const [top, left] = this.down.corner, [bottom, right] = this.corner(event, panel);
      this.region = { rows: between(top, bottom, this.view.rows), columns: between(left, right, this.view.columns) };
      this.cell = null;
      this.mark();
    } else this.point(this.at(event, panel));
  }

  released(event, panel) {
    const { down, region } = this;
    this.dropped();
    if (region) this.zoom(region);
    else if (down?.cell && event.pointerType !== "mouse") this.set(down.cell);
    else if (down?.cell && String(this.at(event, panel)) === String(down.cell)) this.set(down.cell);
  }

  dropped() {
    this.down = this.region = null;
    this.mark();
  }

  zoom(view) {
    this.look(view);
    this.draw();
  }

  // What is in view: a region, or everything.
  look(region) {
    this.view = region ?? { rows: [0, this.count[0]], columns: [0, this.count[1]] };
    this.reset.hidden = !region;
  }

  set(cell) {
    this.pin = String(cell) === String(this.pin ?? null) ? null : cell;
    this.mark();
    this.pick(this.pin && this.tokens(this.pin));
  }

  typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (moves[event.key]) this.step(...moves[event.key].map((one) => one * (event.shiftKey ? 10 : 1)));
    else if (event.key === "Enter" || event.key === " ") this.cell && this.set(this.cell);
    else if (event.key === "Escape" && this.pin) this.set(this.pin);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  step(down, right) {
    const { rows, columns } = this.view;
    const from = this.cell ?? this.pin;
    if (!from) return this.point([rows[1] - 1, Math.min(columns[0], this.end(rows[1] - 1) - 1)]);
    const row = Math.max(0, Math.min(this.count[0] - 1, from[0] + down));
    this.follow([row, Math.max(0, Math.min(this.end(row) - 1, from[1] + right))]);
  }

  // Moves the zoomed region along when the arrow keys leave it.
  follow([row, column]) {
    const into = (span, at) => (at < span[0] ? [at, at + size(span)] : at >= span[1] ? [at + 1 - size(span), at + 1] : span);
    const view = { rows: into(this.view.rows, row), columns: into(this.view.columns, column) };
    this.cell = [row, column];
    if (String(view.rows) + view.columns === String(this.view.rows) + this.view.columns) return this.mark();
    this.view = view;
    this.draw();
  }
}

// The whole cells that a dragged range of shares touches, at least two.
function between(one, other, span) {
  const cells = [one, other].sort((a, b) => a - b).map((share) => span[0] + share * size(span));
  const first = Math.min(Math.floor(cells[0]), span[1] - 1);
  const end = Math.min(span[1], Math.max(Math.ceil(cells[1]), first + 2));
  return [Math.max(span[0], Math.min(first, end - 2)), end];
}

const letters = new Intl.Segmenter();

// A token as an axis label: cut to a dozen letters, kept apart from its neighbours' direction.
function label(shown) {
  const all = Array.from(letters.segment(plain(shown)), ({ segment }) => segment);
  return `\u2068${all.length > 12 ? all.slice(0, 11).join("") + "\u2026" : all.join("")}\u2069`;
}

export default mounted((root) => new Maps(root));
