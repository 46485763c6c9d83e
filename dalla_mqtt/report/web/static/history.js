// What moved: hours, days and billing periods of the total, a user or a device, as two graphs with their numbers.

import { $, figure, h, say, show } from "./dom.js";
import { Locked, ask, complaint } from "./ask.js";
import { BINS, size, sizesAlike } from "./words.js";

const HEIGHT = 240;
const AXIS_PX = 72;
const LABEL_PX = 58;
const STEPS = { hour: [1, 2, 3, 6, 12, 24], day: [1, 2, 7, 14, 28], month: [1, 2, 3, 6, 12] };
const FRESH_MS = 60_000;  // so long a history is good enough

let of = "total";
let by = "day";
let asked = 0;  // a number for each question: only the latest is answered
let missing = true;  // what is to be drawn was not had
let askedAt = 0;
let askedOf = null;  // usage at that time

export function choose(series) {
  of = series;
  $("of").value = series;
  load();
  const title = $("history-title");
  title.scrollIntoView();
  title.focus({ preventScroll: true });
}

export function start() {
  $("of").addEventListener("change", (event) => { of = event.target.value; load(); });
  $("by").addEventListener("change", (event) => { by = event.target.value; load(); });
  addEventListener("scheme", () => graphs.forEach((graph) => graph.redraw()));
  new ResizeObserver(() => graphs.forEach((graph) => graph.fit())).observe($("graphs"));
}

/** Whose history there is to choose; and whether what is drawn is too old. */
export function follow(now) {
  const groups = [
    ["Users", now.user.map((user) => [`user/${user.id}`, user.name])],
    ["Devices", now.device.map((device) => [`device/${device.id}`, device.name])],
  ];
  const select = $("of");
  const text = JSON.stringify(groups);
  if (select.dataset.groups !== text) {
    select.dataset.groups = text;
    select.replaceChildren(
      h("option", { value: "total" }, "Total"),
      ...groups.map(([label, options]) => h("optgroup", { label }, ...options.map(([value, name]) => h("option", { value }, name)))),
    );
    select.value = of;
    if (select.value !== of) select.value = of = "total";
  }
  if (missing || (now.total.usage !== askedOf && Date.now() - askedAt > FRESH_MS)) {
    askedOf = now.total.usage;
    load();
  }
}

/** Where that fails, it is tried again with the next figures of now. */
async function load() {
  const mine = ++asked;
  askedAt = Date.now();
  missing = false;
  try {
    const answer = await ask(`api/history?of=${encodeURI(of)}&by=${by}`);
    const history = answer.ok ? await answer.json() : null;
    const why = answer.ok ? "Nothing is on record yet." : await complaint(answer);
    if (mine !== asked) return;
    missing = !answer.ok;
    say($("no-history"), why);
    show($("no-history"), !history?.start.length);
    show($("graphs"), history?.start.length);
    if (history?.start.length) draw(history);
  } catch (error) {
    if (mine !== asked) return;
    missing = true;
    say($("no-history"), error instanceof Locked ? "Who wants to look needs the token." : "The daemon does not answer.");
    show($("no-history"), true);
    show($("graphs"), false);
  }
}

