const SPECIAL = 1, SELECTABLE = 2, BREAK = 4, GREYED = 8, MARKED = 16;
const LONG = 600; // tokens from which the strip scrolls in a box of its own
const SIGNS = [[SPECIAL, "special"], [SELECTABLE, "can"], [GREYED, "greyed"], [MARKED, "marked"]];
const SIDES = ["base", "tuned"];
const EMPTY = "\u2205";

class Strip {
  constructor(root) {
    this.head = element("div", "head");
    this.box = element("div", "box");
    this.box.dir = "ltr";
    root.replaceChildren(this.head, this.box);
    this.root = root;
    this.tip = new Tip(root);
    this.told = -1; // the cell that the tip is about
    this.nodes = [];
    this.box.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("keydown", (event) => this.press(event));
    this.box.addEventListener("pointerover", (event) => this.explain(this.indexOf(event.target)));
    // A finger leaves when it is lifted: what it tapped stays explained until another place is touched.
    this.box.addEventListener("pointerleave", (event) => event.pointerType === "touch" || this.hide());
    this.box.addEventListener("focusin", (event) => this.visit(this.indexOf(event.target)));
    this.box.addEventListener("focusout", () => this.hide());
    this.scrolled = () => this.follow();
    addEventListener("scroll", this.scrolled, true);
  }

  remove() {
    removeEventListener("scroll", this.scrolled, true);
    this.root.replaceChildren();
  }

  indexOf(node) {
    return node.closest?.(".cell")?.index ?? -1;
  }

  show(content, pin) {
    const began = performance.now();
    this.content = content;
    this.pin = pin < content.ids.length ? pin : null;
    const mode = isDark(this.root) ? "dark" : "light";
    this.table = content.scale && content[`${content.scale} ${mode}`];
    for (const [name, colour] of Object.entries(content.palette[mode])) this.root.style.setProperty(`--${name}`, colour);
    this.any = content.flags.some((flag) => flag & SELECTABLE);
    this.box.classList.toggle("long", content.ids.length > LONG);
    this.box.setAttribute("role", this.any ? "listbox" : "list");
    this.box.setAttribute("aria-label", content.label);
    this.drawHead();
    this.drawCells();
    this.showPin();
    if (this.told >= this.nodes.length) this.hide();
    this.explain(this.told);
    this.box.dataset.drawMs = (performance.now() - began).toFixed(1);
  }

  drawHead() {
    const { label, scale, limit, roles, roleNames, flags, greyedBecause, mark } = this.content;
    const legend = element("div", "legend muted");
    const used = new Set(roles);
    if (used.size > 1) for (const role of [...used].sort()) legend.append(element("span", `key ${roleNames[role]}`, roleNames[role]));
    if (flags.some((flag) => flag & MARKED)) legend.append(element("span", "key marked", mark));
    if (flags.some((flag) => flag & GREYED)) legend.append(element("span", "key greyed", greyedBecause));
    if (this.table) {
      const [low, high] = this.content.ends ?? ["", ""];
      const numbers = scale === "diverging" ? [short(-limit), "+" + short(limit)] : ["0", short(limit)];
      legend.append(colourBar(this.table, `${low}\u2002${numbers[0]}`.trim(), `${numbers[1]}\u2002${high}`.trim()));
    }
    this.head.replaceChildren(element("div", "muted", label), legend);
  }

