// Which site and which update is shown.
const chart = (figure, site) => {
  const kind = { heat: Heat, plane: Plane }[figure.dataset.kind] ?? Plot;
  return new kind(figure, site);
};

// The training's pictures share one axis, and so one view.
const whole = [...document.querySelectorAll(".training figure[data-kind]")].map((each) => chart(each, null));
for (const each of whole) each.together = whole;

// Pictures of several runs: those along updates zoom as one.
const overlays = [...document.querySelectorAll("figure[data-overlay]")].map((each) => chart(each, data.overlays[each.dataset.overlay]));
const along = overlays.filter((each) => each.site.x === "update");
for (const each of along) each.together = along;

// Sites other than the first stand in noscript, as text, until they are wanted: the page's own markup, parsed once.
const sections = [...document.querySelectorAll("section.site, noscript.later")];
const unfold = (n) => {
  const each = sections[n];
  if (each.localName !== "noscript") return;
  const parsed = new DOMParser().parseFromString(each.textContent, "text/html");
  sections[n] = document.adoptNode(parsed.querySelector("section.site"));
  sections[n].hidden = true;
  each.replaceWith(sections[n]);
};
const select = document.getElementById("choose-site"), slider = document.getElementById("choose-update");
const charts = new Map(), chosen = { site: -1, update: Infinity };

const looks = () => {
  const site = data.sites[chosen.site];
  const every = [site.curve, site.gradients, site.causes, site.plane, site.singular].flatMap((each) => each.updates);
  return [...new Set(every)].sort((a, b) => a - b);
};
const choose = (update) => {
  const updates = looks();
  if (!updates.length) return;
  const n = latest(updates, update);
  chosen.update = n === updates.length - 1 ? Infinity : updates[n];
  slider.max = updates.length - 1; slider.value = n; slider.disabled = updates.length < 2;
  slider.setAttribute("aria-valuetext", `update ${count(updates[n])}`);
  document.getElementById("chosen-update").textContent = count(updates[n]);
  for (const each of charts.get(chosen.site)) each.show(updates[n]);
};
const open = (n) => {
  if (n === chosen.site || !sections[n]) return;
  chosen.site = n;
  unfold(n);
  sections.forEach((each, k) => { each.hidden = k !== n; });
  document.querySelectorAll(".overview tbody a").forEach((each) => {
    if (each.getAttribute("href") === `#site-${n}`) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
  });
  select.value = String(n);
  if (!charts.has(n)) charts.set(n, [...sections[n].querySelectorAll("figure[data-kind]")].map((each) => chart(each, data.sites[n])));
  choose(chosen.update);
};
const follow = () => {
  const found = /^#site-(\d+)$/.exec(location.hash);
  if (!found) return false;
  open(Number(found[1]));
  sections[Number(found[1])]?.scrollIntoView();
  return true;
};
if (sections.length && select) {
  const controls = document.getElementById("controls");
  controls.hidden = false;
  controls.addEventListener("submit", (event) => event.preventDefault());
  select.addEventListener("change", () => open(Number(select.value)));
  slider.addEventListener("input", () => choose(looks()[Number(slider.value)]));
  document.getElementById("last-update").addEventListener("click", () => choose(Infinity));
  window.addEventListener("hashchange", follow);
  window.addEventListener("beforeprint", () => sections.forEach((_, n) => unfold(n)));
  if (!follow()) open(data.first);
}
