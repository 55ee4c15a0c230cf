// The live part of a card: draws what Python says and tells it what was pressed. It decides nothing and knows no rule.

const HEARD_MS = 4000; // after which a press that nobody answered is told

function render({ model, el }) {
  let since = performance.now();
  let waits, unheard;
  el.classList.add("dojang");
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take letters that are typed in here for commands

  function draw() {
    const shown = model.get("shown");
    clearTimeout(unheard);
    clearTimeout(waits);
    el.lang = shown.lang;
    el.innerHTML = shown.markup; // made by a template that escapes every value
    if (shown.wait_ms > 0) waits = setTimeout(() => send("go_on"), shown.wait_ms);
  }

  function tell(text) {
    const news = el.querySelector(".news");
    if (news) news.textContent = text;
  }

  function send(press, form = {}) {
    const shown = model.get("shown");
    for (const button of el.querySelectorAll("button")) button.disabled = true; // a decision is pressed once
    tell(shown.sent);
    unheard = setTimeout(() => {
      tell(shown.unheard);
      for (const button of el.querySelectorAll("button")) button.disabled = false;
    }, HEARD_MS);
    model.send({ press, form, dwell_ms: Math.round(performance.now() - since) });
  }

  function submitted(event) {
    event.preventDefault();
    const { press, review, digest } = event.target.dataset;
    const form = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => typeof value === "string"));
    send(event.submitter?.name === "press" ? event.submitter.value : press, { ...form, review, digest });
  }

  el.addEventListener("submit", submitted);
  model.on("change:shown", draw);
  draw();
  model.send({ press: "look" }); // a page that is opened again shows what is true now
  return () => {
    clearTimeout(unheard);
    clearTimeout(waits);
    model.off("change:shown", draw);
    el.removeEventListener("submit", submitted);
  };
}

export default { render };
