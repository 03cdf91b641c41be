/**
 * What a person does in two windows of Firefox, of the service at the given address: whatever goes wrong ends it.
 *
 * Usage: node firefox-windows.mjs URL PROGRAM
 */

import puppeteer from "puppeteer-core";

const [url, executablePath] = process.argv.slice(2);
const PATIENCE = { timeout: 60_000, polling: 50 };
// Shorter than Firefox lets one request wait for another of the same address.
const AT_ONCE = { timeout: 10_000, polling: 50 };

const firefox = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
const complaints = [];

async function open() {
  // Of two tabs of one window, one would be hidden.
  const window = await firefox.newPage({ type: "window" });
  window.on("console", (message) => complaints.push(message.text()));
  window.on("pageerror", (error) => complaints.push(error.message));
  await window.goto(url);
  return window;
}

const shows = (window, texts, patience) =>
  window.waitForFunction(
    (wanted) => JSON.stringify([...document.querySelectorAll(".post .text")].map((p) => p.textContent)) === wanted,
    patience,
    JSON.stringify(texts),
  );

const isLive = (window) =>
  window.waitForFunction(() => document.querySelector("#connection").textContent === "Live", AT_ONCE);

try {
  const one = await open();
  await one.locator("#other-way").click();
  await one.locator("#email").fill("fox@example.com");
  await one.locator("#password").fill("correct horse battery");
  await one.locator("#enter").click();
  await isLive(one);
  await one.locator("#text").fill("<b>first</b> 🦊");
  await one.locator("#composer [type=submit]").click();
  await shows(one, ["<b>first</b> 🦊"], PATIENCE);

  const other = await open();
  await shows(other, ["<b>first</b> 🦊"], PATIENCE);
  await isLive(other);
  await one.locator("#text").fill("second");
  await one.locator("#composer [type=submit]").click();
  await shows(other, ["second", "<b>first</b> 🦊"], AT_ONCE);

  await one.locator(".post .edit").click();
  await one.locator(".editor textarea").fill("second, edited");
  await one.goto(url);
  await one.waitForFunction(() => document.querySelector(".editor textarea")?.value === "second, edited", PATIENCE);
  await isLive(one);
  await one.locator(".editor [type=submit]").click();
  await shows(other, ["second, edited", "<b>first</b> 🦊"], AT_ONCE);

  await other.locator(".post .delete").click();
  await other.locator("#person a").click();
  await shows(one, ["<b>first</b> 🦊"], AT_ONCE);
  await other.locator("#leave").click();
  await one.locator("#credentials").wait();
} finally {
  await firefox.close();
}
if (complaints.length) throw new Error(complaints.join("\n"));
