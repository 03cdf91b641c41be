/** Buttons that show what is typed into the fields for passwords. */

const template = document.getElementById("reveal");

/** Gives each field for a password below this element a button that shows it, until the form is sent. */
export function offerReveal(root) {
  for (const field of root.querySelectorAll("input[type=password]")) {
    const button = template.content.cloneNode(true).firstElementChild;
    const show = (isShown) => {
      const { selectionStart, selectionEnd } = field;
      button.ariaPressed = String(isShown);
      field.type = isShown ? "text" : "password";
      if (document.activeElement === field) field.setSelectionRange(selectionStart, selectionEnd);
    };
    button.setAttribute("aria-controls", field.id);
    // The focus stays where it is, and on a phone the keyboard stays too.
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", () => show(button.ariaPressed !== "true"));
    // Browsers remember what was typed into a field that is none for passwords.
    field.form.addEventListener("submit", () => show(false));
    field.form.addEventListener("reset", () => show(false));
    field.spellcheck = false;
    field.autocapitalize = "none";
    field.after(button);
  }
}
