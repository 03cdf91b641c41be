/**
 * The form for a new post. What is typed stays in this window until the service has it; through reloads too, unless it
 * is larger than a browser stores.
 */

import { clear, submitted } from "./forms.js";
import { Unreachable, request, session, stored } from "./session.js";

const DRAFT = "postline.draft";
const form = document.getElementById("composer");
const field = form.elements.text;

let draft;

/** Shows what this person left unsent here. */
export function openComposer() {
  draft = stored(sessionStorage, DRAFT);
  // Someone else's is nobody's business.
  const { email } = session();
  if (draft?.email !== email) write("", email);
  clear(form);
  field.value = draft.text;
}

/** Calls `posted()` when the service has a post, `unsent()` when it can't be reached, `tell(text)` and `failed(error)`. */
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

/** Sends what could not be sent before. */
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
      // It may have arrived all the same; the key is what lets it be sent once more without being added twice.
      store({ ...draft, isWaiting: true });
      unsent();
      throw new Unreachable("Not sent yet: the service can't be reached. The post is kept, and sent when it can.");
    }
  });
  if (!isSent) return;
  write("");
  field.value = "";
  await posted();
  tell("Posted.");
}

// Another text is another post, and so has another key.
const write = (text, email = draft.email) => store({ email, text, key: randomKey(), isWaiting: false });

function store(changed) {
  draft = changed;
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    // Browsers store some five million characters. Beyond them a draft lasts until the next reload, not an older one.
    sessionStorage.removeItem(DRAFT);
  }
}

// Not crypto.randomUUID, which browsers have on https and on this machine only.
const randomKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
