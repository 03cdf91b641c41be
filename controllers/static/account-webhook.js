/** One webhook in the account: what becomes of it, what was sent to it, and the buttons that mend it. */

import { submitted } from "./forms.js";
import { reached, request, wrong } from "./session.js";

const EVENTS = { "post.created": "added", "post.updated": "edited", "post.deleted": "deleted" };
const DELIVERIES = {
  "post.created": "Post added",
  "post.updated": "Post edited",
  "post.deleted": "Post deleted",
  "webhook.test": "Test",
};
// After "no answer" stands the name of the fault, which only programmers know.
const NETWORK_FAULT = /(?<=^no answer): \w+$/;
const MAX_DELIVERIES = 10;
/** What is said where no event was chosen. */
export const NO_EVENT = "Choose at least one.";
// A receiver has 15 seconds to answer a test, which may wait for others.
const MAX_POLLS = 30;
const POLL_MILLISECONDS = 1_000;

const template = document.getElementById("webhook");
const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const at = (time) => minute.format(new Date(time));

export class WebhookView {
  #path;
  #url;
  // The events that are sent, as the service has told them last.
  #events = [];
  // What is seen on each control.
  #labels;
  #actions;

  /**
   * `actions` are `run(work)`, which does what a button says, `show()`, which reads all webhooks again, `issue(webhook)`,
   * which shows a new secret, and `left(view)`, which returns what moves the focus once the view is gone.
   */
  constructor(id, actions) {
    this.#path = `/webhooks/${id}`;
    this.#actions = actions;
    this.element = template.content.cloneNode(true).firstElementChild;
    this.#labels = [...this.element.querySelectorAll("button, summary")].map((each) => [each, each.textContent.trim()]);
    const { run } = actions;
    const on = (name, work) => this.#part(name).addEventListener("click", () => run(work));
    on(".test", (say) => this.#test(say));
    on(".pause", () => this.#pause());
    on(".enable", () => this.#enable());
    on(".rotate", () => this.#rotate());
    on(".delete", () => this.#delete());
    for (const field of this.element.querySelectorAll(".field")) {
      const error = field.querySelector(".error");
      const inputs = field.querySelectorAll("input");
      error.id = `webhook-${inputs[0].name}-${id}`;
      for (const input of inputs) input.setAttribute("aria-describedby", error.id);
    }
    const form = this.#part("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      run(() => this.#change(form));
    });
    const deliveries = this.#part(".deliveries");
    deliveries.addEventListener("toggle", () => deliveries.open && run(() => this.#showDeliveries()));
  }

  update(webhook) {
    // What somebody is typing or choosing is left as it is.
    if (webhook.url !== this.#url) this.#part("[name=url]").value = webhook.url;
    this.#url = webhook.url;
    this.#part(".name").textContent = webhook.url;
    this.#part(".facts").textContent = facts(webhook);
    const state = this.#part(".state");
    state.textContent = stateOf(webhook);
    state.classList.toggle("error", Boolean(webhook.disabled_at ?? webhook.failing_since));
    this.#part(".pause").hidden = webhook.disabled_at !== null;
    this.#part(".enable").hidden = webhook.disabled_at === null;
    if (String(webhook.events) !== String(this.#events)) {
      for (const box of this.#boxes) box.checked = webhook.events.includes(box.value);
    }
    this.#events = webhook.events;
    // Each control has a name of its own, which begins with what is seen on it.
    for (const [control, label] of this.#labels) control.ariaLabel = `${label}: ${webhook.url}`;
  }

  async #test(say) {
    const test = await this.#answer("/test", "POST");
    say("The test is on its way…");
    for (let poll = 0; poll < MAX_POLLS; poll++) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
      this.#actions.signal.throwIfAborted();
      const deliveries = await this.#answer("/deliveries");
      const outcome = deliveries.find(({ postID }) => postID === test.postID);
      if (outcome?.status === "pending") continue;
      if (this.#part(".deliveries").open) this.#list(deliveries);
      if (!outcome) return "Another test was sent meanwhile.";
      return outcome.status === "delivered"
        ? `The test arrived: it was answered with ${outcome.response_status}.`
        : `The test failed: ${reasonOf(outcome)}.`;
    }
    return "The test waits for other deliveries. Its outcome will be among the recent deliveries.";
  }

  async #pause() {
    await this.#answer("", "PATCH", { enabled: false });
    await this.#actions.show();
    this.#part(".enable").focus();
    return "The webhook is paused. What it misses is sent when you enable it again, as far as it is kept.";
  }

  async #enable() {
    await this.#answer("", "PATCH", { enabled: true });
    await this.#actions.show();
    this.#part(".pause").focus();
    return "The webhook is enabled. What it has missed is sent now, as far as it is kept.";
  }

  async #change(form) {
    const isSaved = await submitted(form, async () => {
      const events = this.#boxes.filter(({ checked }) => checked).map(({ value }) => value);
      if (!events.length) throw wrong("events", NO_EVENT);
      await this.#answer("", "PATCH", { url: form.elements.url.value.trim(), events });
    });
    if (!isSaved) return "";
    await this.#actions.show();
    this.#part(".change").open = false;
    this.#part(".change summary").focus();
    return "The webhook is changed. The events that you chose count for changes from now on.";
  }

  async #rotate() {
    this.#actions.issue(await this.#answer("/secret", "POST"));
    return "There is a new secret. For 24 hours the one before it signs too.";
  }

  async #delete() {
    const moveFocus = this.#actions.left(this);
    try {
      await request(this.#path, { method: "DELETE" });
    } catch (error) {
      // It was deleted already.
      if (error.status !== 404) throw error;
    }
    await this.#actions.show();
    moveFocus();
    return `The webhook is deleted. Nothing more is sent to ${this.#url}.`;
  }

  async #showDeliveries() {
    this.#list(await this.#answer("/deliveries"));
    return "";
  }

  #list(deliveries) {
    const entries = deliveries.slice(0, MAX_DELIVERIES).map((delivery) => {
      const item = document.createElement("li");
      item.textContent = `${DELIVERIES[delivery.type] ?? delivery.type}, ${at(delivery.created_at)}: ${outcomeOf(delivery)}`;
      return item;
    });
    this.#part(".deliveries ul").replaceChildren(...entries);
    this.#part(".none").hidden = entries.length > 0;
  }

  async #answer(path, method, body) {
    return reached((await request(this.#path + path, { method, body })).json());
  }

  get #boxes() {
    return [...this.element.querySelectorAll("[name=events]")];
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

function facts({ events, created_at, previous_secret_until }) {
  const sent = `Posts that are ${events.map((event) => EVENTS[event] ?? event).join(", ")}`;
  const secret = previous_secret_until && new Date(previous_secret_until) > Date.now();
  const signs = secret ? [`the secret before signs until ${at(previous_secret_until)}`] : [];
  return [sent, `added ${at(created_at)}`, ...signs].join(" · ");
}

function stateOf({ disabled_at, disabled_reason, failing_since }) {
  if (disabled_at) return `Stopped ${at(disabled_at)}. ${disabled_reason ?? ""}`.trim();
  return failing_since ? `Failing since ${at(failing_since)}. It is tried again.` : "Active";
}

const reasonOf = ({ response_status, response_excerpt }) =>
  response_status ? `it was answered with ${response_status}` : (response_excerpt?.replace(NETWORK_FAULT, "") || "no answer");

function outcomeOf(delivery) {
  const { status, attempts, response_status } = delivery;
  if (status === "delivered") return `delivered, answered with ${response_status}`;
  if (status === "failed") return `failed, ${reasonOf(delivery)}`;
  return attempts ? `waits for the next try, ${reasonOf(delivery)}` : "waits";
}
