const LABEL = 12; // height of an axis label in CSS pixels
const LONGEST = 88; // an axis label never takes more than this
const LARGEST = 560; // longer side of a map in CSS pixels
const THINNEST = 20; // a row or column of the shorter side, where there is room
const HEADLINE = 240; // title and colour bar keep this width over a narrow map
const EDGE = 8; // room above and right of the map: labels and outlines at its border are not cut
const HEAD = 28; // title and colour bar over a map of a picture
const BESIDE = 8; // between two things on one line of a picture
const MARGIN = 24; // around a picture and between its maps
const FINE = 2; // dots a CSS pixel of a picture, at least
const NAMED = 120; // letters of a picture's file name, at most
const LEAST = 1e-6; // the lower end of the log scale; a row that looks elsewhere with less is empty without its first token
const PATIENCE = 120; // the pointer rests this many milliseconds on a row before its exact numbers are asked for
const ROWS = 200; // exact rows that are remembered
const FLOOR = "1e\u22126"; // LEAST in words
const DIFFERENCE = "tuned - base";
const PALE = 0.2; // opacity of a map that is not to be read
const HINT = "Point at a cell to read it, click to pin it, drag to zoom.";
const POOLED = " There are more cells than dots here: each dot shows the strongest cell beneath it.";
const SIDES = ["base", "tuned"];
const REDUCED = { mean: "mean of heads", strongest: "strongest of heads" };

const size = (span) => span[1] - span[0];

// The share of each code of `coded` in Python: 0 is below LEAST, 1 to 255 are even steps of the logarithm from there to 1.
const SHARES = Float32Array.from({ length: 256 }, (_, code) => (code ? LEAST ** (1 - (code - 1) / 254) : 0));

// A cell is [row, column] here; [query, key], the positions of its tokens in the sequence, where the page and people read it.

// What one model looks at over the tokens of one field; cells lie row by row, of a causal field up to the diagonal.
class Weights {
  constructor(content, side, field) {
    this.field = field;
    this.cells = field.start(field.count[0]);
    if (content.head === null) this.all = content[side];
    else if (content.limit !== null) this.all = signed(content[side], content.limit);
    else this.all = this.decoded(content[`${side} first`], content[`${side} rest`], content[side]);
    this.heads = content.head === null ? content.heads : 1;
  }

  decoded(first, rest, codes) {
    const { field } = this, out = new Float32Array(codes.length);
    for (let row = 0; row < field.count[0]; row += 1) {
      const start = field.start(row), end = field.end(row);
      out[start] = first[row];
      for (let column = 1; column < end; column += 1) out[start + column] = rest[row] * SHARES[codes[start + column]];
    }
    return out;
  }

  // The cells under one choice of the bar; kept until another is chosen.
  shown(head, first) {
    const sign = `${head} ${first}`;
    if (sign !== this.sign) [this.sign, this.kept] = [sign, first ? this.reduced(head) : this.withoutFirst(this.reduced(head))];
    return this.kept;
  }

  reduced(head) {
    const { all, cells, heads } = this;
    const one = (index) => all.subarray(index * cells, (index + 1) * cells);
    if (heads === 1) return all;
    if (!REDUCED[head]) return one(head);
    const out = head === "mean" ? new Float64Array(cells) : one(0).slice();
    for (let index = 0; index < heads; index += 1) {
      const values = one(index);
      if (head === "mean") for (let i = 0; i < cells; i += 1) out[i] += values[i] / heads;
      else for (let i = 0; i < cells; i += 1) if (values[i] > out[i]) out[i] = values[i];
    }
    return Float32Array.from(out);
  }

  withoutFirst(values) {
    const { field } = this, out = new Float32Array(values.length);
    for (let row = 0; row < field.count[0]; row += 1) {
      const start = field.start(row), end = start + field.end(row);
      withoutFirst(values.subarray(start, end), out.subarray(start, end));
    }
    return out;
  }
}

