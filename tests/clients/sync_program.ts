// A program that runs the client of sync.ts, and crashes it, as a test tells it to: a line of JSON each, both ways.

import { createInterface } from "node:readline";
import { connect, Copy, type Policy, type Shown, type State } from "./sync.js";

interface Command {
  do: "change" | "crash" | "restart" | "settle" | "shown";
  text?: string | null;
  of?: Shown;
  saves?: number;
  isStored?: boolean;
  version?: number;
  gone?: number;
}

const [, , baseUrl = "", token = "", policy = "", timeoutMs = ""] = process.argv;
const api = connect(baseUrl, token, Number(timeoutMs));

const beginning = Date.now();
/** Write a line of the trace that a failed test shows. */
const trace = (...words: unknown[]) => console.error(Date.now() - beginning, ...words);

// Node has lost timeouts to its garbage collector.
setInterval(() => globalThis.gc?.(), 300).unref();

// What the service said, whatever the client made of it: each write once, by its key.
const acknowledged: Record<string, string> = {};
const contradictions: string[] = [];
const seen = { conflicts: 0, gone: 0, replays: 0, crashes: 0 };
api.use({
  onRequest({ request, id }) {
    const { pathname, search } = new URL(request.url);
    trace(id, request.method, pathname + search, request.headers.get("Idempotency-Key"), request.headers.get("If-Match"));
  },
  onError({ error, id }) {
    trace(id, String(error));
  },
  onResponse({ request, response, id }) {
    trace(id, response.status, response.headers.get("Timeline-Version") ?? response.headers.get("ETag"));
    const key = request.headers.get("Idempotency-Key");
    if (key && response.ok) {
      const path = response.headers.get("Location") ?? request.url;
      const write = `${request.method} ${path.split("/").at(-1)}`;
      if ((acknowledged[key] ??= write) !== write) contradictions.push(`${acknowledged[key]}, and then ${write}`);
    }
    if (response.headers.has("Idempotency-Replayed")) seen.replays++;
    if (response.status === 412) seen.conflicts++;
    if (response.status === 410) seen.gone++;
  },
});

let disk = JSON.stringify({ version: null, posts: {}, queue: [], refused: [], added: {} } satisfies State);
let crash: { saves: number; isStored: boolean } | null = null;
let lookAgain = () => {};
let running = start();

function start() {
  const ending = new AbortController();
  async function save(state: State) {
    if (ending.signal.aborted) throw new Error("this client has crashed");
    const crashes = crash && crash.saves-- === 0 ? crash : null;
    if (!crashes || crashes.isStored) disk = JSON.stringify(state);
    lookAgain();
    if (!crashes) return;
    crash = null;
    seen.crashes++;
    trace("crash");
    ending.abort();
    running = start();
    throw new Error("the client crashes");
  }
  const copy = new Copy(api, JSON.parse(disk) as State, save, ending.signal, policy as Policy, 10);
  if (copy.state.queue.length > 0) void copy.sync();
  void copy.listen();
  return { copy, ending };
}

async function carryOut(command: Command): Promise<unknown> {
  const { copy } = running;
  switch (command.do) {
    case "change": {
      const length = copy.state.queue.length;
      const changing = copy.change(command.text ?? null, command.of);
      const write = copy.state.queue.length > length ? copy.state.queue.at(-1) : undefined;
      await changing.catch(() => {});
      void copy.sync();
      return { key: write?.key ?? null, isStored: write !== undefined && disk.includes(write.key) };
    }
    case "crash":
      crash = { saves: command.saves ?? 0, isStored: command.isStored ?? false };
      return {};
    case "restart":
      running.ending.abort();
      // After a restore, the service is behind what the client has.
      if (command.version) disk = JSON.stringify({ ...(JSON.parse(disk) as State), version: command.version });
      running = start();
      return {};
    case "shown":
      return copy.shown().map(({ postID, version, text }) => ({ postID, version, text }));
    case "settle":
      return new Promise((resolve) => {
        lookAgain = () => {
          const state = JSON.parse(disk) as State;
          const isCurrent = state.queue.length === 0 && (state.version ?? -1) >= (command.version ?? 0);
          if (!isCurrent) return;
          if (command.gone && (seen.gone < command.gone || state.version !== command.version)) return;
          lookAgain = () => {};
          resolve({ ...state, acknowledged, contradictions, seen });
        };
        lookAgain();
      });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await carryOut(JSON.parse(line) as Command)));
}
process.exit();
