// The list of images: opened, filtered, sorted, and walked through by the keyboard. Light and dark.
const byId = (id) => document.getElementById(id);
const list = byId("images");
const tools = byId("tools");
const rows = () => [...list.children];
const shown = () => rows().filter((row) => !row.hidden);
const opener = (row) => row.querySelector(".open");
const isOpen = (row) => row.classList.contains("is-open");

function setOpen(row, open) {
  const report = row.querySelector(":scope > .sl-report");
  const template = row.querySelector("template");
  if (open && !report && template) {
    // Pictures are decoded only for images that are opened, and freed again when they are closed.
    const content = template.content.cloneNode(true);
    prepareReport(content);
    row.append(content);
  } else if (!open && report) {
    report.remove();
  }
  row.classList.toggle("is-open", open && Boolean(template));
  opener(row).setAttribute("aria-expanded", String(isOpen(row)));
}

list.addEventListener("click", (event) => {
  const clicked = event.target.closest(".open");
  if (clicked) setOpen(clicked.closest(".row"), !isOpen(clicked.closest(".row")));
});

list.addEventListener("keydown", (event) => {
  const row = event.target.closest(".row");
  if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape" && isOpen(row)) {
    setOpen(row, false);
    opener(row).focus();
    return;
  }
  // Sliders and menus of an open image have the arrow keys to themselves.
  if (event.target !== opener(row)) return;
  const visible = shown();
  const at = visible.indexOf(row);
  const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: visible.length - 1 }[event.key];
  if (target !== undefined && visible[target]) {
    event.preventDefault();
    opener(visible[target]).focus();
  }
});

const theme = byId("theme");
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  theme.setAttribute("aria-pressed", String(name === "light"));
}
// A browser may forbid storage for files; the switch works all the same.
const storedTheme = (name) => {
  try {
    if (name) localStorage.setItem("semenet-theme", name);
    return localStorage.getItem("semenet-theme");
  } catch {
    return null;
  }
};
setTheme(storedTheme() === "light" ? "light" : "dark");
theme.addEventListener("click", () => {
  const name = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  setTheme(name);
  storedTheme(name);
});

const search = byId("search");
const sort = byId("sort");
const status = byId("status");
const names = new Intl.Collator(undefined, { numeric: true });
const orders = {
  order: (a, b) => a.dataset.order - b.dataset.order,
  name: (a, b) => names.compare(a.dataset.name, b.dataset.name),
  answer: (a, b) => names.compare(a.dataset.outcome, b.dataset.outcome)
    || names.compare(a.dataset.answer, b.dataset.answer),
  doubt: (a, b) => b.dataset.doubt - a.dataset.doubt,
};
const outcomeOrder = ["answer", "abstain", "rejected", "error"];
let filter = "";

// Answers are told apart by their class, other outcomes only by their kind.
const kind = (row) => (row.dataset.outcome === "answer" ? `answer:${row.dataset.answer}` : row.dataset.outcome);

function filterButton(value, row, count) {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.filter = value;
  made.setAttribute("aria-pressed", String(value === filter));
  if (row) {
    const sign = row.querySelector(".badge [aria-hidden]").cloneNode(true);
    sign.className = `sl-${row.dataset.outcome}-sign`;
    made.append(sign, ` ${row.querySelector(".badge .result").textContent.trim()} `);
  } else {
    made.append("All ");
  }
  const number = document.createElement("span");
  number.className = "count";
  number.textContent = count;
  made.append(number);
  return made;
}

function makeFilters() {
  const counted = new Map();
  for (const row of rows().filter((each) => each.dataset.outcome !== "waiting")) {
    const [first, count] = counted.get(kind(row)) ?? [row, 0];
    counted.set(kind(row), [first, count + 1]);
  }
  if (filter && !counted.has(filter)) filter = "";
  const place = ([first]) => outcomeOrder.indexOf(first.dataset.outcome);
  const kinds = [...counted].sort(([one, a], [other, b]) => place(a) - place(b) || names.compare(one, other));
  const focused = document.activeElement?.dataset?.filter;
  byId("filters").replaceChildren(
    filterButton("", null, rows().length),
    ...kinds.map(([value, [row, count]]) => filterButton(value, row, count)),
  );
  if (focused !== undefined) byId("filters").querySelector(`[data-filter="${CSS.escape(focused)}"]`)?.focus();
}

function updateShown() {
  const wanted = search.value.trim().toLowerCase();
  let count = 0;
  for (const row of rows()) {
    const words = row.querySelector(".head").textContent.toLowerCase();
    row.hidden = !((!filter || kind(row) === filter) && words.includes(wanted));
    count += !row.hidden;
  }
  byId("nothing").hidden = count > 0 || rows().length === 0;
  return count;
}

const sayShown = () => { status.textContent = `${updateShown()} of ${rows().length} images shown.`; };

function sortRows() {
  list.append(...rows().sort((a, b) => orders[sort.value](a, b) || orders.order(a, b)));
}

byId("filters").addEventListener("click", (event) => {
  const clicked = event.target.closest("[data-filter]");
  if (!clicked) return;
  filter = clicked.dataset.filter;
  byId("filters").querySelectorAll("button").forEach((each) => {
    each.setAttribute("aria-pressed", String(each === clicked));
  });
  sayShown();
});
search.addEventListener("input", sayShown);
sort.addEventListener("change", () => {
  sortRows();
  status.textContent = `Sorted ${sort.selectedOptions[0].textContent}.`;
});
tools.addEventListener("submit", (event) => event.preventDefault());
byId("open-all").addEventListener("click", () => shown().forEach((row) => setOpen(row, true)));
byId("close-all").addEventListener("click", () => rows().forEach((row) => setOpen(row, false)));
