const SPECIAL = 1, SELECTABLE = 2, BREAK = 4;
const LONG = 600; // tokens from which the strip scrolls in a box of its own

class Strip {
  constructor(root) {
    this.head = element("div", "head");
    this.box = element("div", "box");
    this.box.dir = "ltr";
    root.replaceChildren(this.head, this.box);
    this.root = root;
    this.tip = new Tip(root);
    this.nodes = [];
    this.box.addEventListener("click", (event) => this.choose(this.indexOf(event.target)));
    this.box.addEventListener("keydown", (event) => this.press(event));
    this.box.addEventListener("pointerover", (event) => this.explain(this.indexOf(event.target)));
    this.box.addEventListener("pointerleave", () => this.tip.hide());
    this.box.addEventListener("focusin", (event) => this.visit(this.indexOf(event.target)));
    this.box.addEventListener("focusout", () => this.tip.hide());
    this.hideTip = () => this.tip.hide();
    addEventListener("scroll", this.hideTip, true);
  }

  remove() {
    removeEventListener("scroll", this.hideTip, true);
    this.root.replaceChildren();
  }

  indexOf(node) {
    return node.closest?.(".cell")?.index ?? -1;
  }

  show(content, pin) {
    this.content = content;
    this.pin = pin < content.ids.length ? pin : null;
    this.table = content.scale && content[`${content.scale} ${isDark(this.root) ? "dark" : "light"}`];
    this.any = content.flags.some((flag) => flag & SELECTABLE);
    this.box.classList.toggle("long", content.ids.length > LONG);
    this.box.setAttribute("role", this.any ? "listbox" : "list");
    this.box.setAttribute("aria-label", content.label);
    this.drawHead();
    this.drawCells();
    this.mark();
  }

  drawHead() {
    const { label, scale, limit, roles, roleNames } = this.content;
    const legend = element("div", "legend muted");
    const used = new Set(roles);
    if (used.size > 1) for (const role of [...used].sort()) legend.append(element("span", `key ${roleNames[role]}`, roleNames[role]));
    if (this.table) {
      const ends = scale === "diverging" ? [short(-limit), "+" + short(limit)] : ["0", short(limit)];
      legend.append(colourBar(this.table, ...ends));
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
        node.className = `cell ${roleNames[roles[i]]}${flags[i] & SPECIAL ? " special" : ""}${flags[i] & SELECTABLE ? " can" : ""}`;
        write(node, text || "\u2205");
        if (node.nextSibling?.nodeName === "BR") node.nextSibling.remove();
        if (flags[i] & BREAK) node.parentNode === this.box ? node.after(element("br")) : added.append(element("br"));
      }
      node.setAttribute("role", this.any ? "option" : "listitem");
      this.colour(node, i);
      node.setAttribute("aria-label", this.lines(i).map(plain).join(", "));
      if (this.any) node.setAttribute("aria-disabled", String(!(flags[i] & SELECTABLE)));
    });
    for (const node of this.nodes.splice(texts.length)) {
      if (node.nextSibling?.nodeName === "BR") node.nextSibling.remove();
      node.remove();
    }
    this.box.append(added);
  }

  colour(node, i) {
    const { values, levels } = this.content;
    const coloured = this.table && !Number.isNaN(values[i]);
    const [r, g, b, white] = coloured ? this.table.subarray(4 * levels[i], 4 * levels[i] + 4) : [];
    node.style.background = coloured ? `rgb(${r} ${g} ${b})` : "";
    node.style.color = coloured ? (white ? "#fff" : "#000") : "";
  }

  mark() {
    const at = this.pin === null ? -1 : this.cellOf(this.pin);
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
    const { texts, ids, roles, roleNames, values, scale, hover, bytes } = this.content;
    const [first, last] = this.tokens(i);
    const [from, to] = [first, last].map((token) => token + this.content.first);
    const list = Array.from(ids.subarray(first, last + 1)).join(", ");
    const where = first === last ? `token ${from}, id ${list}` : `tokens ${from} to ${to}, ids ${list}, bytes ${bytes[i]}`;
    const value = values && `${number(values[i], scale === "diverging")}${first === last ? "" : " (sum)"}`;
    return [texts[i], `${where}, ${roleNames[roles[i]]}`, value, ...new Set(hover.slice(first, last + 1))].filter(Boolean);
  }

  explain(i) {
    if (i >= 0) this.tip.show(this.lines(i), this.nodes[i].getClientRects()[0] ?? this.nodes[i].getBoundingClientRect());
  }

  visit(i) {
    if (i < 0) return;
    this.stopAt(i);
    if (this.nodes[i].matches(":focus-visible")) this.explain(i);
  }

  choose(i) {
    if (i < 0 || !(this.content.flags[i] & SELECTABLE)) return;
    const [first, last] = this.tokens(i);
    const pinned = this.pin !== null && this.pin >= first && this.pin <= last;
    let token = first;
    while (!this.content.selectable[token]) token += 1;
    this.set(pinned ? null : token);
  }

  set(token) {
    this.pin = token;
    this.mark();
    this.pick(token);
  }

  press(event) {
    const at = this.indexOf(event.target);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.nodes.length - 1 }[event.key];
    if (to !== undefined) this.nodes[Math.max(0, Math.min(to, this.nodes.length - 1))].focus();
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.line(at, event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" || event.key === " ") this.choose(at);
    else if (event.key === "Escape" && this.pin !== null && this.any) this.set(null);
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
    if (best >= 0) this.nodes[best].focus();
  }
}

export default mounted((root) => new Strip(root));
