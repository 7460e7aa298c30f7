"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  const theme = document.querySelector("button.theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; });

  // A cell without a number goes to the end, whichever way the column is sorted.
  const compare = (column, number, down) => (one, other) => {
    const [a, b] = [one, other].map((line) => line.cells[column]);
    if (!number) return (down ? -1 : 1) * a.textContent.trim().localeCompare(b.textContent.trim());
    const [x, y] = [a, b].map((cell) => cell.dataset.value === "" ? NaN : Number(cell.dataset.value));
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
    return down ? y - x : x - y;
  };

  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    const body = table.tBodies[0];
    heads.forEach((head, column) => {
      const number = head.classList.contains("number");
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const down = now === "none" ? head.dataset.better === "higher" : now === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        body.append(...[...body.rows].sort(compare(column, number, down)));
      });
    });
  }

  for (const tools of all(".tools[data-table]")) {
    tools.hidden = false;
    const table = document.getElementById(tools.dataset.table);
    const search = tools.querySelector("input[type=search]");
    const boxes = all("input[type=checkbox]", tools);
    const count = tools.querySelector("output");
    const show = () => {
      const roles = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      const wanted = search.value.trim().toLowerCase();
      let shown = 0;
      for (const line of table.tBodies[0].rows) {
        line.hidden = !(roles.has(line.dataset.role) && line.dataset.name.toLowerCase().includes(wanted));
        shown += !line.hidden;
      }
      count.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
    };
    [search, ...boxes].forEach((control) => control.addEventListener("input", show));
    show();
  }

  for (const select of all("select.metric")) {
    const charts = all(".scatter", select.closest("section"));
    const show = () => charts.forEach((chart, place) => { chart.hidden = place !== select.selectedIndex; });
    select.closest(".tools").hidden = false;
    select.addEventListener("input", show);
    show();
  }

  // What is folded on a screen is all there on paper.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));

  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
})();