// The numbers of `encode_signed` in Python: even steps around 127, which is 0; 255 is no number.
const signed = (codes, limit) => Float32Array.from(codes, (code) => (code === 255 ? NaN : ((code - 127) / 127) * limit));

// A row without its first token, adding up to 1 again; all of it is NaN when it looks nowhere else.
function withoutFirst(row, out = new Float32Array(row.length)) {
  let rest = 0;
  for (let i = 1; i < row.length; i += 1) rest += row[i];
  out[0] = NaN;
  for (let i = 1; i < row.length; i += 1) out[i] = rest >= LEAST ? row[i] / rest : NaN;
  return out;
}

// Not Math.max(...values), which runs out of arguments; NaN is passed over.
function largest(values) {
  let most = 0;
  for (let i = 0; i < values.length; i += 1) {
    const value = Math.abs(values[i]);
    if (value > most) most = value;
  }
  return most;
}

// Weights that reach 1 but for rounding fill the scale to 1.
const rounded = (limit) => (Math.abs(limit - 1) < 1e-4 ? 1 : limit);

class Panel {
  constructor(field) {
    this.field = field;
    this.node = element("div", "panel");
    this.head = element("div", "head");
    this.plot = element("div", "plot");
    this.plot.setAttribute("role", "application");
    this.map = element("canvas");
    this.marks = element("canvas");
    for (const canvas of [this.map, this.marks]) canvas.setAttribute("aria-hidden", "true");
    this.plot.append(this.map, this.marks);
    this.node.append(this.head, this.plot);
    this.image = document.createElement("canvas");
  }

  describe(panel) {
    Object.assign(this, panel);
    const { title, scale, log } = panel, both = scale === "diverging", limit = log ? 1 : panel.limit;
    const low = both ? short(-limit) : log ? `\u2264 ${FLOOR}` : "0";
    const unit = !log ? "" : both ? `log beyond \u00b1${FLOOR}` : "log";
    this.ends = [low, (both ? "+" : "") + short(limit), unit];
    this.head.replaceChildren(element("span", "title", title), colourBar(this.table, ...this.ends));
    const [rows, columns] = this.field.count;
    const heads = this.field.maps.content.heads > 1 ? " Page Up and Page Down change the head." : "";
    this.plot.setAttribute("aria-label", `${title}, map of ${rows} by ${columns} tokens. Arrow keys move, Enter pins, Escape unpins.${heads}`);
  }

  value([row, column]) {
    return this.values[this.field.start(row) + column];
  }

  // Colours of the cells in view, one dot a cell; with more cells than dots, each dot is the strongest cell beneath it.
  paint([high, wide]) {
    const { rows, columns } = this.field.view;
    const height = Math.min(size(rows), high), width = Math.min(size(columns), wide);
    const strongest = this.strongest(rows, columns, height, width);
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = this.packed(), top = colours.length - 1, share = this.share();
    const [gain, zero] = this.scale === "diverging" ? [top / 2, top / 2] : [top, 0];
    for (let i = 0; i < pixels.length; i += 1) {
      const value = strongest[i];
      if (value === value) pixels[i] = colours[Math.max(0, Math.min(top, Math.round(zero + share(value) * gain)))];
    }
    this.image.width = width;
    this.image.height = height;
    this.image.getContext("2d").putImageData(image, 0, 0);
  }

  // The panel as it stands on the page, drawn on another canvas from `left`, `top` on.
  copy(context, left, top) {
    const { ratio } = this.field;
    this.copyHead(context, left, top);
    for (const canvas of [this.map, this.marks]) context.drawImage(canvas, left, top + HEAD, canvas.width / ratio, canvas.height / ratio);
  }

  // Title and colour bar; returns where they end.
  copyHead(context, left, top) {
    const [low, high, unit] = this.ends;
    const words = (text, at, font) => {
      context.font = font;
      context.fillText(text, at, top + HEAD / 2);
      return at + context.measureText(text).width + BESIDE;
    };
    const bar = this.head.querySelector("canvas"), font = this.field.maps.font;
    let at = words(this.title, left, `600 ${font}`);
    at = words(low, at + BESIDE, font);
    context.drawImage(bar, at, top + HEAD / 2 - 4, 96, 8);
    return words(unit ? `${high}  ${unit}` : high, at + 96 + BESIDE, font);
  }

