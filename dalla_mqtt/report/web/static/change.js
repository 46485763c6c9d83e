// What may be changed: whose a device is, names, quotas, top-ups, limits.

import { $, announce, h, say, show } from "./dom.js";
import { order } from "./ask.js";
import { size } from "./words.js";

const PARTS = { together: "All hours", on_peak: "On-peak", off_peak: "Off-peak" };
const WORDS = { user: "A user", device: "A device", pool: "A quota that several share" };

let soon = () => {};  // look again

export function onChange(look) {
  soon = look;
}

/** Give an order and tell of it. `complain` shows why it cannot be. */
async function command(path, about, done, complain) {
  complain("");
  try {
    if (await order(path, about)) {
      announce(done);
      soon();
      return true;
    }
  } catch (error) {
    complain(error.message);
  }
  return false;
}

export const pollNow = () => command("api/poll", {}, "The router is asked soon.", (why) => why && announce(why));

function offer(select, users, chosen) {
  const names = [...select.options].map((option) => option.value).filter(Boolean);
  if (names.join("\n") !== users.join("\n")) {
    for (const option of [...select.options].filter((one) => one.value)) option.remove();
    select.append(...users.map((user) => h("option", { value: user }, user)));
  }
  if (chosen !== undefined) select.value = chosen;
}

/** A way to give an unknown device to a user. */
export function giving() {
  const select = h("select", {}, h("option", { value: "" }, "Choose a user"));
  const button = h("button", { type: "submit" }, "Give");
  const wrong = h("p", { class: "wrong", role: "alert" });
  const form = h("form", { class: "tools" }, select, button, wrong);
  form.update = (device, users) => {
    select.setAttribute("aria-label", `Give ${device.name} to`);
    button.setAttribute("aria-label", `Give ${device.name}`);
    offer(select, users.filter((user) => user !== "UNKNOWN"));
    form.onsubmit = (event) => {
      event.preventDefault();
      const user = select.value;
      if (!user) {
        select.focus();
        return;
      }
      command(`api/device/${encodeURIComponent(device.id)}/user`, { user }, `${device.name} is given to ${user}.`, (why) => say(wrong, why))
        .then((done) => done && $("unknown-title").focus());
    };
  };
  return form;
}

/** The dialog with all that can be changed of a user, a device or a pool. */
export function change(kind, about, now) {
  const dialog = $("change");
  const path = `api/${kind}/${encodeURIComponent(about.id)}`;
  const quota = about.quota;
  const limited = Boolean(quota?.limited);
  const wrong = dialog.querySelector(".wrong");
  say($("change-title"), about.name);
  say($("change-about"), quota?.text ?? (kind === "device" ? `${about.mac} · ${about.ip}` : WORDS[kind]));
  say(wrong, "");

  const form = (part, shown, fill, sent) => {
    const one = $(`change-${part}`);
    show(one, shown);
    one.reset();
    fill(one.elements);
    one.onsubmit = async (event) => {
      event.preventDefault();
      const { send, done } = sent(one.elements);
      if (await command(`${path}/${part}`, send, done, (why) => say(wrong, why))) dialog.close();
    };
  };
  form("name", kind === "device", (field) => {
    field.name.value = about.name;
  }, (field) => ({ send: { name: field.name.value.trim() }, done: `Its name is ${field.name.value.trim() || "what it calls itself"}.` }));
  form("user", kind === "device", (field) => offer(field.user, now.users, about.user),
    (field) => ({ send: { user: field.user.value }, done: `${about.name} is given to ${field.user.value}.` }));
  form("topup", Boolean(quota?.part), () => {},
    (field) => ({ send: { size: field.size.value.trim() }, done: `The quota of ${about.name} is topped up by ${field.size.value.trim()}.` }));
  form("quota", true, (field) => {
    if (!field.part.options.length) field.part.append(...Object.entries(PARTS).map(([part, title]) => h("option", { value: part }, title)));
    field.part.value = quota?.part ?? "together";
  }, (field) => ({ send: { part: field.part.value, size: field.size.value.trim() }, done: `The quota of ${about.name} is set.` }));
  form("limited", true, () => {
    say($("limited-now"), limited ? `${about.name} is limited now.` : "Slow down or shut out, until somebody ends it.");
    say($("change-limited").querySelector("button"), limited ? "Let go" : "Limit now");
  }, () => ({ send: { on: !limited }, done: limited ? `${about.name} is let go.` : `${about.name} is limited.` }));
  dialog.querySelector("[value=close]").onclick = () => dialog.close();
  dialog.showModal();
}
