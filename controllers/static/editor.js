/** The form in which a post is edited, and what saves it. What is typed outlasts the window until it is saved. */

import { editOf, forgetEdit, keepEdit } from "./edits.js";
import { submitted, written } from "./forms.js";
import { randomKey } from "./keys.js";
import { Problem, request } from "./session.js";

const CHANGED = "This post was changed elsewhere. Its current text is shown above. Save again to replace it.";
const CHANGED_MEANWHILE =
  "This post was changed elsewhere since you began. Its current text is shown above. Save to replace it.";
const DELETED = "This post was deleted elsewhere. What you wrote can be posted as a new one.";

const template = document.getElementById("editor");

export class Editor {
  // The version of the post that the person has seen.
  #version;
  #current;
  // Whether something was typed, now or before the window was closed.
  #isChanged;
  #isSaving = false;
  #close;
  // The idempotency key of the post that takes the place of a deleted one.
  #newKey = null;

  /**
   * Edits a post, which `current()` returns as the page has it, from its text or from an edit that was not saved.
   * `refresh()` brings the post up to date, `refused()` is called when it has a newer text than the person has seen,
   * `closed({isSaved, isElsewhere})` when the form has gone, in the second case because another window has saved the text,
   * and `failed(error)` with errors that it does not show.
   */
  constructor({ current, refresh, refused, closed, failed }) {
    const { postID, text, version } = current();
    const unsaved = editOf(postID);
    this.#current = current;
    this.#version = version;
    this.element = template.content.cloneNode(true).firstElementChild;
    this.field = this.element.elements.text;
    this.field.value = unsaved?.text ?? text;
    this.#isChanged = unsaved !== null;
    this.field.addEventListener("input", () => {
      this.#isChanged = true;
      this.#keep();
    });
    if (unsaved && unsaved.version !== version) {
      refused();
      this.warn(CHANGED_MEANWHILE);
    }
    this.#close = (how = {}) => {
      if (!this.element.isConnected) return;
      this.#forget();
      this.element.remove();
      closed(how);
    };
    const save = async () => {
      const isSaved = await submitted(this.element, () => this.#save({ refresh, refused }));
      if (this.isLost) this.#offerNew();
      if (!isSaved) return;
      this.#isSaving = true;
      this.#forget();
      await refresh();
      this.#close({ isSaved });
    };
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      save().catch(failed);
    });
    this.element.addEventListener("keydown", ({ key, ctrlKey, metaKey, isComposing }) => {
      if (isComposing) return;
      if (key === "Escape") this.#close();
      if (key === "Enter" && (ctrlKey || metaKey)) this.element.requestSubmit();
    });
    this.element.querySelector(".cancel").addEventListener("click", () => this.#close());
  }

  /** Puts the focus on the text, with the buttons in view. */
  focus() {
    this.field.focus();
    // The buttons are part of what was opened, and the text may be long.
    this.element.querySelector(".cancel").scrollIntoView({ block: "nearest" });
  }

  /** Says at the form what is wrong with its post. */
  warn(text) {
    this.element.querySelector("[role=alert]").textContent = text;
  }

  /** Says what became of the text that was typed before. */
  note(text) {
    this.element.querySelector(".unsaved").textContent = text;
  }

  /**
   * Hears that another window has changed the post, or is done with its edit of it. What was typed here is kept, unless it
   * is what the other one has saved.
   */
  changed() {
    if (!this.#isChanged || this.#isSaving || this.element.ariaBusy === "true") return;
    if (this.field.value === this.#current().text) this.#close({ isElsewhere: true });
    else this.#keep();
  }

  /** Keeps what was typed until it is saved, for when the window is closed. */
  #keep() {
    const { postID, text, created_at } = this.#current();
    if (this.field.value === text) forgetEdit(postID);
    else keepEdit(postID, { text: this.field.value, version: this.#version, created_at });
  }

  /** Whether the post is known to be deleted. */
  get isLost() {
    return this.#newKey !== null;
  }

  /** Forgets what was typed here, and not what another window keeps. */
  #forget() {
    const { postID } = this.#current();
    if (editOf(postID)?.text === this.field.value) forgetEdit(postID);
  }

  /** Says that the post is deleted. To save then adds a new one. */
  lose() {
    this.#newKey = randomKey();
    this.#offerNew();
    this.warn(DELETED);
  }

  #offerNew() {
    const button = this.element.querySelector("[type=submit]");
    button.textContent = button.ariaLabel = "Post as a new one";
    button.dataset.busy = "Posting…";
  }

  async #save({ refresh, refused }) {
    const text = written(this.field);
    if (this.isLost) {
      await request("/posts", { method: "POST", headers: { "Idempotency-Key": this.#newKey }, body: { text } });
      return;
    }
    const { postID } = this.#current();
    try {
      await request(`/posts/${postID}`, { method: "PATCH", headers: { "If-Match": `"${this.#version}"` }, body: { text } });
    } catch (error) {
      if (error.status === 404) {
        this.#newKey = randomKey();
        throw new Problem(404, { detail: DELETED });
      }
      if (error.status !== 412) throw error;
      await refresh();
      // If the text is the same, an earlier attempt was saved and its answer was lost.
      if (this.#current().text === text) return;
      this.#version = this.#current().version;
      refused();
      throw new Problem(412, { detail: CHANGED });
    }
  }
}
