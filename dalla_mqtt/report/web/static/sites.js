// The list of all sites.

import { $, announce, figure, h, list, say, show } from "./dom.js";
import { watch } from "./live.js";
import { ROUTER, count, lasting, rate, size } from "./words.js";

const PAUSE_S = 10;
const STATES = { ...ROUTER, starting: "Starting", stuck: "Not asked" };  // the last two are the daemon's
const STATES_BAD = ["unreachable", "login_refused", "stuck"];
const ORDER = Object.keys(STATES);

// What a column sorts by; figures begin with the largest.
const COLUMNS = {
  name: (site) => site.name,
  state: (site) => -ORDER.indexOf(state(site)),
  rate: (site) => site.total?.rate ?? -1,
  today: (site) => site.total?.today ?? -1,
  period: (site) => site.total?.period ?? -1,
  users: (site) => site.users ?? -1,
  devices: (site) => site.devices ?? -1,
  polled: (site) => site.last_poll ?? "",
};

let sites = [];
let by = "period";
let up = false;

/** How it fares: as its router does, unless that was not asked yet, or no longer is. Who refused us is not asked again. */
function state(site) {
  if (site.router === null || (site.status === "stuck" && site.router !== "login_refused")) return site.status;
  return site.router;
}

function sorted(some) {
  const of = COLUMNS[by];
  const sign = up ? 1 : -1;
  const compare = (one, other) => one < other ? -sign : one > other ? sign : 0;
  return some.map((site) => [of(site), site])
    .sort(([one, a], [other, b]) => compare(one, other) || (a.name < b.name ? -1 : 1))
    .map(([, site]) => site);
}

function render() {
  const part = $("find").value.trim().toLowerCase();
  const found = part ? sites.filter((site) => site.name.includes(part)) : sites;
  list($("sites"), sorted(found), (site) => site.name, row);
  say($("count"), part ? `${found.length} of ${count(sites.length, "site")}` : count(sites.length, "site"));
  for (const header of document.querySelectorAll("th[data-by]")) {
    if (header.dataset.by === by) header.setAttribute("aria-sort", up ? "ascending" : "descending");
    else header.removeAttribute("aria-sort");
  }
}

function showHouse() {
  const sum = (key) => sites.reduce((all, site) => all + (site.total?.[key] ?? 0), 0);
  figure($("rate"), sum("rate"), rate(sum("rate")));
  figure($("today"), sum("today"), size(sum("today")));
  figure($("period"), sum("period"), size(sum("period")));
  document.title = `${rate(sum("rate"))} – Data usage of ${count(sites.length, "site")}`;
  const counts = {};
  for (const site of sites) counts[state(site)] = (counts[state(site)] ?? 0) + 1;
  figure($("well"), counts.ok ?? 0, `${counts.ok ?? 0} of ${sites.length}`);
  const others = ORDER.filter((one) => one !== "ok" && counts[one]);
  say($("others"), others.map((one) => `${counts[one]} ${STATES[one].toLowerCase()}`).join(" · "));
}

function row({ name }) {
  const link = h("a", { class: "name", href: `site/${encodeURIComponent(name)}/` }, name);
  const tag = h("span", { class: "tag" });
  const cells = Object.fromEntries(["rate", "today", "period", "users", "devices"].map((key) => [key, h("data")]));
  const polled = h("td", { role: "cell", class: "desk soft polled" });
  const cell = (key, what = "") => h("td", { role: "cell", class: `figure of-${key} ${what}` }, cells[key]);
  const element = h("tr", { role: "row" },
    h("th", { scope: "row", role: "rowheader" }, link), h("td", { role: "cell", class: "state" }, tag),
    cell("rate", "desk"), cell("today"), cell("period"), cell("users", "counted"), cell("devices", "counted"), polled);
  element.polled = polled;
  element.update = (site) => {
    const its = state(site);
    element.site = site;
    say(tag, STATES[its] ?? its);
    const kind = its === "ok" ? "good" : STATES_BAD.includes(its) ? "bad" : "warn";
    if (tag.dataset.kind !== kind) tag.className = `tag ${tag.dataset.kind = kind}`;
    for (const [key, text] of Object.entries({ rate, today: size, period: size })) tell(cells[key], site.total?.[key], text);
    tell(cells.users, site.users, String);
    tell(cells.devices, site.devices, String);
  };
  return element;
}

function tell(cell, value, text) {
  if (value == null) say(cell, "–");
  else if (cell.getAttribute("value") !== String(value)) figure(cell, value, text(value));
}

function showAges(_, at) {
  for (const one of $("sites").children) {
    const last = one.site.last_poll;
    say(one.polled, last ? `${lasting((at - new Date(last)) / 1000)} ago` : "never");
  }
}

for (const header of document.querySelectorAll("th[data-by]")) {
  header.querySelector("button").addEventListener("click", () => {
    up = by === header.dataset.by ? !up : header.dataset.by === "name";
    by = header.dataset.by;
    render();
    announce(`Sorted by ${header.textContent.toLowerCase()}, ${up ? "ascending" : "descending"}.`);
  });
}
$("find").addEventListener("input", render);

watch("api/sites", {
  pauseS: () => PAUSE_S,
  news: (known) => {
    sites = known.site;
    showHouse();
    render();
    show($("no-sites"), !sites.length);
  },
  age: showAges,
});
