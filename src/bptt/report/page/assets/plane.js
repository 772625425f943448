// The map of credit: a column is an update. Up and down choose the lag, Enter or a click the update.
class Heat extends Plot {
  last() { return this.site.curve.updates.length - 1; }
  prepare() {
    super.prepare();
    this.picked = svg("line", { class: "picked", y1: 0, y2: SPAN, visibility: "hidden" });
    this.inner[0].append(this.picked);
    this.lag = 0;
  }
  get columns() { return this.site.curve.updates.length; }
  middle(n) { return (SPAN * (n + 0.5)) / this.columns; }
  point(here, up) {
    this.place = Math.min(Math.floor((here / SPAN) * this.columns), this.columns - 1);
    this.lag = up * this.y.high;
    this.tell();
  }
  move(step) {
    const hidden = this.mark.getAttribute("visibility") === "hidden";
    this.place = Math.min(Math.max(this.place + (hidden ? 0 : step), 0), this.columns - 1);
    this.tell();
  }
  upDown(step) {
    const axis = this.site.curve.axes[this.site.curve.axis[this.place]], n = this.near(axis);
    this.lag = axis[Math.min(Math.max(n + step, 0), axis.length - 1)];
    this.tell();
    return true;
  }
  near(axis) { return axis.reduce((best, lag, n) => (Math.abs(lag - this.lag) < Math.abs(axis[best] - this.lag) ? n : best), 0); }
  tell() {
    const curve = this.site.curve, axis = curve.axes[curve.axis[this.place]], n = this.near(axis), here = this.middle(this.place);
    this.mark.setAttribute("x1", here); this.mark.setAttribute("x2", here); this.mark.setAttribute("visibility", "visible");
    const left = curve.credit[this.place];
    this.readout.textContent = `update ${count(curve.updates[this.place])}, ${count(axis[n])} steps back: ${number(left ? left[n] : null)} left; horizon ${count(curve.horizon[this.place])}`;
  }
  pick() { if (this.mark.getAttribute("visibility") === "visible") choose(this.site.curve.updates[this.place]); }
  labels(view) {
    const first = Math.floor((view[0] / SPAN) * this.columns), last = Math.ceil((view[1] / SPAN) * this.columns) - 1;
    const n = Math.min(4, last - first + 1), found = [];
    for (let k = 0; k < n; k++) found.push(Math.round(first + (n < 2 ? 0 : (k * (last - first)) / (n - 1))));
    return found.map((k) => [this.middle(k), count(this.site.curve.updates[k])]);
  }
  show(update) {
    const here = this.middle(latest(this.site.curve.updates, update));
    this.picked.setAttribute("x1", here); this.picked.setAttribute("x2", here); this.picked.setAttribute("visibility", "visible");
  }
  table() { this.rows(this.site.curve.updates.map((update, n) => [count(update), count(this.site.curve.horizon[n])])); }
}

// Eigenvalues: zooming moves the edge of the plane, and every mark is drawn anew so that it keeps its size.
class Plane extends Chart {
  prepare() {
    this.plane = this.frame.querySelector("svg.plane");
    this.whole = this.extent = Number(this.plane.dataset.extent);
    this.n = this.site.plane.updates.length - 1;
    this.mark = svg("circle", { class: "cursor", r: 24, visibility: "hidden" });
    this.plane.append(this.mark);
    this.frame.addEventListener("pointermove", (event) => this.point(event));
    this.frame.addEventListener("pointerdown", (event) => this.point(event));
  }
  get points() {
    return Object.entries(this.site.plane.gates[this.n]).flatMap(([gate, each]) => each.re.map((re, k) => [gate, re, each.im[k]]));
  }
  at(re, im) { return [(SPAN / 2) * (1 + re / this.extent), (SPAN / 2) * (1 - im / this.extent)]; }
  point(event) {
    const inverse = this.plane.getScreenCTM()?.inverse();
    if (!inverse) return;
    const here = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
    let best = -1, least = Infinity;
    this.points.forEach(([, re, im], n) => {
      const [x, y] = this.at(re, im), far = (x - here.x) ** 2 + (y - here.y) ** 2;
      if (far < least) { least = far; best = n; }
    });
    if (best >= 0) { this.place = best; this.tell(); }
  }
  move(step) {
    if (!this.points.length) return;
    const hidden = this.mark.getAttribute("visibility") === "hidden";
    this.place = Math.min(Math.max(this.place + (hidden ? 0 : step), 0), this.points.length - 1);
    this.tell();
  }
  tell() {
    const [gate, re, im] = this.points[Math.min(this.place, this.points.length - 1)], [x, y] = this.at(re, im);
    this.mark.setAttribute("cx", x); this.mark.setAttribute("cy", y); this.mark.setAttribute("visibility", "visible");
    this.readout.textContent = `${gate}: ${number(re)} ${im < 0 ? "−" : "+"} ${number(Math.abs(im))}i, size ${number(Math.hypot(re, im))}`;
  }
  zoom(factor) {
    this.extent = factor === 0 ? this.whole : Math.min(Math.max(this.extent * factor, this.whole / 64), this.whole);
    this.redraw();
  }
  redraw() {
    this.plane.querySelector(".unit").setAttribute("r", short(SPAN / 2 / this.extent));
    const marks = this.plane.querySelectorAll(".m");
    Object.values(this.site.plane.gates[this.n]).forEach((each, n) => {
      marks[n]?.setAttribute("d", each.re.map((re, k) => SHAPES[n % 4](...this.at(re, each.im[k]))).join(""));
    });
    if (this.mark.getAttribute("visibility") === "visible") this.tell();
  }
  show(update) {
    this.n = latest(this.site.plane.updates, update);
    this.when(this.site.plane.updates[this.n]);
    const told = this.figure.querySelectorAll(".legend span");
    Object.values(this.site.plane.gates[this.n]).forEach((each, n) => {
      if (told[n]) told[n].textContent = told[n].textContent.replace(/radius .*$/, `radius ${number(each.radius)}`);
    });
    this.redraw(); this.table();
  }
  table() { this.rows(this.points.map(([gate, re, im]) => [gate, number(re), number(im)])); }
}