  // How far a value is along its colours, from 0, or -1 of a difference, to 1.
  share() {
    const factor = this.limit > 0 ? 1 / this.limit : 0, decades = -Math.log(LEAST);
    if (!this.log) return (value) => value * factor;
    return (value) => Math.sign(value) * Math.max(0, 1 + Math.log(Math.abs(value)) / decades);
  }

  // NaN where no cell lies, or none with a value.
  strongest(rows, columns, height, width) {
    const out = new Float32Array(height * width).fill(NaN);
    const dot = Int32Array.from({ length: size(columns) }, (_, i) => Math.floor((i * width) / size(columns)));
    for (let row = rows[0]; row < rows[1]; row += 1) {
      const line = Math.floor(((row - rows[0]) * height) / size(rows)) * width;
      const start = this.field.start(row), end = Math.min(columns[1], this.field.end(row));
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

// The maps over one set of tokens: they share geometry, view, pin and pointer. `side` is whose text it is; null: of both.
class Field {
  constructor(maps, side) {
    Object.assign(this, { maps, side, panels: [] });
  }

  // The axes; a change of them forgets what was pointed at and seen of the others.
  over(axes, queries, keys) {
    const sign = `${queries} by ${keys} ${axes.causal}`;
    this.isNew = sign !== this.sign;
    if (this.isNew) this.cell = this.view = null;
    Object.assign(this, { sign, queries, keys, causal: axes.causal, regions: axes.regions, words: axes.words });
    Object.assign(this, { count: [queries.length, keys.length], pieces: [axes.rows ?? axes.pieces, axes.pieces] });
    this.labels = this.pieces.map((pieces) => pieces.map(label));
    if (!this.view) this.look(null);
  }

  show(panels) {
    while (this.panels.length < panels.length) this.panels.push(this.listen(new Panel(this)));
    for (const extra of this.panels.splice(panels.length)) extra.node.remove();
    this.panels.forEach((panel, i) => {
      panel.plot.tabIndex = i ? -1 : 0;
      panel.describe(panels[i]);
    });
  }

  // What is in view: the name of a region, a region by the positions of its tokens, or everything.
  look(zoom) {
    const region = Array.isArray(zoom) ? zoom : this.regions[zoom];
    const within = (positions, [first, stop]) => {
      const start = positions.findIndex((at) => at >= first), end = positions.findLastIndex((at) => at < stop) + 1;
      return start >= 0 && end > start ? [start, end] : [0, positions.length];
    };
    this.view = { rows: within(this.queries, region?.[0] ?? [0, Infinity]), columns: within(this.keys, region?.[1] ?? [0, Infinity]) };
  }

  // Where a row of the packed cells begins, and past which column it ends.
  start(row) {
    return this.causal ? (row * (row + 1)) / 2 : row * this.count[1];
  }

  end(row) {
    return this.causal ? row + 1 : this.count[1];
  }

  // The cell itself when the maps have it, else null.
  held([row, column]) {
    return row >= 0 && row < this.count[0] && column >= 0 && column < this.end(row) ? [row, column] : null;
  }

  measure(ratio) {
    const context = this.panels[0].map.getContext("2d");
    context.font = this.maps.font;
    const widest = (tokens, labels) => Math.max(...Array.from(tokens, (token) => context.measureText(labels[token]).width));
    const margin = (tokens, labels) => Math.ceil(Math.min(LONGEST, widest(tokens, labels))) + 8;
    [this.below, this.left] = [margin(this.keys, this.labels[1]), margin(this.queries, this.labels[0])];
    const column = this.panels[0].node.clientWidth;
    const side = Math.max(96, Math.min(column - this.left - EDGE, LARGEST));
    const cell = Math.max(THINNEST, side / Math.max(...this.count));
    [this.high, this.wide] = this.count.map((cells) => Math.min(side, cells * cell));
    this.ratio = ratio;
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
    for (const panel of this.panels) this.drawMap(panel);
    this.mark();
  }

  drawMap(panel) {
    panel.paint(this.dots());
    const context = panel.map.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, panel.map.width, panel.map.height);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = panel.pale ? PALE : 1;
    context.drawImage(panel.image, this.left, EDGE, this.wide, this.high);
    context.globalAlpha = 1;
    context.strokeStyle = this.maps.colours.line;
    context.lineWidth = 1;
    context.strokeRect(this.left - 0.5, EDGE - 0.5, this.wide + 1, this.high + 1);
    context.font = this.maps.font;
    context.fillStyle = this.maps.colours.text;
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
    context.fillText(this.labels[isRow ? 0 : 1][this.token(at, isRow)], 0, 0);
    context.restore();
  }

  // The position in the sequence of the token that a row or column stands for.
  token(at, isRow) {
    return isRow ? this.queries[at] : this.keys[at];
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
      context.font = this.maps.font;
      if (this.pin) this.markPin(context);
      if (this.cell && this.inView(this.cell)) this.markCell(context);
      if (this.region) this.markRegion(context);
    }
    this.maps.read();
  }

  frame(context, [x, y, width, height], least) {
    const wide = Math.max(width, least), high = Math.max(height, least);
    x -= (wide - width) / 2;
    y -= (high - height) / 2;
    context.lineWidth = 3;
    context.strokeStyle = this.maps.colours.back;
    context.strokeRect(x - 0.5, y - 0.5, wide + 1, high + 1);
    context.lineWidth = 1.5;
    context.strokeStyle = this.maps.colours.text;
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
      context.strokeStyle = this.maps.colours.text;
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
    context.fillStyle = this.maps.colours.back;
    for (const near of [middle, ...thinned.filter((other) => Math.abs(other - middle) < LABEL + 2)])
      if (isRow) context.fillRect(0, near - half, this.left - 2, 2 * half);
      else context.fillRect(near - half, this.high + EDGE + 3, 2 * half, this.below);
    context.fillStyle = this.maps.colours.text;
    const font = context.font;
    context.font = `600 ${this.maps.font}`;
    this.label(context, at, isRow);
    context.font = font;
  }

  markRegion(context) {
    const { rows, columns } = this.region;
    const left = this.place(columns[0], false), top = this.place(rows[0], true);
    const area = [left, top, this.place(columns[1], false) - left, this.place(rows[1], true) - top];
    context.fillStyle = this.maps.colours.accent;
    context.globalAlpha = 0.18;
    context.fillRect(...area);
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.strokeStyle = this.maps.colours.accent;
    context.strokeRect(...area);
  }

  tokens([row, column]) {
    return [this.token(row, true), this.token(column, false)];
  }

  listen(panel) {
    const { plot } = panel;
    plot.addEventListener("pointermove", (event) => this.moved(event, panel));
    plot.addEventListener("pointerleave", () => this.point(null));
    plot.addEventListener("pointerdown", (event) => this.pressed(event, panel));
    plot.addEventListener("pointerup", (event) => this.released(event, panel));
    plot.addEventListener("pointercancel", () => this.dropped());
    plot.addEventListener("dblclick", () => this.maps.change({ zoom: null }));
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
    let best = null, most = -1;
    for (let row = rows[0]; row < rows[1]; row += 1)
      for (let column = columns[0]; column < Math.min(columns[1], this.end(row)); column += 1) {
        const value = Math.abs(panel.value([row, column])) || 0; // a cell without a value is still a cell
        if (value > most) [best, most] = [[row, column], value];
      }
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
    if (region) this.maps.dragged(this, region);
    else if (down?.cell && event.pointerType !== "mouse") this.set(down.cell);
    else if (down?.cell && String(this.at(event, panel)) === String(down.cell)) this.set(down.cell);
  }

  dropped() {
    this.down = this.region = null;
    this.mark();
  }

  set(cell) {
    this.maps.set(this, String(cell) === String(this.pin ?? null) ? null : cell);
  }

  typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (moves[event.key]) this.step(...moves[event.key].map((one) => one * (event.shiftKey ? 10 : 1)));
    else if (event.key === "Enter" || event.key === " ") this.cell && this.set(this.cell);
    else if (event.key === "Escape" && this.pin) this.set(this.pin);
    else if (event.key === "PageUp" || event.key === "PageDown") this.maps.step(event.key === "PageDown" ? 1 : -1);
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

class Maps {
  constructor(root) {
    this.root = root;
    this.node = element("div", "maps");
    this.bar = new Bar(this);
    this.note = element("div", "note muted");
    this.grid = element("div", "panels");
    this.readout = element("div", "readout data");
    this.reset = button("Show all tokens", () => this.change({ zoom: null }));
    this.live = element("div", "unseen");
    this.live.setAttribute("aria-live", "polite");
    const foot = element("div", "foot");
    foot.append(this.readout, this.reset);
    this.node.append(this.bar.node, this.note, this.grid, foot, this.live);
    root.replaceChildren(this.node);
    this.fields = [];
    this.exact = new Map();
    this.arrived = ({ detail }) => this.take(detail);
    document.addEventListener("candor-row", this.arrived);
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.grid);
  }

  remove() {
    this.watch.disconnect();
    document.removeEventListener("candor-row", this.arrived);
    for (const waiting of [this.speaking, this.asking]) clearTimeout(waiting);
    this.root.replaceChildren();
  }

  show(content, pin, look) {
    const shared = content.axes.length === 1;
    const sides = shared ? [null] : SIDES;
    if (sides.length !== this.fields.length) {
      this.fields = sides.map((side) => new Field(this, side));
    }
    Object.assign(this, { content, shared, mode: isDark(this.root) ? "dark" : "light" });
    this.fields.forEach((field, i) => field.over(content.axes[i], content[`queries ${i}`], content[`keys ${i}`]));
    this.sides = SIDES.map((side, i) => new Weights(content, side, this.fields[shared ? 0 : i]));
    this.place(pin);
    this.theme();
    this.adopt(look);
    this.describe();
    const nodes = this.fields.flatMap((field) => field.panels.map(({ node }) => node));
    if (nodes.some((node, i) => node !== this.grid.children[i])) this.grid.replaceChildren(...nodes); // moving one would take its focus
    this.measure();
    this.draw();
  }

  place(pin) {
    for (const field of this.fields) {
      const here = pin && (this.shared || pin[2] === field.side);
      field.pin = here ? field.held([field.queries.indexOf(pin[0]), field.keys.indexOf(pin[1])]) : null;
    }
  }

  // The view that Python and this browser agreed on; a dragged region belongs to the tokens that it was dragged over.
  adopt(look) {
    const { heads } = this.content;
    const head = REDUCED[look.head] ? look.head : Math.max(0, Math.min(heads - 1, look.head));
    const old = this.look, stale = old && Array.isArray(look.zoom) && this.fields.some(({ isNew }) => isNew) && String(old.zoom) === String(look.zoom);
    this.look = { ...look, head, ...(stale ? { zoom: null } : {}) };
    if (stale) this.tell("view", this.look);
    if (!old || String(old.zoom) !== String(this.look.zoom) || this.fields.some(({ isNew }) => isNew)) this.zoom();
  }

  // What the person chose in the bar: drawn at once, then told.
  change(part) {
    const began = performance.now();
    this.look = { ...this.look, ...part };
    if ("zoom" in part) this.zoom();
    else this.describe();
    this.draw();
    this.node.dataset.switchMs = (performance.now() - began).toFixed(1);
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => (this.live.textContent = this.note.textContent), 200);
    this.tell("view", this.look);
  }

