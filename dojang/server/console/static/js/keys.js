// Single keys. None of them does what a form or a link on the page does not do.
import { keysAct, show } from "./help.js";
import { move } from "./list.js";
import { close, open } from "./panels.js";
import { one } from "./say.js";
import { pick, together } from "./select.js";

const HOLD_MS = 900;
let holding = 0;
let down = "";  // the key that did something and is still held

// The highest tier never takes a single key: held for a moment, it ticks the box that must be ticked, and sends.
const hold = (button) => {
  open("approve");
  button.classList.add("hold", "holding");
  holding = setTimeout(() => {
    const box = button.form.querySelector("[name=confirm]");
    box.checked = true;
    button.form.requestSubmit(button);
  }, HOLD_MS);
};

const letGo = () => {
  down = "";
  clearTimeout(holding);
  for (const button of document.querySelectorAll(".holding")) button.classList.remove("holding");
};

const approve = () => {
  one("[data-first]")?.focus();  // of many: the key goes to the button, Enter presses it
  const button = one("[data-approve]");
  if (!button) return;
  if (button.dataset.approve === "reason") open("approve");  // what has to be written, no key can say
  else if (button.dataset.approve === "confirm") hold(button);
  else if (!one(".bar details[open]")) button.click();
};

const look = (selector) => {
  const place = one(selector);
  if (place) { place.scrollIntoView({ block: "start" }); place.focus({ preventScroll: true }); }
};

const press = (selector) => { const found = one(selector); if (found) found.click(); };

// While an edit is written, what it changes; else the arguments.
const difference = () => {
  const changes = one("#changes dl, #changes .hint") && one("#changes");
  if (changes) changes.hidden = !changes.hidden;
  else look("#arguments");
};

const keys = {
  j: () => move(1), k: () => move(-1), a: approve, e: () => open("edit"), r: () => open("reject"), c: () => open("answer"),
  g: () => open("handup"), s: () => open("later"), u: () => press("[data-undo]"), d: difference,
  t: () => look("#way"), m: () => press("nav [data-view=view-mine]"), "/": () => one("#seek")?.select(), "?": show,
  x: () => pick(false), b: together,
};

// In the panel of a rejection a digit chooses a reason.
const choose = (event) => {
  const chip = document.querySelectorAll("[data-panel=reject][open] [name=chip]")[Number(event.key) - 1];
  if (!chip) return false;
  chip.checked = true;
  chip.focus();
  return true;
};

const typing = (element) => element.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog") !== null;

const pressed = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
    event.target.form.requestSubmit(event.target.form.querySelector("[data-panel][open] [data-send], [data-send]"));
    return;
  }
  if (event.repeat && event.key === down) event.preventDefault();  // it types nothing into what it opened
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
  if (event.key === "Escape" && close()) { event.preventDefault(); return; }
  if (typing(event.target) || !keysAct()) return;
  if (/^[1-9]$/.test(event.key) && choose(event)) { event.preventDefault(); return; }
  if (event.key === "X" && event.shiftKey) { event.preventDefault(); pick(true); return; }
  const key = keys[event.key.toLowerCase()];
  if (key && (!event.shiftKey || event.key === "?")) { event.preventDefault(); down = event.key; key(); }
};

export const listen = () => {
  document.addEventListener("keydown", pressed);
  document.addEventListener("keyup", letGo);
  window.addEventListener("blur", letGo);
};
