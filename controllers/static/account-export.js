/** The export: a file with everything about the person, which is saved as it arrives. */

import { Problem, Unreachable, reached, request } from "./session.js";
import { fileSize } from "./sizes.js";

const FILE_NAME = "postline.ndjson";
// The browser may move parts of this size from memory to the disk.
const PART_BYTES = 8 * 1024 * 1024;

export function openExport(section, { failed, signal }) {
  const [start, cancel] = section.querySelectorAll("button");
  const done = section.querySelector(".done");
  const alert = section.querySelector("[role=alert]");
  const bar = section.querySelector("progress");
  const progress = section.querySelector(".progress");
  let cancelling;

  const run = async () => {
    if (bar.hidden === false) return;
    cancelling = new AbortController();
    const until = AbortSignal.any([signal, cancelling.signal]);
    done.textContent = alert.textContent = "";
    bar.hidden = cancel.hidden = false;
    start.hidden = true;
    cancel.focus();
    try {
      const file = await read(until, (bytes) => (progress.textContent = `${fileSize(bytes)} so far`));
      save(file);
      done.textContent = `Downloaded: ${FILE_NAME}, ${fileSize(file.size)}.`;
    } catch (error) {
      if (until.aborted) done.textContent = "The download was cancelled.";
      else if (error instanceof Problem) alert.textContent = error.message;
      else if (error instanceof Unreachable) alert.textContent = "The connection broke. Nothing was saved; try again.";
      else failed(error);
    } finally {
      progress.textContent = "";
      const hadFocus = document.activeElement === cancel;
      bar.hidden = cancel.hidden = true;
      start.hidden = false;
      if (hadFocus) start.focus();
    }
  };
  start.addEventListener("click", run);
  cancel.addEventListener("click", () => cancelling.abort());
  return () => {};
}

/** Reads the export as it arrives. */
async function read(signal, progressed) {
  const response = await request("/me/export", { signal });
  const reader = response.body.getReader();
  let file = new Blob();
  let part = [];
  let partBytes = 0;
  for (;;) {
    const { done, value } = await reached(reader.read());
    if (value) {
      part.push(value);
      partBytes += value.byteLength;
      progressed(file.size + partBytes);
    }
    if (done || partBytes >= PART_BYTES) {
      file = new Blob([file, ...part]);
      part = [];
      partBytes = 0;
    }
    if (done) return file;
  }
}

function save(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = FILE_NAME;
  link.click();
  // The browser has begun to save it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
