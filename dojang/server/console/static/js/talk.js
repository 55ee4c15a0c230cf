// A thread as it is talked in: what is sent is kept until it has arrived, what happens is shown as it happens.
import { one, say } from "./say.js";

const WAITS_MS = [500, 1000, 2000, 5000];
let source = null, tries = 0, timer = 0;

const show = (selector, text) => {
  const place = one(selector);
  if (!place) return;
  place.hidden = !text;
  place.textContent = text;
};

// -- the page as the server has it now, put in where it differs -------------------------------------------------------

const put = (html, url) => {
  const there = new DOMParser().parseFromString(html, "text/html");
  const fresh = there.getElementById("talk");
  const old = one("#talk");
  if (!fresh || !old) { location.assign(url); return; }
  // Whoever is filling in a panel of the card that still waits is left alone.
  const card = one("#talk .bar details[open]") && one("#talk .card")?.dataset.review;
  if (card && fresh.querySelector(".card")?.dataset.review === card) return;
  const was = one("#speak textarea:not([readonly])");
  const typed = was?.value ?? "", focused = document.activeElement === was && was !== null;
  old.replaceWith(document.adoptNode(fresh));
  const speak = there.getElementById("speak");
  if (speak) one("#speak").replaceWith(document.adoptNode(speak));
  const box = one("#speak textarea:not([readonly])");
  if (box && typed && !box.value.trim()) box.value = typed;
  if (box && focused) box.focus();
  document.title = there.title;
  follow();
};

const bottom = () => one("#now")?.scrollIntoView({ block: "nearest" });

const again = async () => {
  clearTimeout(timer);
  const talk = one("#talk");
  if (!talk) return;
  try {
    const answer = await fetch(talk.dataset.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) { location.assign(answer.url); return; }
    put(await answer.text(), talk.dataset.href);
    tries = 0;
    bottom();
    const news = one("#talk .pausehead") ?? one("#talk .line:last-child p");
    if (news && !one("#talk[data-run]")) say(news.textContent.slice(0, 300));
  } catch {
    lost(again);
  }
};

const lost = (then) => {
  show("#broken", one("#broken")?.dataset.lost ?? "");
  clearTimeout(timer);
  timer = setTimeout(then, WAITS_MS[Math.min(tries++, WAITS_MS.length - 1)]);
};

// -- what happens in it -----------------------------------------------------------------------------------------------

const steps = (names) => {
  const list = one("#steps");
  if (!list) return;
  list.replaceChildren(...names.map((name, i) => {
    const step = document.createElement("li");
    step.textContent = name;
    if (i === names.length - 1) step.setAttribute("aria-current", "step");
    return step;
  }));
  const pulse = one(".pulse:not([data-stopping]) b");  // that it stops is said until it has
  if (pulse) pulse.textContent = `${names.at(-1)}…`;
};

const stop = () => { if (source) { source.close(); source = null; } };

export const follow = () => {
  stop();
  const talk = one("#talk[data-run]");
  if (!talk || document.visibilityState === "hidden") return;
  source = new EventSource(`${talk.dataset.href}/follow`);
  let words = "";
  source.onopen = () => { tries = 0; show("#broken", ""); };
  source.addEventListener("begin", () => { words = ""; show("#draft", ""); });
  source.addEventListener("steps", (event) => {
    const names = JSON.parse(event.data).steps;
    if (words) { words = ""; show("#draft", ""); }
    steps(names);
  });
  source.addEventListener("words", (event) => {
    words += JSON.parse(event.data).text;
    show("#draft", words);
    bottom();
  });
  source.addEventListener("over", () => { stop(); again(); });
  source.addEventListener("bye", () => { stop(); again(); });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) { stop(); lost(again); return; }
    show("#broken", one("#broken")?.dataset.lost ?? "");
  };
};

// -- what is said in it -----------------------------------------------------------------------------------------------

const send = async (form) => {
  const note = form.querySelector(".unsent");
  const button = form.querySelector("button");
  button.setAttribute("aria-disabled", "true");
  form.dataset.sent = "yes";
  for (;;) {
    try {
      const filled = new FormData(form);
      const files = filled.getAll("files").some((file) => file.size > 0);
      if (!files) filled.delete("files");
      const body = files ? filled : new URLSearchParams(filled);
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
      const html = await answer.text();
      const here = new URL(answer.url).pathname;
      if (answer.redirected && here !== location.pathname) { location.assign(answer.url); return; }
      const typed = form.querySelector("textarea");
      if (answer.ok && typed) typed.value = "";
      if (one("#talk")) put(html, answer.url);
      else one("main").replaceWith(new DOMParser().parseFromString(html, "text/html").querySelector("main"));
      bottom();
      return;
    } catch {
      if (note) { note.hidden = false; note.textContent = note.dataset.lost; }
      await new Promise((go) => { window.addEventListener("online", go, { once: true }); setTimeout(go, 2000); });
    }
  }
};

const submitted = (event) => {
  const form = event.target;
  if (!form.matches("[data-talk]")) return;
  event.preventDefault();
  if (!form.dataset.sent) send(form);
};

export const listen = () => {
  document.addEventListener("submit", submitted, true);
  if (!one("#talk")) return;
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") stop(); else if (one("#talk[data-run]")) again(); });
  window.addEventListener("offline", () => { if (one("#talk[data-run]")) { stop(); lost(again); } });
  window.addEventListener("online", () => { if (one("#talk[data-run]")) again(); });
  // What others do in this thread (a decision, a command elsewhere) is shown in place.
  let soon = 0;
  document.addEventListener("dojang:thread", () => {
    clearTimeout(soon);
    soon = setTimeout(() => { if (!one("#talk[data-run]") && !one("form[data-sent]")) again(); }, 300);
  });
  follow();
  if (location.hash === "#now" || one("#talk[data-run]")) bottom();
};
