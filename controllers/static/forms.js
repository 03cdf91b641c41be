/** What forms have in common: a problem is told where it can be mended. */

import { Problem, Unreachable } from "./session.js";

/**
 * Does a form's work with its fields kept as they are, and tells what goes wrong: at its field where the problem names
 * one, else below all of them. Returns whether it went well. Throws what is neither `Problem` nor `Unreachable`.
 */
export async function submitted(form, work) {
  if (form.ariaBusy === "true") return false;
  clear(form);
  form.ariaBusy = "true";
  for (const field of fields(form)) field.readOnly = true;
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
    show(form, error);
    return false;
  } finally {
    form.ariaBusy = null;
    for (const field of fields(form)) field.readOnly = false;
  }
}

/** Takes back what was told. */
export function clear(form) {
  for (const error of form.querySelectorAll(".error")) error.textContent = "";
  for (const field of fields(form)) field.ariaInvalid = null;
}

function show(form, { message, errors = [] }) {
  const elsewhere = [];
  for (const error of errors) {
    const field = form.elements.namedItem(error.field);
    if (!field) {
      elsewhere.push(`${error.field}: ${error.message}`);
      continue;
    }
    if (!form.querySelector("[aria-invalid]")) field.focus();
    field.ariaInvalid = "true";
    field.closest(".field").querySelector(".error").textContent = error.message;
  }
  if (elsewhere.length || !errors.length) {
    form.querySelector("[role=alert]").textContent = [message, ...elsewhere].join(" ");
  }
}

const fields = (form) => form.querySelectorAll("input, textarea");
