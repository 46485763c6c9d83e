// The figures of now: the house, users, pools, devices, the router, events.

import { $, bar, figure, h, list, say, show } from "./dom.js";
import { change, giving } from "./change.js";
import { choose } from "./history.js";
import { ROUTER, clock, count, day, lasting, percent, rate, size, time } from "./words.js";

export const UNKNOWN = "UNKNOWN";
const FEW = 12;  // devices that are shown at first

const SPANS = {
  today: { title: "Today", of: (series) => series.today, text: size, split: false },
  period: { title: "This period", of: (series) => series.period, text: size, split: true },
  now: { title: "Now", of: (series) => series.rate, text: rate, split: false },
};
const ROUTER_MEANS = {
  ok: "It answers.",
  busy: "Somebody else is logged in to it; it is asked again soon.",
  unreachable: "It does not answer; what moves meanwhile is counted when it is back.",
  login_refused: "The password is wrong, and is not tried again.",
  bad_reply: "It answers what is no figures.",
  paused: "It is left to its owner for a while.",
};
const PARTS = { together: "Quota", on_peak: "On-peak quota", off_peak: "Off-peak quota" };

let all = false;  // devices are shown, not only the first

const spanChosen = () => SPANS[document.querySelector("[name=span]:checked").value];

/** Everything that `now` says; `may`: whether what changes something is shown. */
export function showAll(now, may) {
  const span = spanChosen();
  const ranked = (series) => [...series].sort((one, other) => span.of(other) - span.of(one) || (one.name < other.name ? -1 : 1));
  const about = { now, may, span, whole: span.of(now.total) };
  showHouse(now);
  list($("users"), ranked(now.user).map((user) => ({ ...about, user })), (item) => item.user.id, userRow);
  show($("no-users"), !now.user.length);
  show($("pools-part"), now.pool.length);
  list($("pools"), now.pool.map((pool) => ({ ...about, pool })), (item) => item.pool.id, poolRow);
  showDevices(ranked(now.device), about);
  const unknown = now.device.filter((device) => device.user === UNKNOWN);
  show($("unknown-part"), unknown.length);
  list($("unknown"), unknown.map((device) => ({ ...about, device })), (item) => item.device.id, unknownRow);
  showEvents(now);
  showRouter(now);
  show($("poll"), may);
}

function showHouse(now) {
  const total = now.total;
  document.title = `${rate(total.rate)} – Data usage ${now.site}`;
  say($("site"), now.site);
  figure($("rate"), total.rate, rate(total.rate));
  say($("peak"), now.peak ? "On-peak" : "Off-peak");
  $("peak").className = now.peak ? "tag on" : "tag off";
  figure($("today"), total.today, size(total.today));
  say($("today-since"), `${percent(total.today, total.period)} of this period`);
  figure($("period"), total.period, size(total.period));
  const end = new Date(now.period.end);
  say($("period-days"), `${day(new Date(now.period.start))} to ${day(end - 1)}`);
  const split = $("period-split");
  if (!split.update) split.append(splitParts(split));
  split.update(total, total.period);
}

/** A bar of on-peak and off-peak, and both in figures. Gives `host` a function `update(series, whole)`. */
function splitParts(host) {
  const drawn = bar("on", "off");
  const onPeak = h("data");
  const offPeak = h("data");
  host.update = (series, whole) => {
    drawn.fill(series.on_peak / whole, series.off_peak / whole);
    figure(onPeak, series.on_peak, size(series.on_peak));
    figure(offPeak, series.off_peak, size(series.off_peak));
  };
  const key = (kind, text, value) => h("span", { class: `key ${kind}` }, `${text} `, value);
  const fragment = document.createDocumentFragment();
  fragment.append(drawn, h("span", { class: "keys" }, key("on", "On-peak", onPeak), key("off", "Off-peak", offPeak)));
  return fragment;
}

/** A name that leads to its history. */
function named(of) {
  const link = h("a", { href: "#history", class: "name" });
  link.addEventListener("click", (event) => {
    event.preventDefault();
    choose(of);
  });
  return link;
}

function changer() {
  const button = h("button", { class: "quiet small", type: "button", title: "Change" }, "⋯");
  button.update = (kind, about, now, may) => {
    show(button, may);
    button.setAttribute("aria-label", `Change ${about.name}`);
    button.onclick = () => change(kind, about, now);
  };
  return button;
}

