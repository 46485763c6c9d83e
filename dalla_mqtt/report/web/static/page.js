// The page of one household.

import { $ } from "./dom.js";
import { token } from "./ask.js";
import { onChange, pollNow } from "./change.js";
import { showAge, showAll, showMoreDevices } from "./figures.js";
import { follow, start } from "./history.js";
import { watch } from "./live.js";
import { liveIn } from "./words.js";

const LEAST_S = 2;
const MOST_S = 10;

let now = null;

function render() {
  if (now) showAll(now, now.may_change || Boolean(token()));
}

start();
const look = watch("api/now", {
  pauseS: (known) => Math.min(MOST_S, Math.max(LEAST_S, known?.interval_s ?? LEAST_S)),
  news: (known) => {
    now = known;
    liveIn(now.timezone);
    render();
  },
  same: follow,
  age: showAge,
});

$("span").addEventListener("change", render);
$("more-devices").addEventListener("click", () => { showMoreDevices(); render(); });
$("poll").addEventListener("click", pollNow);
onChange(() => {
  look();
  setTimeout(look, 1000);
});
