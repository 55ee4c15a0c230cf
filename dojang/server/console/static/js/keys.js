// Single keys. None of them does what a form on the page does not do.
import { open } from "./panels.js";
import { one } from "./say.js";

const rows = () => [...document.querySelectorAll(".list a.row")];

const move = (by) => {
  const all = rows();
  const focused = all.indexOf(document.activeElement);
  const at = focused >= 0 ? focused : all.findIndex((row) => row.getAttribute("aria-current") === "true");
  const row = all[Math.min(all.length - 1, Math.max(0, at + by))];
  if (row) row.focus();
};

const approve = () => {
  const button = one("[data-approve]");
  if (!button || (one(".bar details[open]") && button.dataset.approve === "key")) return;
  // The highest tier never takes a single key: the key goes to the box that must be ticked first.
  if (button.dataset.approve === "confirm") open("approve"); else button.click();
};

const keys = {
  j: () => move(1), k: () => move(-1), a: approve, e: () => open("edit"), r: () => open("reject"), c: () => open("answer"),
};

const typing = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

const pressed = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
    event.target.form.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || typing(event.target)) return;
  const key = keys[event.key.toLowerCase()];
  if (key && !event.shiftKey) { event.preventDefault(); key(); }
};

export const listen = () => document.addEventListener("keydown", pressed);
