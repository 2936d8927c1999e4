"use strict";
(() => {
  const rows = [...document.querySelectorAll(".row")];
  const list = document.getElementById("images");
  const button = (row) => row.querySelector(".open");

  function setOpen(row, open) {
    const report = row.querySelector(":scope > .sl-report");
    if (open && !report) {
      // Pictures are decoded only for images that are opened, and freed again when they are closed.
      row.append(row.querySelector("template").content.cloneNode(true));
    } else if (!open && report) {
      report.remove();
    }
    row.classList.toggle("is-open", open);
    button(row).setAttribute("aria-expanded", String(open));
  }

  const isOpen = (row) => row.classList.contains("is-open");
  const shown = () => [...list.children].filter((row) => !row.hidden);

  list.addEventListener("click", (event) => {
    const opener = event.target.closest(".open");
    if (opener) setOpen(opener.closest(".row"), !isOpen(opener.closest(".row")));
  });

  list.addEventListener("keydown", (event) => {
    const row = event.target.closest(".row");
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const visible = shown();
    const at = visible.indexOf(row);
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: visible.length - 1 }[event.key];
    if (target !== undefined && visible[target]) {
      event.preventDefault();
      button(visible[target]).focus();
    } else if (event.key === "Escape" && isOpen(row)) {
      setOpen(row, false);
      button(row).focus();
    }
  });

  const theme = document.getElementById("theme");
  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    theme.setAttribute("aria-pressed", String(name === "light"));
  }
  // A browser may forbid storage for files; the switch works all the same.
  const stored = (name) => {
    try {
      if (name) localStorage.setItem("semenet-theme", name);
      return localStorage.getItem("semenet-theme");
    } catch {
      return null;
    }
  };
  setTheme(stored() === "light" ? "light" : "dark");
  theme.addEventListener("click", () => {
    const name = document.documentElement.dataset.theme === "light" ? "dark" : "light";
    setTheme(name);
    stored(name);
  });

  const tools = document.getElementById("tools");
  if (tools) {
    const search = document.getElementById("search");
    const sort = document.getElementById("sort");
    const status = document.getElementById("status");
    const filters = [...tools.querySelectorAll("[data-filter]")];
    const names = new Intl.Collator(undefined, { numeric: true });
    const words = new Map(rows.map((row) => [row, row.querySelector(".head").textContent.toLowerCase()]));
    const orders = {
      order: (a, b) => a.dataset.order - b.dataset.order,
      name: (a, b) => names.compare(a.dataset.name, b.dataset.name),
      answer: (a, b) => names.compare(a.dataset.outcome, b.dataset.outcome)
        || names.compare(a.dataset.answer, b.dataset.answer),
      doubt: (a, b) => b.dataset.doubt - a.dataset.doubt,
    };
    let filter = "";

    const update = () => {
      const wanted = search.value.trim().toLowerCase();
      let count = 0;
      for (const row of rows) {
        const { outcome, answer } = row.dataset;
        const passes = !filter || filter === outcome || filter === `${outcome}:${answer}`;
        row.hidden = !(passes && words.get(row).includes(wanted));
        count += !row.hidden;
      }
      status.textContent = `${count} of ${rows.length} images shown.`;
      document.getElementById("nothing").hidden = count > 0;
    };
    filters.forEach((each) => each.addEventListener("click", () => {
      filter = each.dataset.filter;
      filters.forEach((other) => other.setAttribute("aria-pressed", String(other === each)));
      update();
    }));
    search.addEventListener("input", update);
    sort.addEventListener("change", () => {
      rows.sort((a, b) => orders[sort.value](a, b) || orders.order(a, b));
      list.append(...rows);
      status.textContent = `Sorted ${sort.selectedOptions[0].textContent}.`;
    });
    tools.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("open-all").addEventListener("click", () => shown().forEach((row) => setOpen(row, true)));
    document.getElementById("close-all").addEventListener("click", () => rows.forEach((row) => setOpen(row, false)));
  }

  const named = () => {
    const row = rows.find((each) => `#${each.id}` === location.hash);
    if (row) setOpen(row, true);
  };
  addEventListener("hashchange", named);
  named();
  if (rows.length === 1) setOpen(rows[0], true);
})();
