/** Personal tokens: what scripts send instead of logging in. */

import { showEntries } from "./entries.js";
import { onSubmit } from "./forms.js";
import { openIssued } from "./issued.js";
import { Problem, Unreachable, reached, request, wrong } from "./session.js";

const SCOPES = { "posts:read": "read posts", "posts:write": "change posts", webhooks: "manage webhooks" };
const NO_SCOPE = "Choose at least one.";
const OVER = "This day is over. Choose a later one.";

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function openTokens(section, { failed }) {
  const title = section.querySelector("h3");
  const list = section.querySelector(".entries");
  const revoked = section.querySelector(".revoked");
  const alert = section.querySelector(".list-error");
  const form = section.querySelector("form");
  const issued = openIssued(section.querySelector(".issued"), () => {
    form.querySelector(".done").textContent = "";
    form.elements.name.focus();
  });
  let shown = "";

  const show = async () => {
    const tokens = await reached((await request("/me/tokens")).json());
    // An entry that is shown anew loses the focus.
    const read = JSON.stringify(tokens);
    if (read === shown) return;
    shown = read;
    showEntries(list, tokens.map(entry), title);
  };
  const entry = (token) => ({
    name: token.name,
    facts: facts(token),
    action: "Revoke",
    label: `${token.name}, made ${minute.format(new Date(token.created_at))}`,
    end: async () => {
      revoked.textContent = alert.textContent = "";
      try {
        await revoke(token);
        await show();
        revoked.textContent = `${token.name} is revoked. What uses it is refused from now on.`;
        return true;
      } catch (error) {
        if (error instanceof Problem || error instanceof Unreachable) alert.textContent = error.message;
        else failed(error);
        return false;
      }
    },
  });
  const create = async ({ name, scopes, expires_at }) => {
    issued.hide();
    revoked.textContent = "";
    const chosen = [...scopes].filter(({ checked }) => checked).map(({ value }) => value);
    if (!chosen.length) throw wrong("scopes", NO_SCOPE);
    const body = { name: name.value.trim(), scopes: chosen };
    if (expires_at.value) {
      // The token works until the end of that day, where the person is.
      const end = new Date(`${expires_at.value}T23:59:59`);
      if (end < Date.now()) throw wrong("expires_at", OVER);
      body.expires_at = end.toISOString();
    }
    const created = await reached((await request("/me/tokens", { method: "POST", body })).json());
    issued.show(created.token);
    // The token is shown, whatever becomes of the list.
    show().catch((error) => (error instanceof Problem || error instanceof Unreachable ? null : failed(error)));
    return `${created.name} is made.`;
  };
  onSubmit(form, create, failed);
  return show;
}

function facts({ scopes, last_used_at, expires_at }) {
  const may = `May ${scopes.map((scope) => SCOPES[scope] ?? scope).join(", ")}`;
  const used = last_used_at ? `last used ${minute.format(new Date(last_used_at))}` : "not used yet";
  const expires = expires_at ? `expires ${day.format(new Date(expires_at))}` : "does not expire";
  return [may, used, expires].join(" · ");
}

async function revoke({ id }) {
  try {
    await request(`/me/tokens/${id}`, { method: "DELETE" });
  } catch (error) {
    // It was revoked already, or has expired.
    if (error.status !== 404) throw error;
  }
}
