/** A forgotten password, and the links in mails: each opens a form, and only its button uses the link's token. */

import { submitted } from "./forms.js";
import { offerReveal } from "./reveal.js";
import { Problem, accountAddress, post, session, wrong } from "./session.js";

const INVALID_TOKEN = "urn:problem-type:postline:invalid-token";
const WITHOUT_ADDRESS = "Type the address of your account here, and ask again.";

const LINKS = {
  "password-reset": {
    title: "Reset your password",
    text: "All devices are then logged out.",
    button: "Save the password",
    path: "/auth/password-reset/confirm",
    done: "Your password is changed. Log in with the new one.",
    doneForAnother: (address) => `The password is changed. You are still logged in as ${address}, another account.`,
    dead: "it was used, or is older than an hour, or you asked for a newer one.",
    loggedIn: (address) =>
      `You are logged in as ${address}, so nothing is left to do. If you don't know your password, log out and ask for ` +
      "a new link.",
    loggedOut: "Log in if your password is set, or else ask for a new link with “Forgot your password?”.",
  },
  "verify-email": {
    title: "Confirm your address",
    text: "Confirm that you read the mail to this address.",
    button: "Confirm",
    path: "/me/email/confirm",
    done: "Your address is confirmed.",
    dead: "it was used, or is older than a day.",
    loggedIn: () => "Your account shows whether your address is confirmed, and there you can ask for a new link.",
    loggedOut: "Log in: your account shows whether your address is confirmed, and there you can ask for a new link.",
  },
  "confirm-email": {
    title: "Confirm your new address",
    text: "You log in with the new address from then on.",
    button: "Use this address",
    path: "/me/email/confirm",
    done: "Your account has the new address now.",
    dead: "it was used, or is older than a day, or the password was changed since.",
    loggedIn: () => "Your account shows which address it has, and there you can ask for a new link.",
    loggedOut: "Log in: your account shows which address it has, and there you can ask for a new link.",
  },
};

const $ = (id) => document.getElementById(id);

/** Opens the form of the link that the page was opened with, now and whenever another one is followed. */
export function onLink(actions) {
  addEventListener("hashchange", () => open(actions));
  open(actions);
}

/** Asks for a mail with a link, for the address in the log-in form. */
export async function forget(credentials) {
  announce("");
  const email = credentials.elements.email.value.trim();
  const isAsked = await submitted(credentials, async () => {
    if (!email) throw wrong("email", WITHOUT_ADDRESS);
    await post("/auth/password-reset", { email });
  });
  if (isAsked) announce("If an account has this address, a mail is on its way. Its link works for an hour.");
}

/**
 * `done(isUsed)` is called when the form is closed, and returns whether a session has outlived the link. `failed(error)`
 * is called with errors that the form does not show.
 */
function open({ done, failed }) {
  const [, name, token] = location.hash.match(/^#([a-z-]+)=(.+)$/) ?? [];
  if (!Object.hasOwn(LINKS, name ?? "")) return;
  // The token leaves the address bar and the history, where others could find it.
  history.replaceState(null, "", location.pathname);
  const link = LINKS[name];
  const section = $("recovery-template").content.cloneNode(true).firstElementChild;
  const form = section.querySelector("form");
  const password = form.elements.new_password;
  section.querySelector("h2").textContent = link.title;
  form.querySelector(".explanation").textContent = link.text;
  const button = form.querySelector("[type=submit]");
  button.textContent = link.button;
  if (name !== "password-reset") password.closest(".field").remove();
  const close = async (text) => {
    section.remove();
    announce(text);
    const isLoggedIn = await done(text !== "");
    // A new password ends every session of its account, so this one is another account's.
    if (isLoggedIn && link.doneForAnother) announce(link.doneForAnother(accountAddress()));
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = name === "password-reset" ? { token, new_password: password.value } : { token };
    const confirm = async () => {
      try {
        await post(link.path, body);
      } catch (error) {
        if (error.members?.type !== INVALID_TOKEN) throw error;
        lapse();
        const advice = session() ? link.loggedIn(accountAddress()) : link.loggedOut;
        throw new Problem(error.status, { detail: `This link does not work any more: ${link.dead} ${advice}` });
      }
    };
    submitted(form, confirm).then((isDone) => isDone && close(link.done), failed);
  });
  const cancel = form.querySelector(".cancel");
  // Nothing is left to do with a link that does not work.
  const lapse = () => {
    for (const each of form.querySelectorAll(".explanation, .field, [type=submit]")) each.remove();
    cancel.textContent = "Go on";
    cancel.focus();
  };
  cancel.addEventListener("click", () => close(""));
  offerReveal(section);
  announce("");
  $("recovery")?.remove();
  $("notice").after(section);
  (name === "password-reset" ? password : button).focus();
}

function announce(text) {
  $("notice").textContent = text;
}