function draw(history) {
  const words = BINS[history.by];
  const name = $("of").selectedOptions[0]?.textContent ?? "Total";
  const shorts = history.start.map(words.short);
  const fulls = history.start.map(words.full);
  const x = history.start.map((_, index) => index);
  const sums = history.delta.reduce((sum, delta) => sum + delta, 0);
  const last = history.total.at(-1);
  const shared = { by: history.by, start: history.start, shorts, fulls, name, column: words.column };
  graphs[0].show({
    ...shared,
    title: `Moved each ${words.each}`,
    ys: [history.delta, history.on_peak],
    data: [x, history.delta, history.on_peak],
    idle: `${size(sums)} in all`,
    tell: (index) => `${fulls[index]}: ${size(history.delta[index])} – on-peak ${size(history.on_peak[index])}, off-peak ${size(history.off_peak[index])}`,
    columns: [["On-peak", history.on_peak], ["Off-peak", history.off_peak], ["Together", history.delta]],
  });
  graphs[1].show({
    ...shared,
    title: "Total over time",
    data: [x, history.total],
    idle: `${size(last)} since it was first seen`,
    tell: (index) => `${fulls[index]}: ${size(history.total[index])}`,
    columns: [["Total", history.total]],
  });
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A graph in a figure: title, what is under the pointer in words, the drawing, and its numbers in a table. */
class Graph {
  #series;
  #range;
  #plot = null;
  #now = null;

  constructor(kind, keys, series, range) {
    this.#series = series;
    this.#range = range;
    this.title = h("h3");
    this.told = h("p", { class: "told soft" });
    this.canvas = h("div", { class: "canvas", role: "img" });
    this.body = h("tbody");
    this.headings = h("tr");
    this.caption = h("caption", { class: "unseen" });
    const keysShown = keys.map(([kind_, text]) => h("span", { class: `key ${kind_}` }, text));
    this.figure = h("figure", { class: kind },
      h("figcaption", {}, this.title, h("span", { class: "keys" }, ...keysShown), this.told),
      this.canvas,
      h("details", {}, h("summary", {}, "The same in numbers"),
        h("div", { class: "numbers", tabindex: "0", role: "region" },
          h("table", {}, this.caption, h("thead", {}, this.headings), this.body))));
  }

  show(about) {
    const before = this.#now;
    this.#now = about;
    say(this.title, about.title);
    say(this.told, about.idle);
    this.canvas.setAttribute("aria-label", `${about.title}, ${about.name}: ${about.idle}. The numbers are in the table below.`);
    this.#write(about);
    if (!this.#plot || before.by !== about.by) this.#make();
    else this.#plot.setData(about.data);
  }

  redraw() {
    this.#plot?.redraw(true, true);
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (this.#plot && width && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #make() {
    this.#plot?.destroy();
    this.#plot = new uPlot({
      width: this.canvas.clientWidth || 320,
      height: HEIGHT,
      padding: [8, 24, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "history" }, points: { show: this.#series.length === 1 } },
      scales: {
        x: { time: false, range: (_, __, max) => [-0.6, max + 0.6] },
        y: { range: this.#range },
      },
      axes: [this.#below(), this.#beside()],
      series: [{}, ...this.#series.map((one) => one())],
      hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx)] },
    }, this.#now.data, this.canvas);
  }

  #tell(index) {
    const known = index != null && index < this.#now.fulls.length;
    say(this.told, known ? this.#now.tell(index) : this.#now.idle);
  }

  #axis(about) {
    return { stroke: () => color("--soft"), font: "12px system-ui, sans-serif", ticks: { show: false }, ...about };
  }

  #below() {
    return this.#axis({
      size: 32,
      grid: { show: false },
      splits: (plot) => this.#labelled(plot),
      values: (_, splits) => splits.map((index) => this.#now.shorts[index] ?? ""),
    });
  }

  #beside() {
    return this.#axis({
      size: AXIS_PX,
      gap: 8,
      grid: { stroke: () => color("--line"), width: 1 },
      incrs: decimal(),
      values: (_, splits) => sizesAlike(splits),
    });
  }

  /** The bins with a label: as many as there is room for, counted back from the newest; hours at whole parts of a day. */
  #labelled(plot) {
    const { by: each, start, shorts } = this.#now;
    const room = Math.max(1, Math.floor((plot.width - AXIS_PX) / LABEL_PX));
    const step = STEPS[each].find((one) => start.length / one <= room) ?? Math.ceil(start.length / room);
    const last = start.length - 1;
    if (each !== "hour") return start.map((_, index) => index).filter((index) => (last - index) % step === 0);
    const hour = (text) => text.includes(":") ? Number(text.slice(0, 2)) : 0;
    return start.map((_, index) => index).filter((index) => hour(shorts[index]) % step === 0);
  }

  #write({ fulls, columns, column, title, name }) {
    say(this.caption, `${title}, ${name}`);
    this.body.closest(".numbers").setAttribute("aria-label", `${title} in numbers`);
    this.headings.replaceChildren(
      h("th", { scope: "col" }, column),
      ...columns.map(([text]) => h("th", { scope: "col", class: "figure" }, text)),
    );
    this.body.replaceChildren(...fulls.map((full, index) => h("tr", {},
      h("th", { scope: "row" }, full),
      ...columns.map(([, values]) => {
        const data = h("data");
        figure(data, values[index], size(values[index]));
        return h("td", { class: "figure" }, data);
      }))).reverse());
  }
}

/** Steps between two sizes on an axis, in bytes. */
function decimal() {
  const powers = Array.from({ length: 17 }, (_, power) => 10 ** power);
  return powers.flatMap((power) => [power, 2 * power, 5 * power]);
}

const bars = (name) => () => ({
  fill: () => color(name),
  stroke: () => color(name),
  width: 0,
  paths: uPlot.paths.bars({ size: [0.72, 48], radius: [0.12, 0] }),
  points: { show: false },
});
const line = () => ({
  stroke: () => color("--on"),
  fill: () => color("--wash"),
  width: 2,
  points: { show: (plot) => plot.data[0].length < 2 },
});

// All that moved is drawn as off-peak, and what of it was on-peak over that.
const graphs = [
  new Graph("delta", [["on", "On-peak"], ["off", "Off-peak"]], [bars("--off"), bars("--on")],
    (_, __, max) => [0, (max || 1) * 1.06]),
  new Graph("total", [["line", "Total"]], [line],
    (_, min, max) => {
      const room = (max - min) * 0.08 || max * 0.08 || 1;
      return [Math.max(0, min - room), max + room];
    }),
];
document.getElementById("graphs").append(...graphs.map((graph) => graph.figure));
