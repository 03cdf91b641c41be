/** A list of what an account has, in which each entry may have a button that ends it. */

const template = document.getElementById("entry");

/**
 * Shows these entries: `{name, facts, action, label, end}`, the last three for a button, if the entry has one. `end()`
 * ends the entry, shows those that are left, and returns whether it did. The focus then goes to the next button, or to
 * `fallback` where there is none.
 */
export function showEntries(list, entries, fallback) {
  list.replaceChildren(...entries.map((entry) => element(entry, list, fallback)));
}

function element({ name, facts, action, label, end }, list, fallback) {
  const item = template.content.cloneNode(true).firstElementChild;
  const button = item.querySelector("button");
  item.querySelector(".name").textContent = name;
  item.querySelector(".facts").textContent = facts;
  button.hidden = !action;
  if (!action) return item;
  button.textContent = action;
  // Each button has a name of its own, which begins with what is seen on it.
  button.ariaLabel = `${action}: ${label}`;
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    const index = [...list.children].indexOf(item);
    const isEnded = await end();
    button.ariaBusy = null;
    if (!isEnded) return;
    const buttons = [...list.children].slice(index).map((each) => each.querySelector("button:not([hidden])"));
    (buttons.find(Boolean) ?? fallback).focus();
  });
  return item;
}
