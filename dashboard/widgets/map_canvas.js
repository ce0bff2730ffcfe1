const LABEL = 12; // height of an axis label in CSS pixels
const LONGEST = 88; // an axis label never takes more than this
const LARGEST = 560; // side of the map in CSS pixels
const EDGE = 8; // room above and right of the map: labels and outlines at its border are not cut
const HINT = "Point at a cell to read it, click to pin it, drag to zoom.";
const POOLED = " There are more cells than dots here: each dot shows the strongest cell beneath it.";

const size = (span) => span[1] - span[0];
const triangle = (query) => (query * (query + 1)) / 2; // where a row begins in the packed lower triangle

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
    const count = this.maps.count;
    this.plot.setAttribute("aria-label", `${title}, map of ${count} by ${count} tokens. Arrow keys move, Enter pins, Escape unpins.`);
  }

  value(query, key) {
    return this.values[triangle(query) + key];
  }

  // Colours of the cells in view, one dot a cell; with more cells than dots, each dot is the strongest cell beneath it.
  paint(dots) {
    const { rows, keys } = this.maps.view;
    const height = Math.min(size(rows), dots), width = Math.min(size(keys), dots);
    const strongest = this.strongest(rows, keys, height, width);
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

  // NaN where no causal cell lies.
  strongest(rows, keys, height, width) {
    const out = new Float32Array(height * width).fill(NaN);
    const column = Int32Array.from({ length: size(keys) }, (_, i) => Math.floor((i * width) / size(keys)));
    for (let query = rows[0]; query < rows[1]; query += 1) {
      const line = Math.floor(((query - rows[0]) * height) / size(rows)) * width;
      const start = triangle(query), last = Math.min(keys[1] - 1, query);
      for (let key = keys[0]; key <= last; key += 1) {
        const at = line + column[key - keys[0]], value = this.values[start + key];
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
    const count = content.pieces.length;
    if (count !== this.count) this.view = { rows: [0, count], keys: [0, count] };
    pin = pin && pin[0] < count ? pin : null;
    Object.assign(this, { content, count, pin, labels: content.pieces.map(label) });
    if (this.cell && this.cell[0] >= count) this.cell = null;
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
    const widest = Math.max(...this.labels.map((text) => context.measureText(text).width));
    this.margin = Math.ceil(Math.min(LONGEST, widest)) + 8;
    const room = this.panels[0].node.clientWidth - this.margin - EDGE;
    this.side = Math.max(96, Math.min(room, LARGEST));
    this.ratio = devicePixelRatio || 1;
    const whole = this.side + this.margin + EDGE;
    for (const { head, plot, map, marks } of this.panels) {
      head.style.width = plot.style.width = plot.style.height = `${whole}px`;
      plot.dataset.area = `${this.margin} ${EDGE} ${this.side}`; // left, top and side of the map within the plot
      for (const canvas of [map, marks]) canvas.width = canvas.height = Math.round(whole * this.ratio);
    }
  }

  draw() {
    const began = performance.now();
    for (const panel of this.panels) this.drawMap(panel);
    this.mark();
    this.node.dataset.drawMs = (performance.now() - began).toFixed(1);
  }

  drawMap(panel) {
    const dots = Math.round(this.side * this.ratio);
    panel.paint(dots);
    const context = panel.map.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, panel.map.width, panel.map.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(panel.image, this.margin, EDGE, this.side, this.side);
    context.strokeStyle = this.colours.line;
    context.lineWidth = 1;
    context.strokeRect(this.margin - 0.5, EDGE - 0.5, this.side + 1, this.side + 1);
    context.font = this.font;
    context.fillStyle = this.colours.text;
    context.globalAlpha = 0.78;
    for (const query of this.shown(this.view.rows)) this.label(context, query, true);
    for (const key of this.shown(this.view.keys)) this.label(context, key, false);
    context.globalAlpha = 1;
  }

  // Which tokens of an axis get a label: all, or every second, fifth, ... where they would touch.
  shown(span) {
    const room = this.side / size(span);
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((one) => one * room >= LABEL) ?? size(span);
    const first = Math.ceil(span[0] / step) * step;
    return Array.from({ length: Math.max(0, Math.ceil((span[1] - first) / step)) }, (_, i) => first + i * step);
  }

  label(context, token, isQuery) {
    const at = this.place(token + 0.5, isQuery);
    context.save();
    context.beginPath();
    if (isQuery) context.rect(0, 0, this.margin - 2, this.side + 2 * EDGE);
    else context.rect(this.margin - EDGE, this.side + EDGE + 1, this.side + 2 * EDGE, this.margin);
    context.clip();
    if (isQuery) context.translate(this.margin - 6, at);
    else {
      context.translate(at, this.side + EDGE + 6);
      context.rotate(-Math.PI / 2);
    }
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(this.labels[token], 0, 0);
    context.restore();
  }

  place(position, isQuery) {
    const span = isQuery ? this.view.rows : this.view.keys;
    return ((position - span[0]) / size(span)) * this.side + (isQuery ? EDGE : this.margin);
  }

  box([query, key]) {
    const left = this.place(key, false), top = this.place(query, true);
    return [left, top, this.place(key + 1, false) - left, this.place(query + 1, true) - top];
  }

  pooled() {
    return Math.max(size(this.view.rows), size(this.view.keys)) > Math.round(this.side * this.ratio);
  }

  inView([query, key]) {
    const { rows, keys } = this.view;
    return query >= rows[0] && query < rows[1] && key >= keys[0] && key < keys[1];
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
    context.rect(this.margin - 4, EDGE - 4, this.side + 8, this.side + 8);
    context.clip();
    draw();
    context.restore();
  }

  markPin(context) {
    const [query, key] = this.pin;
    const { rows, keys } = this.view;
    if (query < rows[0] || query >= rows[1]) return;
    this.inside(context, () => {
      const [, top, , height] = this.box(this.pin);
      const end = this.place(Math.min(query + 1, keys[1]), false);
      if (end > this.margin) this.frame(context, [this.margin, top, end - this.margin, height], 4);
      if (this.inView(this.pin)) this.frame(context, this.box(this.pin), 7);
    });
    this.chip(context, query, true);
    if (this.inView(this.pin)) this.chip(context, key, false);
  }

  markCell(context) {
    const [query, key] = this.cell;
    const [x, y, width, height] = this.box(this.cell);
    this.inside(context, () => {
      context.strokeStyle = this.colours.text;
      context.globalAlpha = 0.45;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(this.margin, y + height / 2);
      context.lineTo(x, y + height / 2);
      context.moveTo(x + width / 2, y + height);
      context.lineTo(x + width / 2, EDGE + this.side);
      context.stroke();
      context.globalAlpha = 1;
      this.frame(context, [x, y, width, height], 7);
    });
    this.chip(context, query, true);
    this.chip(context, key, false);
  }

  // The exact label of one token, over the thinned ones.
  chip(context, token, isQuery) {
    const at = this.place(token + 0.5, isQuery);
    const half = LABEL / 2 + 1;
    const thinned = this.shown(isQuery ? this.view.rows : this.view.keys).map((other) => this.place(other + 0.5, isQuery));
    context.fillStyle = this.colours.back;
    for (const near of [at, ...thinned.filter((other) => Math.abs(other - at) < LABEL + 2)])
      if (isQuery) context.fillRect(0, near - half, this.margin - 2, 2 * half);
      else context.fillRect(near - half, this.side + EDGE + 3, 2 * half, this.margin);
    context.fillStyle = this.colours.text;
    const font = context.font;
    context.font = `600 ${this.font}`;
    this.label(context, token, isQuery);
    context.font = font;
  }

  markRegion(context) {
    const { rows, keys } = this.region;
    const left = this.place(keys[0], false), top = this.place(rows[0], true);
    const area = [left, top, this.place(keys[1], false) - left, this.place(rows[1], true) - top];
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

  words([query, key]) {
    const tokens = element("span");
    tokens.append(
      element("span", "muted", `${this.cell ? "" : "pinned: "}query ${query} `), this.token(query),
      element("span", "muted", ` to key ${key} `), this.token(key), " ",
    );
    const values = this.panels.map((panel) => {
      const one = element("span");
      const text = number(panel.value(query, key), panel.scale === "diverging");
      one.append(element("span", "name muted", panel.title), element("b", "", text), " ");
      return one;
    });
    return [tokens, ...values];
  }

  token(at) {
    const node = element("span", "token");
    node.dir = "auto";
    write(node, this.content.pieces[at]);
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
    const x = event.clientX - frame.left - this.margin, y = event.clientY - frame.top - EDGE;
    if (x < 0 || y < 0 || x >= this.side || y >= this.side) return null;
    const { rows, keys } = this.view;
    const dots = Math.round(this.side * this.ratio);
    const under = (offset, span) => {
      const bins = Math.min(size(span), dots);
      const bin = Math.floor((offset / this.side) * bins);
      return [span[0] + Math.ceil((bin * size(span)) / bins), span[0] + Math.ceil(((bin + 1) * size(span)) / bins)];
    };
    const [firstQuery, endQuery] = under(y, rows), [firstKey, endKey] = under(x, keys);
    let best = null;
    for (let query = firstQuery; query < endQuery; query += 1)
      for (let key = firstKey; key < Math.min(endKey, query + 1); key += 1)
        if (!best || Math.abs(panel.value(query, key)) > Math.abs(panel.value(...best))) best = [query, key];
    return best;
  }

  point(cell) {
    if (String(cell) === String(this.cell ?? null)) return;
    this.cell = cell;
    this.mark();
  }

  corner(event, panel) {
    const frame = panel.plot.getBoundingClientRect();
    const share = (offset) => Math.max(0, Math.min(1, offset / this.side));
    return [share(event.clientY - frame.top - EDGE), share(event.clientX - frame.left - this.margin)];
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
      this.region = { rows: between(top, bottom, this.view.rows), keys: between(left, right, this.view.keys) };
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
    const all = [0, this.count];
    this.view = view ?? { rows: all, keys: all };
    this.reset.hidden = !view;
    this.draw();
  }

  set(cell) {
    this.pin = String(cell) === String(this.pin ?? null) ? null : cell;
    this.mark();
    this.pick(this.pin);
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
    const { rows, keys } = this.view;
    const from = this.cell ?? this.pin;
    if (!from) return this.point([rows[1] - 1, Math.min(keys[0], rows[1] - 1)]);
    const query = Math.max(0, Math.min(this.count - 1, from[0] + down));
    this.follow([query, Math.max(0, Math.min(query, from[1] + right))]);
  }

  // Moves the zoomed region along when the keys leave it.
  follow([query, key]) {
    const into = (span, at) => (at < span[0] ? [at, at + size(span)] : at >= span[1] ? [at + 1 - size(span), at + 1] : span);
    const view = { rows: into(this.view.rows, query), keys: into(this.view.keys, key) };
    this.cell = [query, key];
    if (String(view.rows) + view.keys === String(this.view.rows) + this.view.keys) return this.mark();
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