function userRow({ user }) {
  const name = named(`user/${user.id}`);
  const devices = h("span", { class: "soft" });
  const limited = h("span", { class: "tag bad", hidden: true });
  const value = h("data", { class: "value" });
  const share = h("span", { class: "share" });
  const rank = bar("all");
  const split = h("div", { class: "split" });
  split.append(splitParts(split));
  const quotas = h("div", { class: "quotas" });
  const button = changer();
  const row = h("li", {},
    h("div", { class: "line" }, h("span", { class: "who" }, name, devices, limited), h("span", { class: "what" }, value, share, button)),
    rank, split, quotas);
  row.update = ({ now, may, span, whole, user: series }) => {
    say(name, series.name);
    say(devices, count(series.devices, "device"));
    figure(value, span.of(series), span.text(span.of(series)));
    say(share, percent(span.of(series), whole));
    show(rank, !span.split);
    show(split, span.split);
    rank.fill(span.of(series) / whole);
    split.update(series, whole);
    showLimit(limited, series.quota);
    showQuota(quotas, series.quota);
    button.update("user", series, now, may);
  };
  return row;
}

function poolRow() {
  const name = h("span", { class: "name" });
  const limited = h("span", { class: "tag bad", hidden: true });
  const quotas = h("div", { class: "quotas" });
  const button = changer();
  const row = h("li", {}, h("div", { class: "line" }, h("span", { class: "who" }, name, limited), h("span", { class: "what" }, button)), quotas);
  row.update = ({ now, may, pool }) => {
    say(name, pool.name);
    showLimit(limited, pool.quota);
    showQuota(quotas, pool.quota);
    button.update("pool", pool, now, may);
  };
  return row;
}

export const limitWord = (quota) => quota.at_quota === "block" ? "Blocked" : "Throttled";

function showLimit(tag, quota) {
  show(tag, quota?.limited);
  if (quota?.limited) say(tag, limitWord(quota));
}

/** How it stands: each part that there is, and the words that the daemon has for it. */
function showQuota(host, quota) {
  const parts = Object.keys(PARTS).filter((part) => quota?.parts?.[part]);
  show(host, parts.length);
  list(host, parts.map((part) => ({ part, quota, several: parts.length > 1 })), (item) => item.part, quotaRow);
}

function quotaRow({ part }) {
  const used = bar("used");
  const figures = h("span", { class: "soft" });
  const tag = h("span", { class: "tag" });
  const text = h("p", { class: "pace" });
  const row = h("div", { class: "quota" },
    h("div", { class: "line" }, h("span", { class: "who" }, h("span", { class: "label" }, PARTS[part]), tag), figures), used, text);
  row.update = ({ quota }) => {
    const own = quota.parts[part];
    const exceeded = own.used > own.limit;
    const tight = !exceeded && own.expected != null && own.expected > own.limit;
    used.fill(own.limit ? own.used / own.limit : 1);
    row.classList.toggle("exceeded", exceeded);
    row.classList.toggle("tight", tight);
    tag.className = `tag ${exceeded ? "bad" : tight ? "warn" : "good"}`;
    show(tag, exceeded || tight || own.expected != null);
    say(tag, exceeded ? "Used up" : tight ? "Will not last" : "Lasts");
    const tightest = quota.part === part;
    say(figures, `${Math.floor(own.used_percent)} %${tightest ? "" : ` of ${size(own.limit)}`}`);
    show(text, tightest);
    say(text, tightest ? quota.text ?? "" : "");
  };
  return row;
}

function showDevices(devices, about) {
  const { span, whole } = about;
  const shown = all ? devices : devices.slice(0, FEW);
  say($("devices-figure"), span.title);
  say($("devices-span"), span.title);
  $("devices").parentNode.dataset.span = span === SPANS.now ? "now" : span.split ? "period" : "today";
  list($("devices"), shown.map((device) => ({ ...about, device, whole })), (item) => item.device.id, deviceRow);
  const more = $("more-devices");
  show(more, devices.length > FEW);
  say(more, all ? "Show fewer devices" : `Show all ${count(devices.length, "device")}`);
  more.setAttribute("aria-expanded", all);
}

export function showMoreDevices() {
  all = !all;
}