  step(by) {
    const { heads } = this.content;
    if (heads > 1) this.change({ head: ((REDUCED[this.look.head] ? this.bar.head : this.look.head + by) + heads) % heads });
  }

  zoom() {
    for (const field of this.fields) field.look(this.look.zoom);
  }

  // A region dragged over one of two texts says nothing of the other: it is this browser's alone.
  dragged(field, { rows, columns }) {
    field.view = { rows, columns };
    const ends = (positions, [first, end]) => [positions[first], positions[end - 1] + 1];
    if (this.shared) this.change({ zoom: [ends(field.queries, rows), ends(field.keys, columns)] });
    else this.draw();
  }

  set(field, cell) {
    for (const one of this.fields) one.pin = one === field ? cell : null;
    for (const one of this.fields) one.mark();
    this.pick(cell && [...field.tokens(cell), ...(this.shared ? [] : [field.side])]);
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

  measure(ratio = devicePixelRatio || 1) {
    this.width = this.grid.clientWidth;
    for (const field of this.fields) field.measure(ratio);
  }

  // What is seen now, as one image: the maps in a row under what they are of.
  picture() {
    const shown = this.content.head ?? this.look.head, { look } = this;
    const heading = [this.content.title, ...this.notes(shown, { ...look, head: shown })].join(" \u00b7 ");
    const ratio = Math.max(FINE, devicePixelRatio || 1);
    try {
      this.measure(ratio);
      this.draw();
      return [this.copied(heading, ratio), heading];
    } finally {
      this.measure();
      this.draw();
    }
  }

  copied(heading, ratio) {
    const panels = this.fields.flatMap((field) => field.panels), out = document.createElement("canvas");
    const context = out.getContext("2d");
    const sizes = panels.map((panel) => [Math.max(panel.map.width / ratio, panel.copyHead(context, 0, 0)), panel.map.height / ratio]);
    context.font = `600 ${this.font}`;
    const across = sizes.reduce((sum, [width]) => sum + width + MARGIN, MARGIN);
    out.width = Math.ceil(ratio * Math.max(across, context.measureText(heading).width + 2 * MARGIN));
    out.height = Math.ceil(ratio * (3 * MARGIN + HEAD + Math.max(...sizes.map(([, height]) => height))));
    context.scale(ratio, ratio);
    context.fillStyle = this.colours.back;
    context.fillRect(0, 0, out.width, out.height);
    context.fillStyle = this.colours.text;
    context.textBaseline = "middle";
    context.imageSmoothingEnabled = false;
    context.font = `600 ${this.font}`;
    context.fillText(heading, MARGIN, 1.5 * MARGIN);
    panels.reduce((left, panel, i) => {
      panel.copy(context, left, 2.5 * MARGIN);
      return left + sizes[i][0] + MARGIN;
    }, MARGIN);
    return out;
  }

  announce(words) {
    this.note.textContent = words;
    this.live.textContent = words;
  }

  save() {
    const [picture, heading] = this.picture();
    picture.toBlob((blob) => {
      if (!blob) return this.announce("The picture is too large for this browser.");
      const link = element("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${heading.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, NAMED).replace(/^-|-$/g, "")}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  draw() {
    const began = performance.now();
    for (const field of this.fields) field.draw();
    this.reset.hidden = !this.fields.some(({ view, count }) => size(view.rows) < count[0] || size(view.columns) < count[1]);
    this.bar.show(this.content, this.look, this.fields);
    this.node.dataset.drawMs = (performance.now() - began).toFixed(1);
    this.node.dataset.title = this.content.title;
  }

  // Panels with their values and colours. Base and tuned are on one scale, because the eye compares them.
  describe() {
    const { content, look, mode } = this, log = look.scale === "log";
    const head = content.head ?? look.head; // while another head is under way, this one is still shown
    const shown = this.sides.map((side) => side.shown(head, look.first));
    const limit = rounded(Math.max(...shown.map(largest))), isSigned = content.limit !== null;
    const panels = SIDES.map((side, i) => ({ title: side, name: side, values: shown[i], scale: isSigned ? "diverging" : `sequential-${side}`, limit, log }));
    if (this.shared) {
      const values = shown[1].map((value, i) => value - shown[0][i]);
      panels.push({ title: DIFFERENCE, name: "difference", values, scale: "diverging", limit: rounded(largest(values)), log });
    }
    if (isSigned) for (const panel of panels) panel.limit = Math.max(...panels.map((one) => one.limit)); // with a sign all three are compared
    for (const panel of panels) Object.assign(panel, { table: content[`${panel.scale} ${mode}`], pale: content.pale.includes(panel.name) });
    this.fields.forEach((field, i) => field.show(this.shared ? panels : [panels[i]]));
    this.note.textContent = this.notes(head).join(" \u00b7 ");
  }

  notes(head, look = this.look) {
    const { content } = this, many = content.heads > 1;
    return [
      many && (REDUCED[head] ? `${REDUCED[head]} 0 to ${content.heads - 1}` : `head ${head}`),
      many && head !== look.head && `${REDUCED[look.head] ?? `head ${look.head}`} is being read`,
      look.scale === "log" && `log scale from ${FLOOR}`,
      !look.first && "first token hidden, rows add up to 1 again; a row that looks only there is empty",
    ].filter(Boolean);
  }

  // Fields in the order of interest: the pointed one, the pinned one.
  read() {
    const field = this.fields.find(({ cell }) => cell) ?? this.fields.find(({ pin }) => pin);
    const cell = field && (field.cell ?? field.pin);
    const row = cell && this.rowOf(field, cell[0]);
    const pooled = this.fields.some((one) => one.pooled());
    const sign = [field?.side, cell, field?.cell ? "" : "pinned", pooled, Boolean(row), JSON.stringify(this.look)].join();
    if (sign === this.said && this.content === this.saidOf) return;
    Object.assign(this, { said: sign, saidOf: this.content });
    this.readout.replaceChildren(...(cell ? this.words(field, cell, row) : [element("span", "muted", HINT + (pooled ? POOLED : ""))]));
    clearTimeout(this.speaking); // held back a little: a moving pointer must not flood a screen reader
    this.speaking = setTimeout(() => (this.live.textContent = cell ? this.readout.textContent : ""), 200);
    this.ask(field, cell, row);
  }

  words(field, cell, row) {
    const [query, key] = field.tokens(cell);
    const tokens = element("span");
    tokens.append(
      element("span", "muted", `${field.cell ? "" : "pinned: "}${field.words[0]} ${query} `), this.piece(field.pieces[0][query]),
      element("span", "muted", ` ${field.words[1]} ${key} `), this.piece(field.pieces[1][key]), " ",
    );
    const values = field.panels.map((panel) => {
      const one = element("span"), signed = panel.scale === "diverging";
      const text = this.content.head !== null && !row ? rough(panel.value(cell)) : number(row ? row[panel.title](cell[1]) : panel.value(cell), signed);
      one.append(element("span", "name muted", panel.title), element("b", "", text), " ");
      return one;
    });
    return [tokens, ...values];
  }

  piece(shown) {
    const node = element("span", "token");
    node.dir = "auto";
    write(node, shown);
    return node;
  }

  // Exact rows of maps that travelled in code.

  ask(field, cell, row) {
    clearTimeout(this.asking);
    if (!cell || row || this.content.head === null) return;
    const { canvas, of } = this.content;
    const asked = { canvas, of, field: this.fields.indexOf(field), row: cell[0] };
    this.asking = setTimeout(() => document.dispatchEvent(new CustomEvent("candor-ask", { detail: { ...asked, turn: Math.random() } })), PATIENCE);
  }

  take(row) {
    if (row.canvas !== this.content?.canvas) return;
    this.exact.set(`${row.of} ${row.field} ${row.row}`, row);
    if (this.exact.size > ROWS) this.exact.delete(this.exact.keys().next().value);
    this.read();
  }

  // The exact numbers of a row by the title of their panel; undefined until they are there.
  rowOf(field, row) {
    const held = this.content.head !== null && this.exact.get(`${this.content.of} ${this.fields.indexOf(field)} ${row}`);
    if (!held) return;
    const end = field.end(row), shown = (side) => (this.look.first ? held[side] : withoutFirst(held[side].subarray(0, end)));
    const [base, tuned] = SIDES.map((side) => held[side] && shown(side));
    return { base: (at) => base[at], tuned: (at) => tuned[at], [DIFFERENCE]: (at) => tuned[at] - base[at] };
  }
}

// A number that is known to a few percent.
function rough(value) {
  if (Number.isNaN(value)) return number(value);
  const text = value === 0 || Math.abs(value) >= 0.001 ? String(Number(value.toPrecision(2))) : value.toExponential(1);
  return `about ${text.replaceAll("-", "\u2212")}`;
}

function button(text, pressed) {
  const made = element("button", "", text);
  made.type = "button";
  made.onclick = pressed;
  return made;
}

// The control bar: which head, which scale, the first token, which tokens. Nothing of it waits for Python.
class Bar {
  constructor(maps) {
    this.maps = maps;
    this.head = 0; // the last single head
    this.node = element("div", "controls");
    this.number = element("input");
    Object.assign(this.number, { type: "number", min: 0, step: 1 });
    this.number.setAttribute("aria-label", "Head");
    this.number.addEventListener("input", () => this.typed());
    this.number.addEventListener("change", () => (this.number.value = this.head));
    this.count = element("span", "muted");
    const back = button("\u2039", () => maps.step(-1)), on = button("\u203a", () => maps.step(1));
    back.setAttribute("aria-label", "previous head");
    on.setAttribute("aria-label", "next head");
    this.heads = group("Head", back, this.number, on, this.count);
    this.groups = {
      head: this.choices("All heads", Object.keys(REDUCED).map((name) => [name, name])),
      scale: this.choices("Scale", [["linear", "linear"], ["log", "log"]]),
      first: this.choices("First token", [[true, "shown"], [false, "hidden"]]),
      zoom: group("Zoom"),
    };
    for (const [name, node] of Object.entries(this.groups)) node.addEventListener("click", (event) => this.pressed(name, event.target.choice));
    const save = button("Save picture", () => maps.save());
    save.title = "The maps as they are shown now, as a PNG file";
    this.node.append(this.heads, ...Object.values(this.groups), save);
    this.node.addEventListener("keydown", (event) => event.stopPropagation());
  }

  choices(label, options) {
    return group(label, ...options.map(([choice, text]) => Object.assign(button(text), { choice })));
  }

  // Of all heads the mean or the strongest: pressed again, back to the single head.
  pressed(name, choice) {
    if (choice === undefined) return;
    const again = name === "head" && this.maps.look.head === choice;
    this.maps.change({ [name]: again ? this.head : choice });
  }

  typed() {
    const head = Number(this.number.value);
    if (this.number.value !== "" && Number.isInteger(head) && head >= 0 && head < this.maps.content.heads) this.maps.change({ head });
  }

  show({ heads, limit }, look, fields) {
    if (!REDUCED[look.head]) this.head = look.head;
    this.heads.hidden = this.groups.head.hidden = heads < 2;
    this.groups.scale.hidden = this.groups.first.hidden = limit !== null; // of shares only
    this.heads.classList.toggle("quietly", Boolean(REDUCED[look.head]));
    this.count.textContent = `0 to ${heads - 1}`;
    this.number.max = heads - 1;
    this.number.value = this.head;
    const names = [...new Set(fields.flatMap(({ regions }) => Object.keys(regions)))];
    this.groups.zoom.hidden = !names.length;
    if (String(names) !== this.names) {
      this.names = String(names);
      const all = this.choices("Zoom", [[null, "all"], ...names.map((name) => [name, name])]);
      this.groups.zoom.replaceChildren(...all.childNodes);
    }
    for (const [name, node] of Object.entries(this.groups))
      for (const one of node.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one.choice === look[name]));
  }
}

function group(label, ...nodes) {
  const made = element("div", "group");
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", label);
  made.append(element("span", "muted", label), ...nodes);
  return made;
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

export default mounted((root) => new Maps(root), ["view"]);
