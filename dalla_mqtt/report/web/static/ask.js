// What is asked of the daemon, and the token that it may want for that.

import { h, say } from "./dom.js";

const KEPT = "dalla-token";
const PATIENCE_MS = 15_000;
const NO_ANSWER = ["TypeError", "TimeoutError"];  // as fetch() says it

/** Somebody would not give the token. */
export class Locked extends Error {}

export const token = () => sessionStorage.getItem(KEPT);

/** The answer; `Locked` where it wants another token than this tab has. */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const answer = await fetch(path, { cache: "no-store", ...options, headers, signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status === 401) {
    const wrong = token() ? "That was not the token." : "";
    sessionStorage.removeItem(KEPT);
    throw new Locked(wrong);
  }
  return answer;
}

/** What the daemon says against it. */
export async function complaint(answer) {
  try {
    return sentence((await answer.json()).error);
  } catch {
    return `The daemon answers ${answer.status}.`;
  }
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;

/** Give an order. The token is asked for where it is wanted; false where somebody would not give it. */
export async function order(path, about) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(about) };
  for (;;) {
    try {
      const answer = await ask(path, options);
      if (!answer.ok) throw new Error(await complaint(answer));
      return true;
    } catch (error) {
      if (error instanceof Locked) {
        if (!await askForToken(error.message)) return false;
      } else throw NO_ANSWER.includes(error.name) ? new Error("The daemon does not answer.") : error;
    }
  }
}

/** Whether a token was given, which need not be the right one. */
export function askForToken(why = "") {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const field = h("input", { type: "password", autocomplete: "current-password", required: true });
  const cancel = h("button", { type: "button" }, "Cancel");
  const form = h("form", {},
    h("h2", { id: "token-title" }, "Token"),
    h("p", {}, "Who looks after dalla-mqtt has set it, in ", h("code", {}, "web.token_file"), " or ",
      h("code", {}, "DALLA_WEB_TOKEN"), ". It is kept until this tab is closed."),
    wrong, h("label", {}, "Token ", field), h("p", { class: "buttons" }, cancel, " ", h("button", { class: "main" }, "Use it")));
  const dialog = h("dialog", { id: "token", "aria-labelledby": "token-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  say(wrong, why);
  return new Promise((resolve) => {
    let given = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEPT, field.value.trim());
      given = true;
      dialog.close();
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(given);
    });
  });
}
