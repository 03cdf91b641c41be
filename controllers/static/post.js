/** A post in the page, with the actions to edit and delete it. */

import { UNDO_MILLISECONDS, cancelDeletion, deleteLater, sendDeletion } from "./deletion.js";
import { Editor } from "./editor.js";
import { editOf, forgetEdit } from "./edits.js";
import { excerpt, firstLines } from "./excerpts.js";
import { withLinks } from "./links.js";
import { freshen, reached, request } from "./session.js";
import { dayOf, fullTime, timeOfDay } from "./times.js";

const LEFT_THE_LIST =
  "This post is no longer in the list; it may be deleted. Your text stays here until you save or cancel.";

// A window that nobody sees may wait longer for its timers.
const SPARE_MILLISECONDS = 60_000;

const template = document.getElementById("post");
const deletedTemplate = document.getElementById("deleted");

/** Returns a post as the service has it. */
export const readPost = async (postID) => reached((await request(`/posts/${postID}`)).json());

export class PostView {
  /** The part of its day that the post is shown in. */
  part;
  #post;
  // What is shown of a long text until somebody wants all of it, or null.
  #begin = null;
  #actions;
  #editor = null;
  // What stands in the place of the post after "Delete", and whether that is still to be sent.
  #deleted = null;
  #isPending = false;
  // Whether it is shown above the list, which does not have it.
  #isApart = false;

