// Looks every few seconds whether there is something new, and shows it.

import { $, announce, say, show } from "./dom.js";
import { Locked, ask, askForToken, complaint, token } from "./ask.js";
import { onChange, pollNow } from "./change.js";
import { showAge, showAll, showMoreDevices } from "./figures.js";
import { follow, start } from "./history.js";
import { clock, liveIn } from "./words.js";

const LEAST_S = 2;
const MOST_S = 10;
const UNCHANGED = 304;

let now = null;
let tag = null;  // of what is shown
let ahead = 0;  // of this machine's clock the daemon's is so many ms
let seen = Date.now();  // when the daemon answered last
let lost = false;
let timer = null;
let looking = false;
let again = false;  // something was changed while it was looking

const pauseMs = () => Math.min(MOST_S, Math.max(LEAST_S, now?.interval_s ?? LEAST_S)) * 1000;

async function look() {
  clearTimeout(timer);
  if (looking) {
    again = true;
    return;
  }
  looking = true;
  again = false;
  const locked = await see();
  looking = false;
  if (now) showAge(now, Date.now() + ahead);
  if (!document.hidden && !locked) timer = setTimeout(look, again ? 0 : pauseMs());
}

/** Ask once; whether the daemon tells nothing without a token. */
async function see() {
  try {
    const answer = await ask("api/now", { headers: tag ? { "If-None-Match": tag } : {} });
    const date = Date.parse(answer.headers.get("Date"));
    if (date) ahead = date - Date.now();
    if (answer.ok) {
      now = await answer.json();
      tag = answer.headers.get("ETag");
      liveIn(now.timezone);
      render();
    } else if (answer.status !== UNCHANGED) {
      disconnected(await complaint(answer));
      return false;
    }
    connected();
    follow(now);
  } catch (error) {
    if (error instanceof Locked) {
      show($("locked"), true);
      return true;
    }
    disconnected("The daemon does not answer.");
  }
  return false;
}

function render() {
  showAll(now, now.may_change || Boolean(token()));
}

function connected() {
  seen = Date.now();
  show($("locked"), false);
  show($("lost"), false);
  document.body.classList.remove("stale");
  say($("live"), "Live");
  $("live").className = "live on";
  if (lost) announce("Connected again.");
  lost = false;
}

function disconnected(why) {
  lost = true;
  const since = `Not connected since ${clock(seen + ahead)}`;
  say($("lost"), `${since}: ${why}${now ? " These are the last figures; it goes on by itself." : ""}`);
  show($("lost"), true);
  document.body.classList.toggle("stale", Boolean(now));
  say($("live"), since);
  $("live").className = "live";
}

async function unlock() {
  if (await askForToken()) {
    tag = null;
    look();
  }
}

function afterChange() {
  look();
  setTimeout(look, 1000);
}

$("span").addEventListener("change", () => now && render());
$("more-devices").addEventListener("click", () => { showMoreDevices(); render(); });
$("poll").addEventListener("click", pollNow);
$("locked").querySelector("button").addEventListener("click", unlock);
document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : look());
onChange(afterChange);
start();
look();
