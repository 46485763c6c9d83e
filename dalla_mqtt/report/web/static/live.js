// Looks every few seconds whether there is something new, for as long as somebody sees the page.

import { $, announce, say, show } from "./dom.js";
import { Locked, ask, askForToken, complaint } from "./ask.js";
import { clock } from "./words.js";

const UNCHANGED = 304;

/**
 * Ask for what is at `path` again and again. `pauseS(known)`: how long not to; `news(known)`: show what has changed;
 * `same(known)`: after each look; `age(known, at)`: show what ages, by the daemon's clock. `known` may be null in the
 * first and is not in the others. Returns a function that looks at once.
 */
export function watch(path, { pauseS, news, same = () => {}, age }) {
  let known = null;
  let tag = null;  // of what is shown
  let ahead = 0;  // of this machine's clock the daemon's is so many ms
  let seen = Date.now();  // when the daemon answered last
  let lost = false;
  let timer = null;
  let looking = false;
  let again = false;  // something was changed while it was looking

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
    if (known) age(known, Date.now() + ahead);
    if (!document.hidden && !locked) timer = setTimeout(look, again ? 0 : pauseS(known) * 1000);
  }

  /** Ask once; whether the daemon tells nothing without a token. */
  async function see() {
    try {
      const answer = await ask(path, { headers: tag ? { "If-None-Match": tag } : {} });
      const date = Date.parse(answer.headers.get("Date"));
      if (date) ahead = date - Date.now();
      if (answer.ok) {
        known = await answer.json();
        tag = answer.headers.get("ETag");
        news(known);
      } else if (answer.status !== UNCHANGED) {
        disconnected(await complaint(answer));
        return false;
      }
      connected();
      same(known);
    } catch (error) {
      if (error instanceof Locked) {
        show($("locked"), true);
        return true;
      }
      disconnected("The daemon does not answer.");
    }
    return false;
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
    say($("lost"), `${since}: ${why}${known ? " These are the last figures; it goes on by itself." : ""}`);
    show($("lost"), true);
    document.body.classList.toggle("stale", Boolean(known));
    say($("live"), since);
    $("live").className = "live";
  }

  $("locked").querySelector("button").addEventListener("click", async () => {
    if (await askForToken()) {
      tag = null;
      look();
    }
  });
  document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : look());
  look();
  return look;
}
