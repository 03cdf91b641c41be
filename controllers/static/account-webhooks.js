/** Webhooks: addresses that the changes of the person's posts are sent to. */

import { NO_EVENT, WebhookView } from "./account-webhook.js";
import { onSubmit } from "./forms.js";
import { openIssued } from "./issued.js";
import { Problem, Unreachable, reached, request, wrong } from "./session.js";

/** Opens the section, and returns what shows the webhooks. */
export function openWebhooks(section, { failed, signal }) {
  const list = section.querySelector(".webhooks");
  const done = section.querySelector(".list-done");
  const alert = section.querySelector(".list-error");
  const form = section.querySelector("form");
  const issued = openIssued(section.querySelector(".issued"), () => {
    form.querySelector(".done").textContent = "";
    form.elements.url.focus();
  });
  const shown = new Map();

  const show = async () => {
    const webhooks = await reached((await request("/webhooks")).json());
    const wanted = new Set(webhooks.map(({ id }) => id));
    for (const [id, view] of shown) {
      if (wanted.has(id)) continue;
      view.element.remove();
      shown.delete(id);
    }
    // Newest first, and never in another order.
    for (const webhook of webhooks.reverse()) {
      if (!shown.has(webhook.id)) {
        const view = new WebhookView(webhook.id, actions);
        shown.set(webhook.id, view);
        list.prepend(view.element);
      }
      shown.get(webhook.id).update(webhook);
    }
  };
  /** Does what a button says; `work(say)` returns what to say of it, and may say something before. */
  const run = async (work) => {
    const say = (text) => (done.textContent = text);
    say("");
    alert.textContent = "";
    try {
      say(await work(say));
    } catch (error) {
      if (signal.aborted) return;
      say("");
      if (error instanceof Problem || error instanceof Unreachable) alert.textContent = error.message;
      else failed(error);
    }
  };
  /** Shows a secret, and the list, which may fail by itself. */
  const issue = ({ secret }) => {
    issued.show(secret);
    show().catch((error) => (error instanceof Problem || error instanceof Unreachable ? null : failed(error)));
  };
  const left = (view) => {
    const next = view.element.nextElementSibling ?? view.element.previousElementSibling;
    return () => (next?.querySelector(".delete") ?? section.querySelector("h3")).focus();
  };
  const actions = { run, show, issue, left, signal };

  const create = async ({ url, events }) => {
    issued.hide();
    done.textContent = alert.textContent = "";
    const chosen = [...events].filter(({ checked }) => checked).map(({ value }) => value);
    if (!chosen.length) throw wrong("events", NO_EVENT);
    const body = { url: url.value.trim(), events: chosen };
    issue(await reached((await request("/webhooks", { method: "POST", body })).json()));
    return "The webhook is added. Changes from now on are sent to it.";
  };
  onSubmit(form, create, failed);
  return show;
}
