/** A person's timeline: read as a list, and brought up to date by the changes whenever the feed announces some. */

import { changed } from "./changes.js";
import { messages, pause } from "./feed.js";
import { Problem, Unreachable, reached, request } from "./session.js";

const PAGE_POSTS = 20;
// The service accepts no larger limit.
const MAX_LIMIT = 1000;

export class Timeline {
  #show;
  #search;
  // The posts read so far, newest first, and where the next page of the list begins: null if there is none.
  #posts = [];
  #cursor = null;
  // The timeline version of the posts, which is the number in the list's ETag and in the ids of the feed.
  #version = null;
  #reading = Promise.resolve();
  #current = new AbortController();

  /**
   * Only posts with the text `search` are read, if it is not "". `show(posts, hasMore, search)` is called whenever the
   * list has changed.
   */
  constructor(search, show) {
    this.#search = search;
    this.#show = show;
  }

  /** Reads the posts with this text instead, or all. What is under way for another text is cancelled. */
  search(text) {
    this.#search = text;
    this.#posts = [];
    this.#cursor = null;
    this.#version = null;
    this.#current.abort();
    return this.read();
  }

  /** Brings the list up to date. */
  read() {
    return this.#inTurn((signal) => this.#read(signal));
  }

  /** Reads the next page of the list too. */
  more() {
    return this.#inTurn(async (signal) => {
      if (this.#cursor === null) return;
      const { posts, cursor } = await this.#page(PAGE_POSTS, this.#cursor, signal);
      // They may be newer than the others. What changed in between is then told once more.
      this.#posts = this.#posts.concat(posts);
      this.#cursor = cursor;
      this.#showPosts();
    });
  }

  /**
   * Keeps the list up to date until `signal` aborts, and reconnects whenever the connection breaks. Calls `say(isLive)`
   * when it connects and disconnects. Throws `LoggedOut`.
   */
  async follow(signal, say) {
    let failures = 0;
    while (!signal.aborted) {
      if (document.hidden) await pause(0, signal);
      const connection = new AbortController();
      const until = AbortSignal.any([signal, connection.signal]);
      // A browser opens only six HTTP/1.1 connections to a host, so a hidden window closes its own.
      const drop = () => (document.hidden || !navigator.onLine) && connection.abort();
      addEventListener("offline", drop, { signal: until });
      document.addEventListener("visibilitychange", drop, { signal: until });
      try {
        await this.read();
        for await (const { event, id } of messages(this.#version, until)) {
          failures = 0;
          say(true);
          if (event === "reset") await this.#inTurn((turn) => this.#readList(turn));
          else if (event && Number(id) > this.#version) await this.read();
        }
      } catch (error) {
        if (!(error instanceof Unreachable || error instanceof Problem)) throw error;
      } finally {
        connection.abort();
      }
      if (signal.aborted) return;
      if (document.hidden) continue;
      say(false);
      await pause(failures++, signal);
    }
  }

  /** Reads run one at a time, so an older state never replaces a newer one. */
  #inTurn(work) {
    const run = async () => {
      for (;;) {
        const { signal } = (this.#current = new AbortController());
        try {
          return await work(signal);
        } catch (error) {
          // Something else is searched for by now.
          if (!signal.aborted) throw error;
        }
      }
    };
    return (this.#reading = this.#reading.then(run, run));
  }

  async #read(signal) {
    if (this.#version === null) return this.#readList(signal);
    // Only the service knows what a search finds.
    if (this.#search) return this.#readList(signal, { "If-None-Match": `"${this.#version}"` });
    const changes = await this.#changes(signal);
    const posts = changes && changed(this.#posts, changes.changes);
    if (!posts) return this.#readList(signal);
    this.#version = changes.version;
    if (!changes.changes.length) return;
    this.#posts = posts;
    this.#showPosts();
  }

  /** Returns the changes since the list's version, or null if they are not kept, or more than the list is worth. */
  async #changes(signal) {
    try {
      const response = await request(`/posts/changes?since=${this.#version}`, { signal });
      const changes = await reached(response.json());
      signal.throwIfAborted();
      return changes.has_more ? null : changes;
    } catch (error) {
      if (error.status !== 410) throw error;
      return null;
    }
  }

  /** Reads the list from its beginning, as many posts as are there already. */
  async #readList(signal, headers = {}) {
    const page = await this.#page(Math.max(PAGE_POSTS, this.#posts.length), null, signal, headers);
    if (!page) return;
    this.#posts = page.posts;
    this.#cursor = page.cursor;
    this.#version = page.version;
    this.#showPosts();
  }

  /** Returns `count` posts or more from there on, unless there are fewer, or null if none has changed. */
  async #page(count, cursor, signal, headers) {
    let posts = [];
    let version;
    do {
      const query = new URLSearchParams({ limit: Math.min(MAX_LIMIT, count) });
      if (cursor) query.set("cursor", cursor);
      if (this.#search) query.set("q", this.#search);
      const response = await request(`/posts?${query}`, { headers, signal });
      if (response.status === 304) return null;
      posts = posts.concat(await reached(response.json()));
      // Of several pages, the first may be the oldest.
      version ??= Number(response.headers.get("ETag").match(/\d+/)[0]);
      cursor = nextCursor(response);
      headers = {};
      // A page of a search may have fewer posts than the limit, even none, before the last page.
    } while (cursor && posts.length < count);
    signal.throwIfAborted();
    return { posts, cursor, version };
  }

  #showPosts() {
    this.#show(this.#posts, this.#cursor !== null, this.#search);
  }
}

function nextCursor(response) {
  const next = response.headers.get("Link")?.match(/<(.*?)>/)[1];
  return next ? new URL(next, location).searchParams.get("cursor") : null;
}