  // Cells that did not change keep their node, so that an answer that grows neither flickers nor loses the focus.
  drawCells() {
    const { texts, flags, roles, roleNames } = this.content;
    const added = document.createDocumentFragment();
    texts.forEach((text, i) => {
      const sign = `${flags[i]} ${roles[i]} ${text}`;
      let node = this.nodes[i];
      if (!node) {
        added.append((node = this.nodes[i] = element("span")));
        node.dir = "auto";
        node.tabIndex = -1;
        node.index = i;
      }
      if (node.sign !== sign) {
        node.sign = sign;
        node.className = ["cell", roleNames[roles[i]], ...SIGNS.filter(([bit]) => flags[i] & bit).map(([, name]) => name)].join(" ");
        write(node, text || EMPTY);
        if (node.nextSibling?.nodeName === "BR") node.nextSibling.remove();
        if (flags[i] & BREAK) node.parentNode === this.box ? node.after(element("br")) : added.append(element("br"));
      }
      node.setAttribute("role", this.any ? "option" : "listitem");
      this.colour(node, i);
      node.setAttribute("aria-label", [...this.lines(i), ...this.sides(i)].map(plain).join(", "));
      if (this.any) node.setAttribute("aria-disabled", String(!(flags[i] & SELECTABLE)));
    });
    for (const node of this.nodes.splice(texts.length)) {
      if (node.nextSibling?.nodeName === "BR") node.nextSibling.remove();
      node.remove();
    }
    this.box.append(added);
  }

  colour(node, i) {
    const { values, levels, flags } = this.content;
    const coloured = this.table && !Number.isNaN(values[i]) && !(flags[i] & GREYED);
    const [r, g, b, white] = coloured ? this.table.subarray(4 * levels[i], 4 * levels[i] + 4) : [];
    node.style.background = coloured ? `rgb(${r} ${g} ${b})` : "";
    node.style.color = coloured ? (white ? "#fff" : "#000") : "";
  }

  showPin() {
    const at = this.pinnedAt();
    this.nodes.forEach((node, i) => {
      node.classList.toggle("pinned", i === at);
      if (this.any) node.setAttribute("aria-selected", String(i === at));
    });
    const stop = at >= 0 ? at : Math.max(0, this.nodes.indexOf(this.stop));
    this.stopAt(stop);
  }

  stopAt(i) {
    if (this.stop) this.stop.tabIndex = -1;
    this.stop = this.nodes[i];
    if (this.stop) this.stop.tabIndex = 0;
  }

  cellOf(token) {
    return this.content.starts.findLastIndex((start) => start <= token);
  }

  tokens(i) {
    const { starts, ids } = this.content;
    return [starts[i], (starts[i + 1] ?? ids.length) - 1];
  }

  lines(i) {
    const { texts, ids, roles, roleNames, values, hover, bytes, flags, greyedBecause, mark } = this.content;
    const [first, last] = this.tokens(i);
    const [from, to] = [first, last].map((token) => token + this.content.first);
    const list = Array.from(ids.subarray(first, last + 1)).join(", ");
    const where = first === last ? `token ${from}, id ${list}` : `tokens ${from} to ${to}, ids ${list}, bytes ${bytes[i]}`;
    const signs = [flags[i] & MARKED && mark, flags[i] & GREYED && greyedBecause];
    return [texts[i], `${where}, ${roleNames[roles[i]]}`, values && this.value(i), ...signs, ...new Set(hover.slice(first, last + 1)), this.which(i)].filter(Boolean);
  }

  value(i) {
    const { values, scale, ends, flags, joined } = this.content;
    const [first, last] = this.tokens(i);
    const means = ends && scale === "diverging" && !(flags[i] & GREYED) && values[i] && ends[Number(values[i] > 0)];
    return `${number(values[i], scale === "diverging")}${first === last ? "" : ` (${joined})`}${means ? `, ${means}` : ""}`;
  }

  // Of a cell of several tokens (bytes of one character) the comparison is that of the first.
  which(i) {
    const [first, last] = this.tokens(i);
    return this.content.compared && first !== last && `first of ${last - first + 1} tokens:`;
  }

  // The comparison in words, for those who hear it.
  sides(i) {
    const { rows, compared } = this.content;
    const said = (row, cell) => cell && `${row} ${Array.isArray(cell) ? `${cell[0] || EMPTY} ${cell[1]}`.trim() : cell}`;
    const all = SIDES.map((side, s) => `${side}: ${compared?.[i][s].map((cell, r) => said(rows[r], cell)).filter(Boolean).join(", ")}`);
    return compared ? [all.join("; ")] : [];
  }

