/**
 * The form for a new post. What is typed stays in the browser until the service has stored it, one draft for each
 * account, which all windows show. Where the browser has no room for it, it lasts as long as the window.
 */

import { clear, submitted, written } from "./forms.js";
import { randomKey } from "./keys.js";
import { Unreachable, request, session } from "./session.js";
import { Store } from "./storage.js";

const PREFIX = "postline.draft.";
// Longer than any post, a text takes a browser minutes to wrap.
const MAX_WRAPPED = 1_048_576;
const store = new Store("localStorage");
const form = document.getElementById("composer");
const field = form.elements.text;

let storageKey;
let draft;

/** Shows the unsent draft of this person, if there is one. */
export function openComposer() {
  storageKey = PREFIX + session().email;
  clear(form);
  show();
}

/** Forgets what was not sent, in every window. */
export function forgetDraft() {
  store.remove(storageKey);
  show();
}

function show() {
  draft = store.read(storageKey) ?? blank("");
  field.value = draft.text;
}

/**
 * Calls `posted()` when the service has stored a post, and `unsent()` when it can't be reached. Messages go to
 * `tell(text)`, other errors to `failed(error)`.
 */
export function onPost({ posted, unsent, tell, failed }) {
  field.addEventListener("input", () => {
    field.wrap = field.value.length > MAX_WRAPPED ? "off" : "soft";
    write(field.value);
    clear(form);
    tell("");
  });
  field.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => {
    if (key === "Enter" && (ctrlKey || metaKey)) form.requestSubmit();
  });
  addEventListener("storage", (event) => {
    // A draft for which the browser has no room is this window's own.
    if ([storageKey, null].includes(event.key) && store.keeps(storageKey) && form.ariaBusy !== "true") show();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send({ posted, unsent, tell }).catch(failed);
  });
}

/** Sends the post that could not be sent before. */
export function sendWaiting() {
  if (draft.isWaiting) form.requestSubmit();
}

async function send({ posted, unsent, tell }) {
  const { key } = draft;
  const isSent = await submitted(form, async () => {
    try {
      tell("");
      const text = written(field);
      await request("/posts", { method: "POST", headers: { "Idempotency-Key": key }, body: { text } });
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      // The post may have been stored all the same. With the same idempotency key, a retry does not add it twice.
      keep({ ...draft, isWaiting: true });
      unsent();
      throw new Unreachable("Not sent yet: the service can't be reached. Your post is sent when it can be.");
    }
  });
  if (!isSent) return;
  // Somebody may be typing in another window by now.
  if (store.read(storageKey)?.key === key) forgetDraft();
  else show();
  await posted();
  tell("Posted.");
}

// A changed text is a different post, so it gets a new idempotency key.
const blank = (text) => ({ text, key: randomKey(), isWaiting: false });
const write = (text) => keep(blank(text));

function keep(changed) {
  draft = changed;
  if (draft.text) store.write(storageKey, draft);
  else store.remove(storageKey);
}
