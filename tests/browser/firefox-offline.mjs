/**
 * Opens the service's page in Firefox until the service worker is active, as it is after the first visit or a later one.
 *
 * Usage: node firefox-offline.mjs URL PROGRAM
 */

import puppeteer from "puppeteer-core";

const [url, executablePath] = process.argv.slice(2);
const PATIENCE = { timeout: 30_000, polling: 50 };
// On a busy machine Firefox once had no active worker after 20 seconds. The page registers it at each visit.
const MAX_VISITS = 3;

const isActive = async () =>
  (await navigator.serviceWorker.getRegistrations()).some(({ active }) => active?.state === "activated");

const whatThereIs = async () =>
  JSON.stringify({
    registrations: (await navigator.serviceWorker.getRegistrations()).map(({ installing, waiting, active }) =>
      [installing, waiting, active].map((worker) => worker?.state),
    ),
    caches: await caches.keys(),
  });

/** Returns what keeps the worker from being active, or `null` if it is. */
async function visit() {
  const firefox = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
  try {
    const window = await firefox.newPage();
    await window.goto(url);
    return await window.waitForFunction(isActive, PATIENCE).then(
      () => null,
      () => window.evaluate(whatThereIs),
    );
  } finally {
    await firefox.close();
  }
}

const found = [];
for (let visits = 1; visits <= MAX_VISITS; visits++) {
  const obstacle = await visit();
  if (obstacle === null) process.exit();
  found.push(obstacle);
}
throw new Error(`No service worker was active: ${found.join(", ")}`);