function deviceRow({ device }) {
  const name = named(`device/${device.id}`);
  const where = h("span", { class: "soft where" });
  const limited = h("span", { class: "tag bad", hidden: true });
  const phone = h("span", { class: "soft phone" });
  const user = h("td", { role: "cell", class: "desk" });
  const cells = Object.fromEntries(["value", "on_peak", "off_peak", "rate"].map((key) => [key, h("data")]));
  const share = h("span");
  const drawn = bar("on", "off");
  const active = h("td", { role: "cell", class: "desk last soft" });
  const button = changer();
  const row = h("tr", { role: "row" },
    h("th", { scope: "row", role: "rowheader" }, h("span", { class: "who" }, name, limited), where, phone),
    user,
    h("td", { role: "cell", class: "figure value" }, cells.value),
    h("td", { role: "cell", class: "figure shares" }, h("div", {}, share, drawn)),
    h("td", { role: "cell", class: "figure desk split-figure" }, cells.on_peak),
    h("td", { role: "cell", class: "figure desk split-figure" }, cells.off_peak),
    h("td", { role: "cell", class: "figure desk rate-figure" }, cells.rate),
    active,
    h("td", { role: "cell", class: "change" }, button));
  row.update = ({ now, may, span, whole, device: its }) => {
    const value = span.of(its);
    say(name, its.name);
    say(where, [its.ip, its.link, its.present ? "" : "away"].filter(Boolean).join(" · "));
    say(user, its.user);
    say(phone, span.split
      ? `${its.user} · on-peak ${size(its.on_peak)}, off-peak ${size(its.off_peak)}`
      : `${its.user} · ${rate(its.rate)} now`);
    showLimit(limited, its.quota);
    figure(cells.value, value, span.text(value));
    say(share, percent(value, whole));
    drawn.classList.toggle("plain", !span.split);
    drawn.fill(...(span.split ? [its.on_peak / whole, its.off_peak / whole] : [value / whole, 0]));
    figure(cells.on_peak, its.on_peak, size(its.on_peak));
    figure(cells.off_peak, its.off_peak, size(its.off_peak));
    figure(cells.rate, its.rate, rate(its.rate));
    say(active, its.last_active ? time(new Date(its.last_active), new Date(now.at)) : "never");
    button.update("device", its, now, may);
  };
  return row;
}

function unknownRow() {
  const name = h("b");
  const about = h("span", { class: "soft" });
  const tools = giving();
  const row = h("li", {}, h("div", { class: "line" }, name, about), h("span", { class: "soft where" }), tools);
  row.update = ({ now, may, device }) => {
    say(name, device.name);
    say(about, `${size(device.period)} this period`);
    say(row.querySelector(".where"), [
      device.name === device.mac ? "" : device.mac,
      device.ip,
      device.link,
      `first seen ${time(new Date(device.first_seen), new Date(now.at))}`,
      device.private_mac ? "a made-up address, which may change" : "",
    ].filter(Boolean).join(" · "));
    show(tools, may);
    tools.update(device, now.users);
  };
  return row;
}

function showEvents(now) {
  show($("no-events"), !now.event.length);
  const alike = {};
  const items = now.event.map((event) => {
    const text = `${event.time} ${event.text}`;
    alike[text] = (alike[text] ?? 0) + 1;
    return { now, event, id: `${alike[text]} ${text}` };
  });
  list($("events"), items, (item) => item.id, ({ event }) => {
    const at = h("time", { datetime: event.time });
    const row = h("li", { class: event.event }, at, h("span", {}, event.text));
    row.update = (item) => say(at, time(new Date(event.time), new Date(item.now.at)));
    return row;
  });
}

function showRouter(now) {
  const router = now.router;
  const facts = [
    ["State", `${ROUTER[router.state] ?? router.state}, since ${time(new Date(router.since), new Date(now.at))}. ${ROUTER_MEANS[router.state] ?? ""}`],
    ["Model", router.model],
    ["Firmware", router.firmware],
    ["Last poll", router.last_poll && `${time(new Date(router.last_poll), new Date(now.at))}, which took ${router.poll_ms} ms`],
    ["Asked every", lasting(now.interval_s)],
    ["Polls that brought nothing", router.failures ? String(router.failures) : "none since the start"],
  ].filter(([, value]) => value);
  const list_ = $("router");
  list(list_, facts, ([title]) => title, ([title]) => {
    const value = h("dd");
    const row = h("div", {}, h("dt", {}, title), value);
    row.update = ([, text]) => say(value, text);
    return row;
  });
  const state = $("router-state");
  say(state, ROUTER[router.state] ?? router.state);
  state.dataset.state = router.state;
}

/** What ages without any news. `at`: by the daemon's clock. */
export function showAge(now, at) {
  const { last_poll: last, state, since } = now.router;
  const ageS = (at - new Date(last)) / 1000;
  if (state !== "ok" || !last) say($("router-polled"), `since ${clock(new Date(since))}`);
  else say($("router-polled"), ageS < 2 ? "asked just now" : `asked ${lasting(ageS)} ago`);
}
