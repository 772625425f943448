// What a kind of picture reads from the JSON: places along x, and a column for each line; n is the look that is drawn.
const latest = (updates, update) => {
  let found = 0;
  updates.forEach((each, n) => { if (each <= update) found = n; });
  return found;
};
const bySteps = (series, names) => (site, n) => ({
  xs: series(site).axes[series(site).axis[n]],
  columns: names.map(([key, said]) => [said, series(site)[key][n]]),
});
const KINDS = {
  credit: { of: (s) => s.curve, read: bySteps((s) => s.curve, [["credit", "left"]]), x: (v) => `${count(v)} steps back` },
  gradients: { of: (s) => s.gradients, read: bySteps((s) => s.gradients, [["total", "total"], ["direct", "direct"]]), x: (v) => `step ${count(v)}` },
  causes: { of: (s) => s.causes, read: bySteps((s) => s.causes, CAUSES), x: (v) => `step ${count(v)}` },
  singular: { of: (s) => s.singular, read: bySteps((s) => s.singular, [["largest", "largest"], ["median", "median"], ["smallest", "smallest"]]), x: (v) => `step ${count(v)}` },
  saturation: {
    read: (s) => ({ xs: s.saturation.updates, columns: Object.entries(s.saturation.columns), percent: true }),
    x: (v) => `update ${count(v)}`,
  },
  loss: { read: () => training("loss"), x: (v) => `update ${count(v)}` },
  norms: { read: () => training("norm"), x: (v) => `update ${count(v)}` },
  // Several runs over each other: the numbers are the picture's own.
  overlay: { read: (s) => s, x: (v, s) => (s.x === "update" ? `update ${count(v)}` : `${count(v)} ${s.x}`) },
};
const training = (key) => {
  const rows = data.training;
  const columns = ["least", "mean", "largest"].map((said, n) => [said, rows.map((row) => row[key]?.[n] ?? null)]);
  if (key === "norm" && rows.some((row) => row.clip !== null)) columns.push(["clipped at", rows.map((row) => row.clip)]);
  return { xs: rows.map((row) => row.update), columns };
};

class Chart {
  constructor(figure, site) {
    this.figure = figure; this.site = site; this.kind = figure.dataset.kind;
    this.frame = figure.querySelector(".frame");
    this.together = [this]; // charts that zoom with this one
    this.readout = html("p", "", { class: "readout", role: "status" });
    this.cursor = null; this.place = 0;
    const title = figure.querySelector(".title").textContent;
    this.frame.tabIndex = 0;
    this.frame.setAttribute("role", "group");
    this.frame.setAttribute("aria-label", `${title}: arrow keys read numbers, plus and minus zoom, 0 shows all`);
    const tools = html("span", "", { class: "tools" });
    for (const [sign, said, factor] of [["+", "Zoom in", 0.5], ["−", "Zoom out", 2], ["↺", "Show all", 0]]) {
      const button = html("button", sign, { type: "button", "aria-label": `${said}: ${title}`, title: said });
      button.addEventListener("click", () => this.zoom(factor));
      tools.append(button);
    }
    figure.querySelector("figcaption").append(tools);
    this.frame.after(this.readout);
    const label = figure.querySelector(".xlabel");
    if (label) label.after(this.readout);
    this.prepare();
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("dblclick", () => this.zoom(0));
    figure.querySelector("details.numbers")?.addEventListener("toggle", () => this.table());
  }
  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) this.move(step, 0);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") { if (!this.upDown(event.key === "ArrowUp" ? 1 : -1)) return; }
    else if (event.key === "+" || event.key === "=") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else if (event.key === "0" || event.key === "Escape") this.zoom(0);
    else if (event.key === "Enter") this.pick();
    else return;
    event.preventDefault();
  }
  upDown() { return false; }
  pick() {}
  show() {}
  table() {}
  rows(rows) {
    const details = this.figure.querySelector("details.numbers");
    if (!details || !details.open) return;
    const body = details.querySelector("tbody");
    body.replaceChildren(...rows.map((row) => {
      const line = document.createElement("tr");
      line.append(...row.map((cell) => html("td", cell)));
      return line;
    }));
    details.querySelector(".quiet").textContent = ` of ${this.figure.querySelector(".title").textContent}`;
  }
  when(update) {
    const told = this.figure.querySelector(".when");
    if (told) told.textContent = `at update ${count(update)}`;
  }
}