  /**
   * Shows the post, with the editor if an edit of it was not saved. `actions` are `refresh()`, which brings the list up to
   * date, `tell(text)`, `failed(error)`, `nameOf(name, earlier)`, which returns a name that no other post has,
   * `leave(view)`, which moves the focus from a post that goes, and `drop(view)`, which removes one that is no longer in
   * the list.
   */
  constructor(post, actions) {
    this.#actions = actions;
    this.element = template.content.cloneNode(true).firstElementChild;
    const created = new Date(post.created_at);
    this.day = +dayOf(created);
    const time = this.#part("time");
    time.dateTime = post.created_at;
    time.textContent = timeOfDay.format(created);
    time.title = fullTime.format(created);
    this.#part(".edit").addEventListener("click", () => this.#edit().focus());
    this.#part(".delete").addEventListener("click", ({ detail }) => {
      // The second click of a double one would delete the post that has moved up.
      if (detail < 2) this.#delete();
    });
    this.#part(".expand").addEventListener("click", ({ target }) => this.#showText(target.ariaExpanded === "false"));
    this.update(post);
    const unsaved = editOf(post.postID);
    // It was saved, and the window was closed before it heard of that.
    if (unsaved?.text === post.text) forgetEdit(post.postID);
    else if (unsaved) this.#edit().note(`Not saved yet: your edit of the post of ${fullTime.format(created)}.`);
  }

  update(post) {
    if (this.#post?.version === post.version) return;
    this.#post = post;
    this.#part(".edited").hidden = post.version === 1;
    this.#editor?.changed();
    const name = [`post of ${this.#part("time").textContent}`, excerpt(post.text, 30)].filter(Boolean).join(", ");
    this.name = this.#actions.nameOf(name, this.name);
    this.#label(this.#part(".edit"), this.#part(".delete"));
    this.#showText(this.#part(".expand").ariaExpanded === "true");
  }

  /** Hears that another window is done with its edit of the post. */
  keepEdit() {
    this.#editor?.changed();
  }

  /** Shows the whole text for the printer, or what was shown before. */
  print(isPrinted) {
    if (this.#begin === null || this.#part(".expand").ariaExpanded === "true") return;
    this.#fill(isPrinted ? this.#post.text : this.#begin);
  }

  /** Removes the post, which has left the list, and returns true; not while it is being edited. */
  vanish() {
    this.element.classList.toggle("gone", this.#editor !== null);
    if (this.#editor) {
      if (!this.#isApart) this.#editor.warn(LEFT_THE_LIST);
      return false;
    }
    // Without it in the list, nobody could undo that.
    if (this.#isPending) sendDeletion();
    this.#actions.leave(this);
    this.element.remove();
    return true;
  }

  /** Says that the post is in the list, again or still. */
  stay() {
    this.#isApart = false;
    this.element.classList.toggle("gone", false);
  }

  /** Says that the post is shown above the list, which does not have it; if it is deleted, for its edit alone. */
  standApart({ isDeleted }) {
    this.#isApart = true;
    this.element.classList.toggle("gone", true);
    if (isDeleted) this.#editor.lose();
  }

  get isEdited() {
    return this.#editor !== null;
  }

  get postID() {
    return this.#post.postID;
  }

  #edit() {
    this.element.dataset.state = "editing";
    this.#editor = new Editor({
      current: () => this.#post,
      refresh: () => this.#refresh(),
      refused: () => (this.element.dataset.state = "conflict"),
      failed: this.#actions.failed,
      closed: ({ isSaved, isElsewhere }) => {
        this.#editor = null;
        delete this.element.dataset.state;
        // Who is at work in another place stays there.
        if (!isElsewhere) this.#part(".edit").focus();
        if (this.element.classList.contains("gone")) this.#actions.drop(this);
        if (isSaved) this.#actions.tell("Saved.");
      },
    });
    this.element.append(this.#editor.element);
    this.#label(...this.#editor.element.querySelectorAll("button"));
    return this.#editor;
  }

  async #refresh() {
    await this.#actions.refresh();
    if (!this.element.classList.contains("gone") || this.#editor.isLost) return;
    try {
      // The list tells nothing of a post that it does not have.
      this.update(await readPost(this.postID));
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }

  #delete() {
    const { version } = this.#post;
    deleteLater(() => this.#sendDeletion(version));
    this.#isPending = true;
    // A page that closes can't wait for new tokens.
    freshen(UNDO_MILLISECONDS + SPARE_MILLISECONDS).catch(this.#actions.failed);
    this.#actions.tell("");
    this.#deleted = deletedTemplate.content.cloneNode(true).firstElementChild;
    const undo = this.#deleted.querySelector("button");
    undo.ariaLabel = `Undo, deleted ${this.name}`;
    undo.addEventListener("click", () => {
      cancelDeletion();
      this.#restore();
      this.#part(".delete").focus();
    });
    this.element.dataset.state = "deleted";
    this.element.append(this.#deleted);
    // A screen reader says its name, and with it that the post was deleted.
    undo.focus();
  }

  async #sendDeletion(version) {
    const headers = { "If-Match": `"${version}"` };
    this.#isPending = false;
    this.#actions.leave(this);
    this.element.hidden = true;
    try {
      // It outlasts the page, which may be closing.
      await request(`/posts/${this.postID}`, { method: "DELETE", headers, keepalive: true });
    } catch (error) {
      // It was deleted already.
      if (error.status !== 404) return this.#keep(error);
    }
    await this.#actions.refresh().catch(this.#actions.failed);
  }

  async #keep(error) {
    this.#restore();
    if (error.status !== 412) return this.#actions.failed(error);
    await this.#actions.refresh().catch(this.#actions.failed);
    this.#actions.tell("Not deleted: the post was changed elsewhere.");
  }

  #restore() {
    this.#deleted.remove();
    this.#deleted = null;
    this.#isPending = false;
    this.element.hidden = false;
    delete this.element.dataset.state;
  }

  /** Gives controls names of their own, which begin with what is seen on them. */
  #label(...controls) {
    for (const control of controls) control.ariaLabel = `${control.textContent}, ${this.name}`;
  }

  #showText(isExpanded) {
    const { text } = this.#post;
    this.#begin = firstLines(text);
    const expand = this.#part(".expand");
    expand.hidden = this.#begin === null;
    expand.ariaExpanded = String(isExpanded);
    expand.textContent = isExpanded ? "Show less" : "Show all";
    this.#label(expand);
    this.#fill(isExpanded ? text : (this.#begin ?? text));
  }

  #fill(text) {
    // Never as HTML: a post may contain markup.
    this.#part(".text").replaceChildren(...withLinks(text));
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}
