// Sizes, rates, times and days as people read them. Sizes are decimal, with three digits, as in Home Assistant.

/** How routers fare. */
export const ROUTER = {
  ok: "OK",
  busy: "Busy",
  unreachable: "Unreachable",
  login_refused: "Login refused",
  bad_reply: "Odd reply",
  paused: "Paused",
};

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];
const RATES = ["kbit/s", "Mbit/s", "Gbit/s"];

let zone;  // of the household: its days begin at its midnight, wherever the reader is
let formats = new Map();

export function liveIn(timezone) {
  if (timezone !== zone) formats = new Map();
  zone = timezone ?? undefined;
}

/** 1.62 GB of bytes. */
export const size = (bytes) => scaled(bytes, SIZES);

/** 3.20 Mbit/s of bytes per second. */
export const rate = (bytesPerS) => scaled(bytesPerS * 8 / 1000, RATES);

function scaled(value, units) {
  let unit = 0;
  while (unit + 1 < units.length && value >= 999.5) {
    value /= 1000;
    unit += 1;
  }
  const digits = value === 0 || units[unit] === "B" ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** Sizes along an axis, all in the unit of the largest. */
export function sizesAlike(values) {
  const largest = Math.max(...values);
  const unit = Math.max(0, Math.min(SIZES.length - 1, Math.floor(Math.log10(largest || 1) / 3)));
  return values.map((value) => `${Number((value / 1000 ** unit).toPrecision(4))} ${SIZES[unit]}`);
}

/** 42 % of a part; what is there is never 0 %. */
export function percent(part, whole) {
  if (!part || !whole) return "0 %";
  const rounded = Math.round(part * 100 / whole);
  return rounded ? `${rounded} %` : "< 1 %";
}

export const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

/** 12 s, 3 min, 5 h, 2 days: how long that is, roughly. */
export function lasting(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h`;
  return count(Math.round(seconds / 86400), "day");
}

function local(moment, options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }));
  return formats.get(key).format(moment);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { day: "numeric", month: "short" };

export const clock = (moment) => local(moment, CLOCK);
export const day = (moment) => local(moment, DAY);

/** 14:03 of today's, 24 Nov 14:03 of another day's. */
export function time(moment, now) {
  const days = { ...DAY, year: "numeric" };
  return local(moment, days) === local(now, days) ? clock(moment) : `${day(moment)} ${clock(moment)}`;
}

const FULL = { weekday: "short", ...DAY, year: "numeric" };
const firstOfMonth = (moment) => local(moment, { day: "numeric" }) === "1";

/** What a bin of a graph is called: at its axis, and in full. `start` is in epoch seconds. */
export const BINS = {
  hour: {
    each: "hour",
    column: "Hour from",
    short: (start) => clock(start * 1000) === "00:00" ? local(start * 1000, { weekday: "short", day: "numeric" }) : clock(start * 1000),
    full: (start) => `${local(start * 1000, { weekday: "short", ...DAY })}, ${clock(start * 1000)}`,
  },
  day: {
    each: "day",
    column: "Day",
    short: (start) => day(start * 1000),
    full: (start) => local(start * 1000, FULL),
  },
  month: {
    each: "billing period",
    column: "Period from",
    short: (start) => local(start * 1000, firstOfMonth(start * 1000) ? { month: "short", year: "2-digit" } : DAY),
    full: (start) => firstOfMonth(start * 1000) ? local(start * 1000, { month: "long", year: "numeric" }) : `from ${local(start * 1000, FULL)}`,
  },
};
