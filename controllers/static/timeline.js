/** A person's timeline: read as a list, and read again whenever the feed announces a newer version. */

import { Problem, Unreachable, reached, request } from "./session.js";

const FIRST_POSTS = 20;
// The service accepts no larger limit. Without a limit, it answers with all posts.
const MAX_LIMIT = 1000;

// The service sends a heartbeat every 15 seconds, so a connection without data for this long is dead.
const HEARTBEAT_TIMEOUT_MILLISECONDS = 40_000;
// The delay between attempts to connect.
const MIN_DELAY_MILLISECONDS = 500;
const MAX_DELAY_MILLISECONDS = 30_000;

export class Timeline {
  #show;
  #etag = null;
  #limit = FIRST_POSTS;
  #reading = Promise.resolve();

  /** `show(posts, hasMore)` is called with every list that differs from the last one. */
  constructor(show) {
    this.#show = show;
  }

  /** Reads the list if it has changed. Reads run one at a time, so an older list never replaces a newer one. */
  read() {
    const read = () => this.#read();
    return (this.#reading = this.#reading.then(read, read));
  }

  /** Doubles the number of posts, and reads the list. */
  more() {
    this.#limit *= 2;
    return this.#readAnew();
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
        for await (const { event, id } of changes(this.#version, until)) {
          failures = 0;
          say(true);
          if (event === "reset") await this.#readAnew();
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

  /** The timeline version of the list, which is the number in its ETag and in the ids of the feed. */
  get #version() {
    return Number(this.#etag.match(/\d+/)[0]);
  }

  #readAnew() {
    // With a different limit or after a reset, the list may differ although its version is the same.
    this.#etag = null;
    return this.read();
  }

  async #read() {
    const response = await request(this.#limit > MAX_LIMIT ? "/posts" : `/posts?limit=${this.#limit}`, {
      headers: this.#etag ? { "If-None-Match": this.#etag } : {},
    });
    if (response.status === 304) return;
    const posts = await reached(response.json());
    this.#etag = response.headers.get("ETag");
    this.#show(posts, response.headers.has("Link"));
  }
}

/** Yields the feed's messages, including comments. EventSource can't send a token. */
async function* changes(after, signal) {
  const silence = new AbortController();
  let timer;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), HEARTBEAT_TIMEOUT_MILLISECONDS);
  };
  listen();
  try {
    const response = await request("/posts/events", {
      // Firefox sends one cacheable request per URL at a time: another window would wait for this one.
      cache: "no-store",
      headers: { "Last-Event-ID": after },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reached(reader.read());
      if (done) return;
      listen();
      const messages = (text + value).split("\n\n");
      text = messages.pop();
      for (const message of messages) {
        yield Object.fromEntries(message.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/**
 * Waits with exponential backoff, and while the window is hidden. Ends early when the network is back or the window
 * becomes visible.
 */
function pause(failures, signal) {
  const delay = Math.min(MAX_DELAY_MILLISECONDS, MIN_DELAY_MILLISECONDS * 2 ** failures);
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      if (document.hidden && !signal.aborted) return;
      over.abort();
      resolve();
    };
    // Jitter, so that not all clients reconnect at once.
    const timer = setTimeout(end, delay * (0.5 + Math.random() / 2));
    over.signal.addEventListener("abort", () => clearTimeout(timer));
    for (const [target, name] of [[window, "online"], [document, "visibilitychange"], [signal, "abort"]]) {
      target.addEventListener(name, end, { signal: over.signal });
    }
  });
}
