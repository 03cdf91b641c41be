/** What the browser keeps for this site, or this window alone where the browser keeps nothing or has no room. */

/** Values of one of the browser's storages, by key. */
export class Store {
  #name;
  #held = new Map();

  /** `name` is localStorage or sessionStorage. */
  constructor(name) {
    this.#name = name;
  }

  /** Returns the value under a key, or null if there is none or it is not valid JSON. */
  read(key) {
    if (this.#held.has(key)) return this.#held.get(key);
    try {
      return JSON.parse(this.#storage.getItem(key));
    } catch {
      return null;
    }
  }

  /** Keeps a value. Where the browser can't, it lasts until this window is closed or reloaded. */
  write(key, value) {
    this.#held.delete(key);
    try {
      this.#storage.setItem(key, JSON.stringify(value));
    } catch {
      // An older value must not return after a reload.
      this.remove(key);
      this.#held.set(key, value);
    }
  }

  /** Removes what is kept under a key. */
  remove(key) {
    this.#held.delete(key);
    try {
      this.#storage.removeItem(key);
    } catch {
      // Nothing is kept.
    }
  }

  /** Returns the keys with this prefix. */
  keys(prefix) {
    let kept = [];
    try {
      kept = Object.keys(this.#storage);
    } catch {
      // Nothing is kept.
    }
    return [...new Set([...kept, ...this.#held.keys()])].filter((key) => key.startsWith(prefix));
  }

  /** Whether the value under a key outlasts this window. */
  keeps(key) {
    return !this.#held.has(key);
  }

  /** Whether the browser keeps anything at all. */
  get isAvailable() {
    const probe = "postline.probe";
    this.write(probe, true);
    const isAvailable = this.keeps(probe);
    this.remove(probe);
    return isAvailable;
  }

  // Where site data is blocked, already the access to the property throws.
  get #storage() {
    return window[this.#name];
  }
}
