// A form is sent once, and says that it was.
import { say } from "./say.js";

const sent = (event) => {
  const form = event.target;
  if (form.method === "dialog") return; // closes a dialog, which is opened again
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  const note = form.querySelector(".progress");
  if (note) { note.hidden = false; say(note.textContent); }
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
};

// A page that comes back from the browser's cache may be used again.
const again = () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
  }
};

export const listen = () => {
  document.addEventListener("submit", sent);
  window.addEventListener("pageshow", again);
};
