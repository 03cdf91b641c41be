/** The import: adds the posts of an exported file. */

import { onSubmit } from "./forms.js";
import { Problem, Unreachable, reached, upload, wrong } from "./session.js";

const NDJSON = "application/x-ndjson";
const numbers = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent" });

export function openImport(section, { failed, read, signal }) {
  const form = section.querySelector("form");
  const bar = form.querySelector("progress");
  const progress = form.querySelector(".progress");
  const cancel = form.querySelector(".cancel");
  let cancelling;

  const progressed = (fraction) => {
    // Posts are added as they arrive, and the answer comes after the last one.
    bar.value = fraction;
    progress.textContent = fraction < 1 ? `${percent.format(fraction)} sent` : "All sent, and being added…";
  };
  const work = async ({ file }) => {
    cancelling = new AbortController();
    const until = AbortSignal.any([signal, cancelling.signal]);
    bar.hidden = cancel.hidden = false;
    progressed(0);
    try {
      const response = await upload("/me/import", file.files[0], NDJSON, { progressed, signal: until });
      const { created, skipped } = await reached(response.json());
      await read();
      return `${posts(created)} added, ${numbers.format(skipped)} ${were(skipped)} here already.`;
    } catch (error) {
      if (until.aborted) throw wrong("file", "Cancelled. Posts that were added before that stay.");
      if (error instanceof Unreachable) {
        throw wrong("file", "The connection broke. What was added stays; import the file again for the rest.");
      }
      if (error instanceof Problem) throw wrong("file", explanation(error));
      throw error;
    } finally {
      if (document.activeElement === cancel) form.querySelector("[type=submit]").focus();
      bar.hidden = cancel.hidden = true;
      progress.textContent = "";
    }
  };
  onSubmit(form, work, failed);
  cancel.addEventListener("click", () => cancelling.abort());
  return () => {};
}

const posts = (count) => `${numbers.format(count)} ${count === 1 ? "post" : "posts"}`;
const were = (count) => (count === 1 ? "was" : "were");

/** Says what is wrong with the file, and what was done before that showed. */
function explanation({ status, message, members: { line, created = 0, skipped = 0 } }) {
  const before = created + skipped ? ` Before that, ${posts(created)} ${were(created)} added.` : " Nothing was added.";
  if (status === 413) return `The file is larger than this service takes.${before}`;
  if (line === undefined) return `${message}${before}`;
  const reason = message.replace(/^Line \d+: /, "");
  return `Line ${numbers.format(line)} of the file is not valid: ${reason}${before}`;
}
