/**
 * The form for a new post. The draft is kept in this window until the service has stored it. It survives reloads,
 * unless it is larger than the browser's storage.
 */

import { clear, submitted } from "./forms.js";
import { Unreachable, request, session, stored } from "./session.js";

const DRAFT = "postline.draft";
const form = document.getElementById("composer");
const field = form.elements.text;

let draft;

/** Shows the unsent draft of this person, if there is one. */
export function openComposer() {
  draft = stored(sessionStorage, DRAFT);
  // Never show one person's draft to another.
  const { email } = session();
  if (draft?.email !== email) write("", email);
  clear(form);
  field.value = draft.text;
}

/**
 * Calls `posted()` when the service has stored a post, and `unsent()` when it can't be reached. Messages go to
 * `tell(text)`, other errors to `failed(error)`.
 */
export function onPost({ posted, unsent, tell, failed }) {
  field.addEventListener("input", () => {
    write(field.value);
    clear(form);
    tell("");
  });
  field.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => {
    if (key === "Enter" && (ctrlKey || metaKey)) form.requestSubmit();
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
  const isSent = await submitted(form, async () => {
    try {
      tell("");
      await request("/posts", { method: "POST", headers: { "Idempotency-Key": draft.key }, body: { text: draft.text } });
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      // The post may have been stored all the same. With the same idempotency key, a retry does not add it twice.
      store({ ...draft, isWaiting: true });
      unsent();
      throw new Unreachable("Not sent yet: the service can't be reached. Your post is sent when it can be.");
    }
  });
  if (!isSent) return;
  write("");
  field.value = "";
  await posted();
  tell("Posted.");
}

// A changed text is a different post, so it gets a new idempotency key.
const write = (text, email = draft.email) => store({ email, text, key: randomKey(), isWaiting: false });

function store(changed) {
  draft = changed;
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    // Browsers store about five million characters. A larger draft lasts until the next reload; an older one must not
    // return then.
    sessionStorage.removeItem(DRAFT);
  }
}

// Browsers offer crypto.randomUUID only on https and on localhost.
const randomKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
