/** The list of posts in the page, with the actions to edit and delete each one. */

import { submitted } from "./forms.js";
import { Problem, request } from "./session.js";

const postTemplate = document.getElementById("post");
const editorTemplate = document.getElementById("editor");
const list = document.getElementById("posts");
const confirmation = document.getElementById("confirmation");
const written = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

const shown = new Map();

/**
 * Shows exactly these posts, and also those that are being edited, so that no typed text is lost.
 * `actions` are `refresh()`, which reads the list again, `tell(text)`, and `failed(error)`.
 */
export function showPosts(posts, actions) {
  const wanted = new Set(posts.map(({ postID }) => postID));
  for (const [id, view] of shown) {
    if (wanted.has(id)) view.element.classList.remove("gone");
    else view.vanish();
  }
  let next = list.firstElementChild;
  for (const post of posts) {
    while (next?.classList.contains("gone")) next = next.nextElementSibling;
    let view = shown.get(post.postID);
    if (view) view.update(post);
    else shown.set(post.postID, (view = new PostView(post, actions)));
    // Move an element only if necessary: it loses the focus.
    if (view.element === next) next = next.nextElementSibling;
    else list.insertBefore(view.element, next);
  }
}

/** Empties the list, and discards edits that were not saved. */
export function clearPosts() {
  shown.clear();
  list.replaceChildren();
}

class PostView {
  #post;
  #actions;
  #editor = null;
  #editedVersion;

  constructor(post, actions) {
    this.#actions = actions;
    this.element = postTemplate.content.cloneNode(true).firstElementChild;
    this.#part(".edit").addEventListener("click", () => this.#open());
    this.#part(".delete").addEventListener("click", () => this.#delete().catch(actions.failed));
    this.update(post);
  }

  update(post) {
    if (this.#post?.version === post.version) return;
    this.#post = post;
    const when = written.format(new Date(post.created_at));
    const time = this.#part("time");
    time.dateTime = post.created_at;
    time.textContent = when;
    this.#part(".edited").hidden = post.version === 1;
    // Never as HTML: a post may contain markup.
    this.#part(".text").textContent = post.text;
    this.#part(".edit").ariaLabel = `Edit the post of ${when}`;
    this.#part(".delete").ariaLabel = `Delete the post of ${when}`;
  }

  /** Removes the post, which has left the list. While it is being edited, it stays and shows a message. */
  vanish() {
    if (this.#editor) {
      if (this.element.classList.contains("gone")) return;
      this.element.classList.add("gone");
      this.#part("[role=alert]").textContent =
        "This post is no longer in the list; it may be deleted. Your text stays here until you save or cancel.";
      return;
    }
    const hadFocus = this.element.contains(document.activeElement);
    const neighbour = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.element.remove();
    shown.delete(this.#post.postID);
    if (hadFocus) (neighbour?.querySelector(".edit") ?? document.getElementById("text")).focus();
  }

  #open() {
    this.#editedVersion = this.#post.version;
    this.#editor = editorTemplate.content.cloneNode(true).firstElementChild;
    this.#editor.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save().catch(this.#actions.failed);
    });
    this.#editor.addEventListener("keydown", ({ key }) => key === "Escape" && this.#close());
    const field = this.#editor.elements.text;
    field.value = this.#post.text;
    this.element.append(this.#editor);
    this.#part(".cancel").addEventListener("click", () => this.#close());
    this.#toggle(true);
    field.focus();
  }

  #close() {
    this.#editor.remove();
    this.#editor = null;
    this.#toggle(false);
    this.#part(".edit").focus();
    if (this.element.classList.contains("gone")) this.vanish();
  }

  async #save() {
    const editor = this.#editor;
    const text = editor.elements.text.value;
    const isSaved = await submitted(editor, async () => {
      try {
        await request(this.#path, { method: "PATCH", headers: { "If-Match": `"${this.#editedVersion}"` }, body: { text } });
      } catch (error) {
        if (error.status !== 412) throw error;
        await this.#actions.refresh();
        // If the text is the same, an earlier attempt was saved and its answer was lost.
        if (this.#post.text !== text) this.#refuse();
      }
    });
    if (!isSaved) return;
    await this.#actions.refresh();
    // The person may have cancelled meanwhile.
    if (this.#editor === editor) this.#close();
    this.#actions.tell("Saved.");
  }

  #refuse() {
    this.#editedVersion = this.#post.version;
    this.#part(".text").hidden = false;
    throw new Problem(412, {
      detail: "This post was changed elsewhere. Its current text is shown above. Save again to replace it.",
    });
  }

  async #delete() {
    if (!(await this.#isConfirmed())) return;
    try {
      await request(this.#path, { method: "DELETE", headers: { "If-Match": `"${this.#post.version}"` } });
    } catch (error) {
      if (error.status === 412) {
        await this.#actions.refresh();
        this.#actions.tell("Not deleted: the post was changed elsewhere.");
        return;
      }
      // It was deleted already.
      if (error.status !== 404) throw error;
    }
    await this.#actions.refresh();
    this.#actions.tell("Deleted.");
  }

  #isConfirmed() {
    confirmation.returnValue = "keep";
    confirmation.showModal();
    return new Promise((resolve) =>
      confirmation.addEventListener("close", () => resolve(confirmation.returnValue === "delete"), { once: true }),
    );
  }

  #toggle(isEdited) {
    for (const selector of [".text", ":scope > .buttons"]) this.#part(selector).hidden = isEdited;
  }

  get #path() {
    return `/posts/${this.#post.postID}`;
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}
