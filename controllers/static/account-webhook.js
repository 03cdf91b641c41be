/** One webhook in the account: what becomes of it, what was sent to it, and the buttons that mend it. */

import { reached, request } from "./session.js";

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
// A receiver has 15 seconds to answer a test, which may wait for others.
const MAX_POLLS = 30;
const POLL_MILLISECONDS = 1_000;

const template = document.getElementById("webhook");
const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const at = (time) => minute.format(new Date(time));

export class WebhookView {
  #path;
  #url;
  #actions;

  /**
   * `actions` are `run(work)`, which does what a button says, `show()`, which reads all webhooks again, `issue(webhook)`,
   * which shows a new secret, and `left(view)`, which returns what moves the focus once the view is gone.
   */
  constructor(id, actions) {
    this.#path = `/webhooks/${id}`;
    this.#actions = actions;
    this.element = template.content.cloneNode(true).firstElementChild;
    const { run } = actions;
    const on = (name, work) => this.#part(name).addEventListener("click", () => run(work));
    on(".test", (say) => this.#test(say));
    on(".enable", () => this.#enable());
    on(".rotate", () => this.#rotate());
    on(".delete", () => this.#delete());
    const deliveries = this.#part("details");
    deliveries.addEventListener("toggle", () => deliveries.open && run(() => this.#showDeliveries()));
  }

  update(webhook) {
    this.#url = webhook.url;
    this.#part(".name").textContent = webhook.url;
    this.#part(".facts").textContent = facts(webhook);
    const state = this.#part(".state");
    state.textContent = stateOf(webhook);
    state.classList.toggle("error", Boolean(webhook.disabled_at ?? webhook.failing_since));
    this.#part(".enable").hidden = webhook.disabled_at === null;
    // Each button has a name of its own, which begins with what is seen on it.
    for (const each of this.element.querySelectorAll("button, summary")) {
      each.ariaLabel = `${each.textContent.trim()}: ${webhook.url}`;
    }
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
      if (this.#part("details").open) this.#list(deliveries);
      if (!outcome) return "Another test was sent meanwhile.";
      return outcome.status === "delivered"
        ? `The test arrived: it was answered with ${outcome.response_status}.`
        : `The test failed: ${reasonOf(outcome)}.`;
    }
    return "The test waits for other deliveries. Its outcome will be among the recent deliveries.";
  }

  async #enable() {
    await this.#answer("", "PATCH", { enabled: true });
    await this.#actions.show();
    this.#part(".test").focus();
    return "The webhook is enabled. What it has missed is sent now, as far as it is kept.";
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
    this.#part("ul").replaceChildren(...entries);
    this.#part(".none").hidden = entries.length > 0;
  }

  async #answer(path, method, body) {
    return reached((await request(this.#path + path, { method, body })).json());
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
