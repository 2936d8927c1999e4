// The page of `semenet serve`: sends images to the server, and lists what it answers.
const PARALLEL = 2;
const BUSY = 503;
const MOST_TRIES = 60;
const queue = [];
const results = new Map();
let token = "";
let running = 0;
let added = 0;
let longest = Infinity;
// Whether files wait until the token is known.
let asking = true;

const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});
const pause = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });

function say(problem) {
  byId("problem").textContent = problem;
  byId("problem").hidden = !problem;
}

async function errorText(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `The server answered with status ${answer.status}.`;
  }
}

async function connect() {
  let answer;
  try {
    answer = await fetch("look", { headers: headers() });
  } catch {
    say("The server does not answer. Start it again, then reload this page.");
    return;
  }
  const mustAsk = answer.status === 401;
  asking = mustAsk;
  byId("token-form").hidden = !mustAsk;
  if (mustAsk) {
    byId("reader").textContent = "";
    say(token ? "This is not the server's token." : "");
    token = "";
    byId("token").focus();
    return;
  }
  if (!answer.ok) {
    byId("reader").textContent = "";
    say(await errorText(answer));
    return;
  }
  say("");
  const described = await answer.json();
  longest = described.max_request_bytes;
  byId("reader").innerHTML = described.html.reader;
  byId("limits").innerHTML = described.html.limits;
  byId("drop").hidden = false;
  work();
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  byId("token").value = "";
  connect();
});

function copyOf(name, file) {
  const row = byId(name).content.querySelector(".row").cloneNode(true);
  row.dataset.name = file.name;
  opener(row).textContent = file.name;
  return row;
}

function add(files) {
  say("");
  for (const file of files) {
    added += 1;
    const row = copyOf("waiting-row", file);
    row.dataset.order = added;
    row.id = `image-${added}`;
    opener(row).disabled = true;
    row.setAttribute("aria-busy", "true");
    if (/^image\/(png|jpeg)$/.test(file.type)) {
      const image = row.querySelector(".thumb").appendChild(new Image());
      image.alt = "";
      image.src = URL.createObjectURL(file);
      image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
    }
    list.append(row);
    queue.push({ file, row, tries: 0 });
  }
  work();
  sayProgress();
}

function work() {
  while (!asking && running < PARALLEL && queue.length) {
    running += 1;
    const item = queue.shift();
    read(item).finally(() => {
      running -= 1;
      work();
    });
  }
}

async function read(item) {
  // Removed while it waited.
  if (!item.row.isConnected) return;
  if (item.file.size > longest) {
    fail(item, `It has ${item.file.size.toLocaleString("en")} bytes, and the server takes at most ${longest.toLocaleString("en")}. Raise --max-request-bytes, or save it smaller.`);
    return;
  }
  let answer;
  try {
    answer = await fetch(`look?page=1&name=${encodeURIComponent(item.file.name)}`, {
      method: "POST", body: item.file, headers: headers(),
    });
  } catch {
    fail(item, "It could not be sent: it may be a folder, it may have changed, or the server has ended.");
    return;
  }
  if (answer.status === BUSY && item.tries < MOST_TRIES) {
    item.tries += 1;
    await pause(Number(answer.headers.get("Retry-After")) || 1);
    await read(item);
  } else if (answer.status === 401) {
    queue.unshift(item);
    await connect();
  } else if (!answer.ok) {
    fail(item, await errorText(answer));
  } else {
    finish(item, await answer.json());
  }
}

function finish(item, { html, pictures, ...report }) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const row = holder.content.querySelector(".row");
  const setAddresses = (part) => part.querySelectorAll("img").forEach((image) => {
    const picture = pictures[image.getAttribute("src")];
    image.src = `data:${picture.type};base64,${picture.b64}`;
  });
  setAddresses(row);
  setAddresses(row.querySelector("template").content);
  results.set(replace(item, row), report);
  afterResult(row);
}

function fail(item, words) {
  const row = copyOf("failed-row", item.file);
  row.querySelector(".why").textContent = words;
  row.querySelector("template").content.querySelector(".sl-headline ~ p + p").textContent = words;
  const sentences = [row.querySelector("template").content.querySelector(".sl-headline ~ p").textContent, words];
  results.set(replace(item, row), { file: item.file.name, outcome: "error", predicted: "error", sentences });
  afterResult(row);
}

function replace(item, row) {
  row.id = item.row.id;
  row.dataset.order = item.row.dataset.order;
  item.row.replaceWith(row);
  return row;
}

function afterResult(row) {
  if (added === 1) setOpen(row, true);
  if (sort.value !== "order") sortRows();
  makeFilters();
  updateShown();
  sayProgress();
}

function sayProgress() {
  const count = rows().length;
  const ready = rows().filter((row) => row.dataset.outcome !== "waiting").length;
  byId("progress").hidden = count === 0;
  tools.hidden = count < 2;
  byId("drop").classList.toggle("is-small", count > 0);
  byId("download").disabled = ready === 0;
  status.textContent = `${ready} of ${count} ${count === 1 ? "image" : "images"} read.`;
}

byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = "";
});
// Anywhere on the page: a file that misses the frame would replace the page.
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("is-over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("is-over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("is-over");
  if (!byId("drop").hidden) add([...event.dataTransfer.files]);
});

byId("download").addEventListener("click", () => {
  const found = rows().filter((row) => results.has(row)).map((row) => results.get(row));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(found, null, 2)], { type: "application/json" }));
  link.download = "semenet-findings.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 0);
});
byId("clear").addEventListener("click", () => {
  queue.length = 0;
  results.clear();
  list.replaceChildren();
  added = 0;
  makeFilters();
  updateShown();
  sayProgress();
  byId("choose").focus();
});
connect();
