// A client that keeps a copy of somebody's posts and works without a connection. docs/sync.md explains it.

import createClient from "openapi-fetch";
import type { components, paths } from "./postline.js";

export type Post = components["schemas"]["PostRead"];

/** A post as it is shown; until it is added, under an id of our own. */
export type Shown = Pick<Post, "postID" | "version" | "text">;

/** A change that was made here, to a post at this version (0: to none), and what it makes of it (null: nothing). */
export interface Write {
  key: string;
  postID: string;
  version: number;
  text: string | null;
}

/** Whose text stays where both changed a post; of both, the other one becomes a new post. */
export type Policy = "mine" | "theirs" | "both";

/** All that has to survive a restart. */
export interface State {
  version: number | null; // of the timeline; null until it was read
  posts: Record<string, Post>;
  queue: Write[];
  refused: Write[];
  added: Record<string, string>; // the ids of our own, and what the posts' ids became
}

export const connect = (baseUrl: string, token: string, timeoutMs = 60_000) =>
  createClient<paths>({
    baseUrl,
    headers: { Authorization: `Bearer ${token}` },
    fetch: (request) => fetch(request, { signal: AbortSignal.timeout(timeoutMs) }),
  });

export class Copy {
  /** Why the copy is not up to date, if it is not. */
  trouble: unknown = null;
  private last = Promise.resolve();

  constructor(
    private readonly api: ReturnType<typeof connect>,
    readonly state: State,
    /** Stores the state as it is when called, all or nothing, in the order of the calls. */
    private readonly save: (state: State) => Promise<void>,
    private readonly signal: AbortSignal,
    private readonly policy: Policy = "both",
    private readonly pauseMs = 1_000,
  ) {}

  /** What to show: the copy, and what waits to be sent on top of it. */
  shown(): Shown[] {
    const shown = new Map<string, Shown>(Object.entries(this.state.posts));
    for (const { postID, version, text } of this.state.queue) {
      if (text === null) shown.delete(postID);
      else shown.set(postID, { postID, version: Math.max(version, 1), text });
    }
    return [...shown.values()];
  }

  /** Queue a write: a text for a post as it was shown, or null to delete it, or a new post. */
  async change(text: string | null, of: Shown = { postID: crypto.randomUUID(), version: 0, text: "" }): Promise<void> {
    let { postID } = of;
    while (this.state.added[postID]) postID = this.state.added[postID];
    this.state.queue.push({ key: crypto.randomUUID(), postID, version: of.version, text });
    await this.save(this.state);
  }

  /** Fetch what changed and send what waits, until both have succeeded; one at a time. */
  sync(): Promise<void> {
    return (this.last = this.last.then(async () => {
      for (let failures = 0; !this.signal.aborted; failures++) {
        try {
          await this.pull();
          await this.push();
          this.trouble = null;
          return;
        } catch (error) {
          this.trouble = error;
          await this.pause(failures);
        }
      }
    }));
  }

  /** Sync whenever the feed says anything, an event, `reset` or a heartbeat, and when it has to be opened again. */
  async listen(): Promise<void> {
    for (let failures = 0; !this.signal.aborted; failures++) {
      try {
        await this.sync();
        const params = { query: { after: this.state.version ?? 0 } };
        const feed = await this.api.GET("/posts/events", { params, parseAs: "stream" });
        if (!feed.data) throw new Error(`the feed answers ${feed.response.status}`);
        const reader = feed.data.getReader();
        for (; !(await reader.read()).done; failures = 0) await this.sync();
      } catch (error) {
        this.trouble = error;
      }
      await this.pause(failures);
    }
  }

  private async read(): Promise<void> {
    const { data: posts, response } = await this.api.GET("/posts");
    if (!posts) throw new Error(`the list answers ${response.status}`);
    this.state.version = Number(/\d+/.exec(response.headers.get("ETag") ?? "")?.[0]);
    this.state.posts = Object.fromEntries(posts.map((post) => [post.postID, post]));
    await this.save(this.state);
  }

  private async pull(): Promise<void> {
    if (this.state.version === null) return this.read();
    for (let more = true; more; ) {
      const since: number = this.state.version;
      const { data: page, response } = await this.api.GET("/posts/changes", { params: { query: { since } } });
      if (response.status === 410) return this.read();
      if (!page) throw new Error(`changes answer ${response.status}`);
      for (const { postID, post } of page.changes) {
        if (post) this.state.posts[postID] = post;
        else delete this.state.posts[postID];
      }
      this.state.version = page.version;
      await this.save(this.state);
      more = page.has_more;
    }
  }

  private async push(): Promise<void> {
    const { queue } = this.state;
    for (let write; (write = queue[0]); ) {
      await this.save(this.state); // before it is sent: a key that is forgotten protects from nothing
      const { data, response } = await this.send(write);
      const { status } = response;
      if (response.ok || (status === 404 && write.text === null)) {
        await this.pull(); // before it leaves the queue, so that it is always seen in one or the other
        queue.shift();
        if (write.version === 0 && data) this.state.added[write.postID] = data.postID;
        for (const later of queue.filter((each) => each.postID === write.postID)) {
          if (write.version === 0 && data) Object.assign(later, { postID: data.postID, version: 1 });
          else if (later.version === write.version) later.version += 1;
        }
      } else if (status === 412 || status === 404) {
        await this.pull();
        queue.splice(0, 1, ...this.resolve(write));
      } else if (status === 401 || status === 408 || status === 429 || status >= 500) {
        throw new Error(`the write is answered ${status}`);
      } else {
        const lost = queue.filter((each) => each.postID === write.postID);
        this.state.refused.push(...lost);
        queue.splice(0, queue.length, ...queue.filter((each) => !lost.includes(each)));
      }
    }
    await this.save(this.state);
  }

  private send({ key, postID, version, text }: Write) {
    const header = { "Idempotency-Key": key };
    if (version === 0) return this.api.POST("/posts", { params: { header }, body: { text: text ?? "" } });
    const params = { path: { postID }, header: { ...header, "If-Match": `"${version}"` } };
    if (text === null) return this.api.DELETE("/posts/{postID}", { params });
    return this.api.PATCH("/posts/{postID}", { params, body: { text } });
  }

  /** What to send instead of a write whose post has changed or is gone. */
  private resolve(write: Write): Write[] {
    const theirs = this.state.posts[write.postID];
    if (write.text === (theirs?.text ?? null)) return []; // both made the same of it
    const again = { ...write, key: crypto.randomUUID() };
    if (theirs && this.policy === "mine") return [{ ...again, version: theirs.version }];
    if (write.text === null) return []; // their edit outlives our deletion
    if (this.policy === "theirs") {
      this.state.refused.push(write);
      return [];
    }
    if (theirs) again.postID = crypto.randomUUID();
    for (const later of this.state.queue.filter((each) => each !== write && each.postID === write.postID)) {
      Object.assign(later, { postID: again.postID, version: 1 });
    }
    return [{ ...again, version: 0 }];
  }

  private async pause(failures: number): Promise<void> {
    const ms = this.pauseMs * 2 ** Math.min(failures, 6) * (0.5 + Math.random());
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}
