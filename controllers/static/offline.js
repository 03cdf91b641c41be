/** Opens the page without a network: a service worker keeps its files. */

const ROOT = new URL("..", import.meta.url);
const SCRIPT = new URL("service-worker.js", ROOT).href;

/** Starts the service worker, where the browser has one: on https and on localhost, if it may keep site data. */
export function keepOffline() {
  // A proxy may show the page without a final slash, which is outside of what the service worker may answer for.
  if (`${location.pathname}/` === ROOT.pathname) {
    history.replaceState(null, "", ROOT.pathname + location.search + location.hash);
  }
  // The Content-Security-Policy allows this one policy, which has no other outcome than this script.
  const policy = globalThis.trustedTypes?.createPolicy("service-worker", { createScriptURL: () => SCRIPT });
  register(policy ? policy.createScriptURL("") : SCRIPT).catch(() => {
    // The page works without it, as long as there is a network.
  });
}

async function register(script) {
  const registration = await navigator.serviceWorker?.register(script);
  // The browser would look for a new version too, but at a time of its own.
  await registration?.update();
}
