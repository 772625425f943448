// Numbers, axes and paths: the arithmetic of the pictures, as Python does it.
// Names and numbers come from the JSON beside it and enter the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const SPAN = 1000, SVG = "http://www.w3.org/2000/svg";
const CAUSES = [["weight", "weights", "recurrent weights"], ["slope", "slope", "slope of the activation"], ["gates", "gates", "gates"]];

// Numbers, written as Python wrote them: four significant digits, which is what the JSON holds.
const number = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const v = Number(value.toPrecision(4)), size = Math.abs(v);
  if (v === 0 || (size >= 1e-3 && size < 1e5)) return String(v);
  const [mantissa, exponent] = v.toExponential(3).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`;
};
const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en-US"));

// Axes and paths: the arithmetic of the pictures, once more.
const axis = (text) => {
  const [low, high, kind] = text.split(" ");
  return { low: Number(low), high: Number(high), log: kind === "log" };
};
const at = (a, value) => {
  if (value === null || value === undefined || (a.log && value <= 0)) return null;
  if (!a.log) return (SPAN / (a.high - a.low)) * (value - a.low);
  const low = Math.log10(a.low);
  return (SPAN / (Math.log10(a.high) - low)) * (Math.log10(value) - low);
};
const short = (place) => String(Math.floor(Math.min(Math.max(place, -9000), 9000) * 10 + 0.5) / 10);
const line = (points, x, y) => {
  let path = "", pen = "M";
  for (const [a, b] of points) {
    const across = at(x, a), up = at(y, b);
    if (across === null || up === null) { pen = "M"; continue; }
    path += `${pen}${short(across)} ${short(SPAN - up)}`;
    pen = "L";
  }
  return path;
};
const dots = (points, x, y) => {
  const places = points.map(([a, b]) => [at(x, a), at(y, b)]), known = (n) => places[n] && !places[n].includes(null);
  return places.map(([across, up], n) => (known(n) && !known(n - 1) && !known(n + 1) ? `M${short(across)} ${short(SPAN - up)}h0` : "")).join("");
};
const stacked = (xs, columns, x, y) => {
  const middles = xs.slice(1).map((v, n) => (xs[n] + v) / 2);
  const edges = xs.length < 2 ? [[xs[0], xs[0] + 1]]
    : xs.map((v, n) => [n ? middles[n - 1] : xs[0], n < middles.length ? middles[n] : xs[n]]);
  const ups = xs.map(() => 0), downs = xs.map(() => 0);
  return columns.map((column) => {
    let path = "";
    column.forEach((value, n) => {
      if (value === null) return;
      const side = value >= 0 ? ups : downs, start = side[n];
      side[n] += value;
      const base = short(SPAN - at(y, start));
      path += `M${short(at(x, edges[n][0]))} ${base}V${short(SPAN - at(y, side[n]))}H${short(at(x, edges[n][1]))}V${base}Z`;
    });
    return path;
  });
};
const SHAPES = [
  (x, y) => `M${short(x - 13)} ${short(y)}a13 13 0 1 0 26 0a13 13 0 1 0 -26 0`,
  (x, y) => `M${short(x - 13)} ${short(y - 13)}h26v26h-26z`,
  (x, y) => `M${short(x)} ${short(y - 13)}l13 26h-26z`,
  (x, y) => `M${short(x - 13)} ${short(y - 13)}l26 26m0 -26l-26 26`,
];
const ticks = (low, high, n) => {
  const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((each) => each >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) found.push(Number((k * step).toPrecision(12)));
  return found.length > 1 || n > 64 ? found : ticks(low, high, 2 * n);
};

const svg = (name, attributes) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const html = (name, text, attributes = {}) => {
  const element = document.createElement(name);
  element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
