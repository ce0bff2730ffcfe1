// Draws the figures of a report from the JSON in the page: in the colours of the page, light on paper.
"use strict";

const read = (id) => {
  const element = document.getElementById(id);
  return element && JSON.parse(element.textContent);
};
const template = read("template");
const colours = read("colours");
const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const plots = [...document.querySelectorAll(".plot")];
const drawn = new Map(); // plot -> whether it is dark

const recoloured = (value) => {
  if (typeof value === "string") return colours[value] ?? value;
  if (Array.isArray(value)) return value.map(recoloured);
  if (value === null || typeof value !== "object" || "bdata" in value) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, recoloured(one)]));
};

const draw = (plot, isDark) => {
  if (drawn.get(plot) === isDark) return;
  drawn.set(plot, isDark);
  const id = `figure-${plot.dataset.figure}`;
  const figure = (isDark && read(`${id}-dark`)) || (isDark ? recoloured(read(id)) : read(id));
  plot.style.height = `${figure.layout.height ?? 360}px`;
  Plotly.react(plot, figure.data, { ...figure.layout, template, autosize: true }, { displaylogo: false, responsive: true });
};

const isDark = () => dark.matches && !paper.matches;
const near = new IntersectionObserver(
  (entries) => entries.filter((one) => one.isIntersecting).forEach((one) => draw(one.target, isDark())),
  { rootMargin: "800px" },
);
plots.forEach((plot) => near.observe(plot));

const again = () => [...drawn.keys()].forEach((plot) => draw(plot, isDark()));
dark.addEventListener("change", again);

// On paper every figure is drawn, light, and what was asked is open.
const opened = [];
const toPaper = () => {
  document.querySelectorAll("details:not([open])").forEach((one) => {
    one.open = true;
    opened.push(one);
  });
  plots.forEach((plot) => draw(plot, false));
};
const fromPaper = () => {
  opened.splice(0).forEach((one) => (one.open = false));
  again();
};
addEventListener("beforeprint", toPaper);
addEventListener("afterprint", fromPaper);
paper.addEventListener("change", () => (paper.matches ? toPaper() : fromPaper()));
