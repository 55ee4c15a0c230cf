// Files are sent one after the other, each with its own bar; one that is too large is told before a byte of it is sent.
const told = (row, text, bad) => { row.querySelector("span").textContent = text; row.classList.toggle("untrusted", Boolean(bad)); };

const line = (form, name) => {
  const row = document.createElement("li");
  const title = document.createElement("b");
  title.textContent = name;
  row.append(title, document.createElement("progress"), document.createElement("span"));
  form.querySelector(".sending").append(row);
  return row;
};

const send = (form, file, row) => new Promise((done) => {
  const body = new FormData();
  body.append("trust", form.elements.trust.value);
  body.append("file", file);
  const request = new XMLHttpRequest();
  const bar = row.querySelector("progress");
  request.upload.addEventListener("progress", (e) => { if (e.lengthComputable) { bar.max = e.total; bar.value = e.loaded; } });
  request.addEventListener("loadend", () => {
    const ok = request.status >= 200 && request.status < 300;
    bar.max = 1; bar.value = ok ? 1 : 0;
    told(row, ok ? form.dataset.sentLine : why(request, form), !ok);
    done(ok);
  });
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "text/html");
  request.send(body);
});

// The page that answers says it in its reader's language.
const why = (request, form) => {
  const page = new DOMParser().parseFromString(request.responseText || "", "text/html");
  const found = page.querySelector(".error li, .error");
  return found ? found.textContent.trim() : form.dataset.failed;
};

const sendAll = async (event) => {
  const form = event.target;
  if (!form.matches("[data-upload]")) return;
  event.preventDefault();
  event.stopPropagation();
  const button = form.querySelector("button");
  if (button.hasAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  form.querySelector(".sending").replaceChildren();
  let all = true;
  let any = false;
  for (const file of form.elements.file.files) {
    const row = line(form, file.name);
    if (file.size > Number(form.dataset.limit)) { row.querySelector("progress").remove(); told(row, form.dataset.large, true); all = false; continue; }
    const ok = await send(form, file, row);
    all = all && ok;
    any = any || ok;
  }
  button.removeAttribute("aria-disabled");
  if (all && any) location.assign("/uploads");
};

export const listen = () => document.addEventListener("submit", sendAll, true);