  // The comparison as a table: numbers end at one edge, tokens begin at one and have their share at the edge of the numbers.
  comparison(i) {
    const { rows, compared } = this.content;
    if (!compared) return [];
    const table = element("table"), head = element("tr");
    head.append(element("th"), ...SIDES.map((side) => Object.assign(element("th", side, side), { colSpan: 2 })));
    table.append(head, ...rows.map((row, r) => {
      const line = element("tr");
      line.append(element("th", "", row), ...compared[i].flatMap((side) => this.compare(side[r])));
      return line;
    }));
    return [table];
  }

  compare(cell) {
    if (!Array.isArray(cell)) return [Object.assign(element("td", "", cell), { colSpan: 2 })];
    const piece = element("td", "piece");
    piece.dir = "auto";
    write(piece, cell[0] || EMPTY);
    return [piece, element("td", "", cell[1])];
  }

  place(i) {
    return this.nodes[i].getClientRects()[0] ?? this.nodes[i].getBoundingClientRect();
  }

  explain(i) {
    if (i < 0) return;
    this.told = i;
    this.tip.show(this.lines(i), this.place(i), ...this.comparison(i));
  }

  hide() {
    this.told = -1;
    this.tip.hide();
  }

  // When something scrolls, the tip goes with the cell that has the keyboard, as long as one sees it, and else away.
  follow() {
    const node = this.nodes[this.told];
    if (!node) return;
    const { top, bottom } = this.place(this.told), box = this.box.getBoundingClientRect();
    if (node.matches(":focus-visible") && top >= Math.max(0, box.top) && bottom <= Math.min(innerHeight, box.bottom)) this.explain(this.told);
    else this.hide();
  }

  visit(i) {
    if (i < 0) return;
    this.stopAt(i);
    if (this.nodes[i].matches(":focus-visible")) this.explain(i);
  }

  click(event) {
    const i = this.indexOf(event.target);
    this.choose(i);
    if (event.pointerType === "touch") this.explain(i);
  }

  choose(i) {
    const token = this.pickOf(i);
    if (token !== undefined) this.set(this.pinnedAt() === i ? null : token);
  }

  // The cell that is pinned, or -1.
  pinnedAt() {
    return this.pin === null ? -1 : this.cellOf(this.pin);
  }

  // The token that a pick of a cell means; undefined where none may be picked.
  pickOf(i) {
    if (i < 0) return;
    const [first, last] = this.tokens(i);
    for (let token = first; token <= last; token += 1) if (this.content.selectable[token]) return token;
  }

  set(token) {
    this.pin = token;
    this.showPin();
    this.pick(token);
  }

  // With the arrow keys the pin goes along, except over cells that may not be picked.
  go(to) {
    this.nodes[to].focus();
    const token = this.pickOf(to);
    if (token !== undefined && this.pinnedAt() !== to) this.set(token);
  }

  press(event) {
    const at = this.indexOf(event.target);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.nodes.length - 1 }[event.key];
    if (to !== undefined) this.go(Math.max(0, Math.min(to, this.nodes.length - 1)));
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.line(at, event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" || event.key === " ") this.choose(at);
    else if (event.key === "Escape" && this.pin !== null && this.any) this.set(null);
    else if (event.key === "Escape" && this.told >= 0) this.hide();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // To the nearest cell of the line above or below, as in a text.
  line(at, step) {
    const from = this.nodes[at].getBoundingClientRect();
    let best = -1, distance = Infinity, edge = null;
    for (let i = at + step; i >= 0 && i < this.nodes.length; i += step) {
      const box = this.nodes[i].getBoundingClientRect();
      if (step * (box.top - from.top) < from.height / 2) continue;
      edge ??= box.top;
      if (Math.abs(box.top - edge) > box.height / 2) break;
      const off = Math.abs(box.left + box.width / 2 - from.left - from.width / 2);
      if (off < distance) [best, distance] = [i, off];
    }
    if (best >= 0) this.go(best);
  }
}

export default mounted((root) => new Strip(root));
