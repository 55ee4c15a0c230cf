// The connection to the server: counts, reviews that change elsewhere, who else looks. Nothing moves under the cursor:
// rows change where they stand, and what is new is offered, not put in.
import { one, say } from "./say.js";

const WAITS_MS = [1000, 2000, 5000, 10000];
const chip = () => one("#wire");
const words = (name, value) => (chip().dataset[name] ?? "").replace("§", value);
let source = null, tries = 0, timer = 0, fresh = new Set(), here = "", state = "";

const tell = (next) => {
  state = next;
  const found = chip();
  found.classList.toggle("lost", next === "lost" || next === "over");
  const text = next === "lost" ? words("lost") : next === "over" ? words("over") : here;
  if (found.textContent !== text) found.textContent = text;
  found.hidden = !text;
};

const counted = ({ counts }) => {
  for (const [view, n] of Object.entries(counts)) {
    const at = document.getElementById(`count-${view.startsWith("kind-") ? view : `view-${view || "all"}`}`);
    if (!at) continue;
    at.textContent = String(n);
    at.classList.toggle("none", n === 0);
    if (view === "soon") at.parentElement.classList.toggle("urgent", n > 0);
  }
};

// A row stays where it is and says what became of it.
const rowOf = (told) => {
  const row = document.querySelector(`.list a.row[data-id="${CSS.escape(told.id)}"]`);
  if (!row) return false;
  if (told.said) {
    row.classList.add("over");
    const time = row.querySelector("time");
    if (time) {
      const said = document.createElement("span");
      said.className = "said";
      said.textContent = told.said;
      time.replaceWith(said);
    }
  }
  const small = row.querySelector("small");
  let note = small.querySelector(".changed");
  const text = told.text || told.claimed || told.votes;
  if (!note) { note = document.createElement("span"); note.className = "flag changed"; small.prepend(note); }
  note.textContent = text ? `${text} · ` : "";
  return true;
};

// The review that is open here was decided elsewhere: said above it, and its bar offers nothing any more.
const cardOf = (told) => {
  const card = document.querySelector(`.card[data-review="${CSS.escape(told.id)}"]:not(.sealed)`);
  if (!card || !told.said || document.querySelector("form[data-sent]")) return;
  let note = card.querySelector(".elsewhere");
  if (!note) { note = document.createElement("p"); note.className = "elsewhere"; note.setAttribute("role", "status"); card.prepend(note); }
  note.textContent = `${told.text} `;
  const link = document.createElement("a");
  link.href = location.pathname + location.search;
  link.textContent = words("open");
  note.append(link);
  for (const button of document.querySelectorAll(".bar button, .bar summary")) button.setAttribute("aria-disabled", "true");
  document.querySelector(".bar")?.classList.add("off");
  say(told.text);
};

const isList = () => document.querySelector(".inbox main, aside .list") !== null;
const offer = () => {
  const list = document.querySelector(".list") ?? one(".inbox main .empty");
  if (!list || !isList() || fresh.size === 0) return;
  let pill = one("#fresh");
  if (!pill) {
    pill = document.createElement("a");
    pill.id = "fresh";
    pill.href = location.href;
    list.before(pill);
  }
  pill.textContent = words("fresh", String(fresh.size));
  say(pill.textContent);
};

const reviewed = (told) => {
  const shown = rowOf(told);
  cardOf(told);
  if (told.new && !shown) { fresh.add(told.id); offer(); }
  if (told.said) fresh.delete(told.id);
  document.dispatchEvent(new CustomEvent("dojang:review", { detail: told }));
};

const beside = ({ who }) => { here = who.length ? words("also", who.join(", ")) : ""; tell(state); };

const open = () => {
  clearTimeout(timer);
  if (source || document.visibilityState === "hidden" || state === "over") return;
  const review = document.querySelector(".card:not(.sealed)")?.dataset.review ?? "";
  const query = new URLSearchParams();
  if (review) query.set("review", review);
  const talk = one("#talk");
  if (talk) query.set("thread", talk.dataset.thread);
  query.set("after", last || chip().dataset.after);
  source = new EventSource(`${chip().dataset.live}?${query}`);
  const on = (name, take) => source.addEventListener(name, (event) => {
    if (event.lastEventId) last = event.lastEventId;
    take(JSON.parse(event.data));
  });
  on("hello", () => { tries = 0; tell("good"); });
  on("counts", counted);
  on("review", reviewed);
  on("here", beside);
  on("thread", () => document.dispatchEvent(new CustomEvent("dojang:thread")));
  on("stale", () => { fresh.add("…"); offer(); });
  on("bye", () => { close(); tell("over"); });
  source.onerror = () => {
    close();
    tell("lost");
    timer = setTimeout(open, WAITS_MS[Math.min(tries++, WAITS_MS.length - 1)]);
  };
};
let last = "";

const close = () => { if (source) { source.close(); source = null; } };

// A page that nobody sees holds no connection: browsers have few of them.
const seen = () => { if (document.visibilityState === "hidden") close(); else open(); };

export const listen = () => {
  if (!chip()) return;
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", open);
  window.addEventListener("offline", () => { close(); tell("lost"); });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
};
