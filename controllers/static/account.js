/** `#account`: what a person sees and changes of their account, one section of the template for each kind of thing. */

import { openErasure } from "./account-erasure.js";
import { openExport } from "./account-export.js";
import { openImport } from "./account-import.js";
import { openSessions } from "./account-sessions.js";
import { openTokens } from "./account-tokens.js";
import { openWebhooks } from "./account-webhooks.js";
import { onSubmit } from "./forms.js";
import { offerReveal } from "./reveal.js";
import { Problem, Unreachable, noteAddress, reached, request } from "./session.js";

/**
 * The sections, by the id of their element. Each is called with that element and with actions when the view opens, and
 * returns what shows the account in it, as `GET /me` answers it. The actions are `failed(error)`, for errors that the
 * section does not show, `read()`, which shows the account anew in all sections, `erased()`, and `signal`, which aborts
 * when the view is closed.
 */
const SECTIONS = {
  "account-address": openAddress,
  "account-password": openPassword,
  "account-sessions": openSessions,
  "account-tokens": openTokens,
  "account-webhooks": openWebhooks,
  "account-export": openExport,
  "account-import": openImport,
  "account-erasure": openErasure,
};

const template = document.getElementById("account-template");

let view = null;

/** Reads the account, and notes its address. */
export async function readAccount() {
  const account = await reached((await request("/me")).json());
  noteAddress(account.email);
  return account;
}

/**
 * Shows the view after an element. `changed()` is called when the account was read, `erased()` when it is gone, and
 * `failed(error)` with errors that the view does not show.
 */
export function openAccount(after, { changed, erased, failed }) {
  const element = template.content.cloneNode(true).firstElementChild;
  const closing = new AbortController();
  const alert = element.querySelector("[role=alert]");
  const read = async () => {
    try {
      const account = await readAccount();
      await Promise.all(shows.map((show) => show(account)));
      alert.textContent = "";
      changed();
    } catch (error) {
      if (!(error instanceof Problem || error instanceof Unreachable)) return failed(error);
      alert.textContent = error.message;
    }
  };
  const actions = { failed, read, erased, signal: closing.signal };
  const shows = Object.entries(SECTIONS).map(([id, open]) => open(element.querySelector(`#${id}`), actions));
  // A link in a mail opens another window, and what it does is to be seen on coming back.
  addEventListener("focus", read, { signal: closing.signal });
  offerReveal(element);
  view = { element, closing };
  after.after(element);
  element.querySelector("h2").focus();
  read();
}

/** Takes the view away, with all that was typed into it. */
export function closeAccount() {
  view?.closing.abort();
  view?.element.remove();
  view = null;
}

function openAddress(section, { failed }) {
  const [verification, change] = section.querySelectorAll("form");
  const isWithoutMail = verification.hidden;
  verification.hidden = true;
  onSubmit(verification, async () => {
    await request("/me/email/verification", { method: "POST" });
    return "A mail is on its way. Its link works for 24 hours.";
  }, failed);
  onSubmit(change, async ({ email, password }) => {
    const address = email.value.trim();
    await request("/me/email", { method: "POST", body: { email: address, password: password.value } });
    return `A mail is on its way to ${address}. Follow its link within 24 hours, and the address is yours.`;
  }, failed);
  return ({ email, email_verified_at }) => {
    section.querySelector(".address").textContent = email;
    section.querySelector(".state").textContent = email_verified_at
      ? "Confirmed: you read mail at this address."
      : "Not confirmed yet.";
    verification.hidden = isWithoutMail || email_verified_at !== null;
  };
}

function openPassword(section, { failed, read }) {
  const form = section.querySelector("form");
  onSubmit(form, async ({ current_password, new_password }) => {
    const body = { current_password: current_password.value, new_password: new_password.value };
    await request("/me/password", { method: "PUT", body });
    await read();
    return "Your password is changed. All other devices are logged out.";
  }, failed);
  return ({ email }) => {
    form.elements.username.defaultValue = email;
  };
}
