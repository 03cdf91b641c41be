/**
 * The service worker: keeps the page's own files, so that the page opens without a network. It keeps no posts and no
 * answers. The service puts `FILES` before it: the digest of each file by its address, relative to this script's. `VERSION`
 * is the digest of them all.
 */

const PREFIX = `postline ${self.registration.scope} `;
const NAME = PREFIX + VERSION;
const addressOf = (path) => new URL(path, self.location).href;
const PAGE = addressOf("./");
const kept = new Set(Object.keys(FILES).map(addressOf));

// Windows whose page is of the version that is kept: their other files come from the cache, so that all fit each other.
const windows = new Set();

self.addEventListener("install", (event) => event.waitUntil(keepFiles()));
self.addEventListener("activate", (event) => event.waitUntil(forgetOlderFiles()));
self.addEventListener("fetch", (event) => {
  const { request, clientId } = event;
  const [address] = request.url.split("#", 1);
  if (request.method !== "GET" || !kept.has(address)) return;
  if (request.mode === "navigate") event.respondWith(openPage(event));
  else if (windows.has(clientId)) event.respondWith(fromCache(address));
});

async function keepFiles() {
  const cache = await caches.open(NAME);
  try {
    // The digest refuses a file of another version, which a node that is being upgraded may send.
    await cache.addAll(
      Object.entries(FILES).map(([path, integrity]) => new Request(addressOf(path), { integrity, cache: "no-cache" })),
    );
  } catch (error) {
    await caches.delete(NAME);
    throw error;
  }
  // Windows that are open have all their files.
  await self.skipWaiting();
}

async function forgetOlderFiles() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== NAME).map((name) => caches.delete(name)));
}

/** Answers with the page as the service has it now, or else with the one that was kept. */
async function openPage({ request, resultingClientId }) {
  const answer = await fetch(request).catch(() => null);
  // A proxy answers for a service that it can't reach.
  const isAnswered = answer && ![502, 503, 504].includes(answer.status);
  // A proxy that compresses the page makes its tag a weak one.
  const isKept = !isAnswered || answer.headers.get("ETag")?.replace("W/", "") === `"${VERSION}"`;
  if (isKept) windows.add(resultingClientId);
  return isAnswered ? answer : fromCache(PAGE);
}

// The browser may have removed what was kept, to make room.
const fromCache = async (address) => (await caches.match(address, { cacheName: NAME })) ?? fetch(address);
