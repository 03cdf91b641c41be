/** A person's timeline: read as a list, and read again whenever the feed tells of a newer version. */

import { Problem, Unreachable, reached, request } from "./session.js";

const FIRST_POSTS = 20;
// The service takes no larger limit; without one it answers with all posts.
const LARGEST_LIMIT = 1000;

// The service says something every 15 seconds: after so many milliseconds of silence the connection is dead.
const LONGEST_SILENCE = 40_000;
const SHORTEST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;

export class Timeline {
  #show;
  #etag = null;
  #limit = FIRST_POSTS;
  #reading = Promise.resolve();

  /** `show(posts, hasMore)` is called with every list that differs from the one before. */
  constructor(show) {
    this.#show = show;
  }

  /** Reads the list if it has changed. One reading waits for the other, so what is shown never goes back. */
  read() {
    const read = () => this.#read();
    return (this.#reading = this.#reading.then(read, read));
  }

  /** Reads twice as many posts, from now on. */
  more() {
    this.#limit *= 2;
    return this.#readAnew();
  }

  /**
   * Keeps the list up to date until the signal says stop, whatever happens to the connection; `say(isLive)` is called
   * when it comes and goes. Throws `LoggedOut`.
   */
  async follow(signal, say) {
    let failures = 0;
    while (!signal.aborted) {
      if (document.hidden) await pause(0, signal);
      const connection = new AbortController();
      const until = AbortSignal.any([signal, connection.signal]);
      // A browser opens only six connections to a host, so a window that nobody sees gives its own back.
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

  /** The timeline's version that the list shows: the list's ETag is that number, and so is the id of each change. */
  get #version() {
    return Number(this.#etag.match(/\d+/)[0]);
  }

  #readAnew() {
    // Another limit, or another history, makes another list of the same version.
    this.#etag = null;
    return this.read();
  }

  async #read() {
    const response = await request(this.#limit > LARGEST_LIMIT ? "/posts" : `/posts?limit=${this.#limit}`, {
      headers: this.#etag ? { "If-None-Match": this.#etag } : {},
    });
    if (response.status === 304) return;
    const posts = await reached(response.json());
    this.#etag = response.headers.get("ETag");
    this.#show(posts, response.headers.has("Link"));
  }
}

/** Yields the feed's messages, comments among them. EventSource would not do: it can't send a token. */
async function* changes(after, signal) {
  const silence = new AbortController();
  let timer;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), LONGEST_SILENCE);
  };
  listen();
  try {
    const response = await request("/posts/events", {
      // Firefox asks for one address once at a time, if it may keep the answer: another window would wait for this one.
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

/** Waits longer after each failure, and not at all once the network or the person is back. */
function pause(failures, signal) {
  const longest = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** failures);
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      if (document.hidden && !signal.aborted) return;
      over.abort();
      resolve();
    };
    // Not all at once, where many wait for one service.
    const timer = setTimeout(end, longest * (0.5 + Math.random() / 2));
    over.signal.addEventListener("abort", () => clearTimeout(timer));
    for (const [target, name] of [[window, "online"], [document, "visibilitychange"], [signal, "abort"]]) {
      target.addEventListener(name, end, { signal: over.signal });
    }
  });
}
