/** The form in which a post is edited, and what saves it. */

import { submitted, written } from "./forms.js";
import { Problem, request } from "./session.js";

const template = document.getElementById("editor");

export class Editor {
  // The version of the post that the person has seen.
  #version;

  /**
   * Edits a post, which `current()` returns as the page has it. `refresh()` brings that up to date, `closed(isSaved)` is
   * called when the form has gone, and `failed(error)` with errors that it does not show.
   */
  constructor({ current, refresh, refused, closed, failed }) {
    const { text, version } = current();
    this.#version = version;
    this.element = template.content.cloneNode(true).firstElementChild;
    this.field = this.element.elements.text;
    this.field.value = text;
    const close = (isSaved) => {
      if (!this.element.isConnected) return;
      this.element.remove();
      closed(isSaved);
    };
    const save = async () => {
      const isSaved = await submitted(this.element, () => this.#save({ current, refresh, refused }));
      if (!isSaved) return;
      await refresh();
      close(true);
    };
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      save().catch(failed);
    });
    this.element.addEventListener("keydown", ({ key, ctrlKey, metaKey, isComposing }) => {
      if (isComposing) return;
      if (key === "Escape") close(false);
      if (key === "Enter" && (ctrlKey || metaKey)) this.element.requestSubmit();
    });
    this.element.querySelector(".cancel").addEventListener("click", () => close(false));
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

  async #save({ current, refresh, refused }) {
    const text = written(this.field);
    const { postID } = current();
    try {
      await request(`/posts/${postID}`, { method: "PATCH", headers: { "If-Match": `"${this.#version}"` }, body: { text } });
    } catch (error) {
      if (error.status !== 412) throw error;
      await refresh();
      // If the text is the same, an earlier attempt was saved and its answer was lost.
      if (current().text === text) return;
      this.#version = current().version;
      refused();
      throw new Problem(412, {
        detail: "This post was changed elsewhere. Its current text is shown above. Save again to replace it.",
      });
    }
  }
}
