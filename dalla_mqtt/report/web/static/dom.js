// Elements. What comes from outside gets in as text only: nothing here parses HTML.

export const $ = (id) => document.getElementById(id);

/** An element with attributes, and children that are elements or text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Put a text where it is not there yet: what somebody has marked stays marked. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A figure: in words, and exact. */
export function figure(element, value, text) {
  element.setAttribute("value", value);
  say(element, text);
}

export function show(element, shown) {
  element.hidden = !shown;
}

/**
 * Have one child for each item, in their order. `make(item)` returns an element with a function `update(item)`.
 * While something in there has the focus, the order rests: nothing runs away from under a finger or a keyboard.
 */
export function list(parent, items, key, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const fresh = items.map((item) => {
    const id = key(item);
    let child = old.get(id);
    if (child) old.delete(id);
    else {
      child = make(item);
      child.dataset.key = id;
    }
    child.update(item);
    return child;
  });
  for (const gone of old.values()) gone.remove();
  if (parent.contains(document.activeElement)) {
    for (const child of fresh) if (!child.parentNode) parent.append(child);
    return;
  }
  fresh.forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
}

/** A bar of parts, each a share of the whole: `[class, share]`. Drawn only: the figures are told beside it. */
export function bar(...kinds) {
  const parts = kinds.map((kind) => h("i", { class: kind }));
  const element = h("div", { class: "bar", "aria-hidden": "true" }, ...parts);
  element.fill = (...shares) => parts.forEach((part, index) => {
    part.style.width = `${Math.max(0, Math.min(1, shares[index] || 0)) * 100}%`;
  });
  return element;
}

let hush;

/** Tell everybody, those who listen as well. */
export function announce(text) {
  const said = $("said");
  clearTimeout(hush);
  said.textContent = text;
  hush = setTimeout(() => { said.textContent = ""; }, 8000);
}
