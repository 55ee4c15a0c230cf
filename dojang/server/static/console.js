// Keys and a live region. Every page works without this file; it adds no behaviour that a form lacks.
"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const say = (text) => { const live = one("#live"); if (live) live.textContent = text; };
  const rows = [...document.querySelectorAll(".list a.row")];
  const place = () => {
    const at = rows.indexOf(document.activeElement);
    return at >= 0 ? at : rows.findIndex((row) => row.getAttribute("aria-current") === "true");
  };
  const move = (by) => {
    const row = rows[Math.min(rows.length - 1, Math.max(0, place() + by))];
    if (row) row.focus();
  };
  const open = (name) => {
    const panel = one(`details[data-panel=${name}]`);
    if (!panel) return;
    panel.open = true;
    const first = panel.querySelector("input:not([type=hidden]), textarea, select, button");
    if (first) first.focus();
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
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
      event.target.form.requestSubmit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || typing(event.target)) return;
    const key = keys[event.key.toLowerCase()];
    if (key && !event.shiftKey) { event.preventDefault(); key(); }
  });
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches || !event.target.matches(".bar details") || !event.target.open) return;
    for (const other of document.querySelectorAll(".bar details[open]")) if (other !== event.target) other.open = false;
  }, true);
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    const note = form.querySelector(".progress");
    if (note) { note.hidden = false; say(note.textContent); }
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
  // A page that comes back from the browser's cache may be used again.
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
    }
  });
})();
