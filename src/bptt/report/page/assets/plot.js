// Anything along an axis: lines, bands, bars and the map. The view is a part of the inner coordinates.
class Plot extends Chart {
  prepare() {
    this.plot = this.frame.querySelector("svg.plot, svg.ruler");
    this.x = axis(this.plot.dataset.x); this.y = axis(this.plot.dataset.y);
    this.inner = [...this.frame.querySelectorAll("svg.in")];
    this.view = [0, SPAN];
    this.marks = [...this.frame.querySelectorAll(".mark-at")];
    this.n = this.last();
    this.mark = svg("line", { class: "cursor", y1: 0, y2: SPAN, visibility: "hidden" });
    this.brush = svg("rect", { class: "brush", y: 0, height: SPAN, visibility: "hidden" });
    this.inner[0].append(this.brush, this.mark);
    if (this.kind === "lanes") this.readout.remove();
    this.pointer();
  }
  last() { const of = KINDS[this.kind]?.of; return of ? of(this.site).updates.length - 1 : 0; }
  read() { return KINDS[this.kind].read(this.site, this.n); }
  inView(event) {
    const box = this.plot.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    const up = Math.min(Math.max(1 - (event.clientY - box.top) / box.height, 0), 1);
    return [this.view[0] + share * (this.view[1] - this.view[0]), up];
  }
  pointer() {
    let from = null;
    this.frame.addEventListener("pointermove", (event) => {
      const [here, up] = this.inView(event);
      if (from === null) return this.point(here, up);
      this.brush.setAttribute("x", Math.min(from, here)); this.brush.setAttribute("width", Math.abs(here - from));
      this.brush.setAttribute("visibility", "visible");
    });
    this.frame.addEventListener("pointerdown", (event) => {
      const [here, up] = this.inView(event);
      if (event.pointerType === "touch") return this.point(here, up);
      if (event.button === 0) { from = here; this.frame.setPointerCapture(event.pointerId); }
    });
    const end = (event) => {
      if (from === null) return;
      const start = from, [here] = this.inView(event);
      from = null;
      this.brush.setAttribute("visibility", "hidden");
      if (event.type === "pointercancel") return;
      if (Math.abs(here - start) > (this.view[1] - this.view[0]) * 0.03) this.look(Math.min(start, here), Math.max(start, here));
      else this.pick();
    };
    this.frame.addEventListener("pointerup", end);
    this.frame.addEventListener("pointercancel", end);
  }
  point(here, up) {
    if (this.kind === "lanes") return;
    const xs = this.read().xs;
    let best = 0;
    xs.forEach((x, n) => { if (Math.abs(at(this.x, x) - here) < Math.abs(at(this.x, xs[best]) - here)) best = n; });
    this.place = best; this.tell();
  }
  move(step) {
    if (this.kind === "lanes") return;
    const xs = this.read().xs, hidden = this.mark.getAttribute("visibility") === "hidden";
    this.place = Math.min(Math.max(this.place + (hidden ? 0 : step), 0), xs.length - 1);
    const here = at(this.x, xs[this.place]), width = this.view[1] - this.view[0];
    if (here < this.view[0] || here > this.view[1]) this.look(Math.max(0, Math.min(here - width / 2, SPAN - width)), null);
    this.tell();
  }
  tell() {
    const { xs, columns, percent } = this.read();
    this.place = Math.min(this.place, xs.length - 1);
    const x = xs[this.place], here = at(this.x, x);
    this.mark.setAttribute("x1", here); this.mark.setAttribute("x2", here); this.mark.setAttribute("visibility", "visible");
    const said = columns.filter(([, values]) => values).map(([name, values]) => {
      const value = values[this.place];
      return `${name} ${percent && value !== null ? `${number(100 * value)} %` : number(value)}`;
    });
    this.readout.textContent = `${KINDS[this.kind].x(x, this.site)}: ${said.join(", ")}`;
  }
  zoom(factor) {
    if (factor === 0) return this.look(0, SPAN);
    const width = Math.min(this.view[1] - this.view[0], SPAN) * factor;
    const cursor = this.mark.getAttribute("visibility") === "visible" ? Number(this.mark.getAttribute("x1")) : null;
    const seen = cursor !== null && cursor >= this.view[0] && cursor <= this.view[1];
    const middle = seen ? cursor : (this.view[0] + this.view[1]) / 2;
    this.look(middle - width / 2, middle + width / 2);
  }
  look(low, high) {
    let width = high === null ? this.view[1] - this.view[0] : high - low;
    width = Math.min(Math.max(width, 1), SPAN);
    const start = Math.min(Math.max(low, 0), SPAN - width);
    for (const each of this.together) each.draw([start, start + width]);
  }
  draw(view) {
    this.view = view;
    const width = view[1] - view[0];
    for (const each of this.inner) each.setAttribute("viewBox", `${view[0]} 0 ${width} ${SPAN}`);
    for (const each of this.marks) {
      const place = (Number(each.dataset.at) - view[0]) / width;
      each.setAttribute("x", `${100 * place}%`);
      each.setAttribute("visibility", place < -0.001 || place > 1.001 ? "hidden" : "visible");
    }
    const group = this.frame.querySelector("g.across");
    group.replaceChildren(...this.labels(view).map(([place, said]) => {
      const text = svg("text", { class: "x", x: `${(100 * (place - view[0])) / width}%`, ...(this.kind === "lanes" ? { y: 12 } : { y: "100%", dy: 16 }) });
      text.textContent = said;
      return text;
    }));
  }
  labels(view) {
    const value = (place) => this.x.low + (place / SPAN) * (this.x.high - this.x.low);
    return ticks(value(view[0]), value(view[1]), 4).filter(Number.isInteger).map((each) => [at(this.x, each), count(each)]);
  }
  // The look at `update`, or the nearest one before it.
  show(update) {
    const of = KINDS[this.kind]?.of;
    if (!of || !of(this.site).updates.length) return;
    this.n = latest(of(this.site).updates, update);
    this.when(of(this.site).updates[this.n]);
    const { xs, columns } = this.read(), inner = this.inner[0];
    if (this.kind === "causes") this.stack(xs, columns, inner);
    else {
      const styles = this.kind === "credit" ? [".now"] : this.kind === "gradients" ? [".s0", ".s3"] : [".s0", ".s1", ".s3"];
      const direct = columns[1]?.[1];
      if (this.kind === "gradients") inner.querySelector(".dot").setAttribute("d", direct ? dots(xs.map((x, k) => [x, direct[k]]), this.x, this.y) : "");
      styles.forEach((style, n) => {
        const values = columns[n][1];
        inner.querySelector(style).setAttribute("d", values ? line(xs.map((x, k) => [x, values[k]]), this.x, this.y) : "");
      });
    }
    if (this.mark.getAttribute("visibility") === "visible") this.tell();
    this.table();
  }
  stack(xs, columns, inner) {
    const known = columns.map(([, values], n) => [CAUSES[n][0], values]).filter(([, values]) => values);
    inner.querySelectorAll(".area").forEach((each) => each.remove());
    const paths = stacked(xs, known.map(([, values]) => values), this.x, this.y);
    inner.prepend(...paths.map((d, n) => svg("path", { class: `area c${known[n][0]}`, d })));
    for (const [key, values] of known) {
      const told = this.figure.querySelector(`.legend .c${key}`)?.closest("li").querySelector("span");
      const kept = values.filter((v) => v !== null), name = CAUSES.find((each) => each[0] === key)[2];
      if (told && kept.length) told.textContent = `${name}, ×${number(Math.exp(kept.reduce((a, b) => a + b) / kept.length))} a step`;
    }
  }
  table() {
    if (this.kind === "lanes") return;
    const { xs, columns, percent } = this.read();
    const shown = columns.filter(([, values]) => values || percent === undefined);
    const width = this.figure.querySelectorAll("details.numbers th").length - 1;
    const used = this.kind === "causes" ? columns.filter((_, n) => this.site.causes[CAUSES[n][0]].some((row) => row)) : shown;
    this.rows(xs.map((x, k) => [count(x), ...used.slice(0, width).map(([, values]) => number(values ? values[k] : null))]));
  }
}
