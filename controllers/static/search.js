/** The search in the timeline: its field, and the page's address that names it (`#q=…`). */

const DELAY_MILLISECONDS = 250;
const PREFIX = "#q=";

const form = document.getElementById("search");
const field = form.elements.q;
const clearing = form.querySelector(".clear");

let searched = "";
let timer;

/** Returns what the page's address asks for, or "" if it names no search. */
export function searchInAddress() {
  if (!location.hash.startsWith(PREFIX)) return "";
  try {
    return decodeURIComponent(location.hash.slice(PREFIX.length));
  } catch {
    // It was cut, or typed by hand.
    return "";
  }
}

/** Shows what is searched for, and returns whether that is something else than before. */
export function setSearch(text) {
  clearTimeout(timer);
  const isChanged = text !== searched;
  searched = text;
  // What is being typed is left as it is.
  if (field.value.trim() !== text) field.value = text;
  clearing.hidden = !field.value;
  return isChanged;
}

/** Puts the focus on the field. */
export const focusSearch = () => field.focus();

/** Calls `search(text)` when somebody has typed, or cleared the field. The page's address then names the search. */
export function onSearch(search) {
  const run = () => {
    const text = field.value.trim();
    if (!setSearch(text)) return;
    // Not a step in the history for every letter.
    history.replaceState(null, "", text ? PREFIX + encodeURIComponent(text) : location.pathname);
    search(text);
  };
  field.addEventListener("input", () => {
    clearing.hidden = !field.value;
    clearTimeout(timer);
    timer = setTimeout(run, DELAY_MILLISECONDS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  const clear = () => {
    field.value = "";
    run();
    setSearch("");
    field.focus();
  };
  clearing.addEventListener("click", clear);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !field.value) return;
    event.preventDefault();
    clear();
  });
}
