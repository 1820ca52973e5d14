"use strict";
const $ = (id) => document.getElementById(id);
const VERDICTS = { match: ["✓", "Match"], unsure: ["?", "Unsure"], no_match: ["✕", "No match"] };
// Longer photos are made smaller before they are sent: the network looks at far fewer pixels.
const LONGEST = 2048, LARGE = 2 << 20;
let photo = null, asked = 0, shown = null;

function element(tag, fields = {}, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

async function about() {
  const index = await (await fetch("/try/about")).json();
  const size = index.bytes < 1e6 ? `${Math.ceil(index.bytes / 1e3)} kB` : `${(index.bytes / 1e6).toFixed(1)} MB`;
  $("about").textContent = `${index.items.toLocaleString()} items · ${index.dim} numbers each · ${size} · ${index.model}`;
  $("field").append(...index.columns.map(({ name }) => element("option", { value: name, textContent: name })));
  if (!index.columns.length) $("field").append(element("option", { value: "", textContent: "no fields" }));
}

// A photo as the server can read it, and not larger than it needs to be.
async function prepared(file) {
  const known = ["image/jpeg", "image/png", "image/webp"].includes(file.type);
  if (known && file.size <= LARGE) return file;
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
    const canvas = element("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob((blob) => done(blob ?? file), "image/jpeg", 0.92));
  } catch {
    return file;
  }
}

async function take(file) {
  if (!file) return;
  photo = await prepared(file);
  if ($("photo").src) URL.revokeObjectURL($("photo").src);
  $("photo").src = URL.createObjectURL(photo);
  $("stage").hidden = false;
  $("invite").hidden = true;
  $("drop").classList.add("full");
  search();
}

async function search() {
  if (!photo) return;
  const mine = ++asked;
  clearAnswer();
  $("status").replaceChildren(element("p", { className: "hint busy", textContent: "Searching…" }));
  const url = new URL("/try/search", location);
  url.searchParams.set("k", "12");
  if ($("filter").value.trim()) url.searchParams.set("filter", $("filter").value);
  const start = performance.now();
  let answer;
  try {
    const reply = await fetch(url, { method: "POST", body: photo, headers: { "Content-Type": photo.type || "application/octet-stream" } });
    answer = await reply.json();
    if (!reply.ok) throw new Error(answer.detail || answer.title);
  } catch (error) {
    if (mine === asked) $("status").replaceChildren(element("p", { className: "error", textContent: error.message || "The server does not answer." }));
    return;
  }
  // A newer photo may have been asked about meanwhile.
  if (mine === asked) show(answer, performance.now() - start);
}

function clearAnswer() {
  $("hits").replaceChildren();
  $("verdict").hidden = $("times").hidden = true;
  shown = null;
  draw();
}

function show(answer, roundTrip) {
  const [icon, word] = VERDICTS[answer.verdict];
  const count = answer.hits.length;
  $("status").replaceChildren();
  $("verdict").className = `verdict ${answer.verdict}`;
  $("verdict").replaceChildren(
    element("strong", { textContent: `${icon} ${word}` }),
    element("span", { textContent: count ? `${Math.round(100 * answer.confidence)} % sure of the first hit` : "nothing was found" }));
  $("verdict").hidden = false;
  $("status").append(element("p", { className: "hint", textContent: count ? `${count} hits; press one to see where the photo is like it.` : "No item is left by the filter." }));
  $("hits").append(...answer.hits.map((hit, at) => element("li", {}, card(hit, at))));
  times(answer.ms, roundTrip);
  if (count) select($("hits").querySelector(".hit"), answer.hits[0]);
}

function card(hit, at) {
  const blank = () => element("span", { className: "blank", textContent: "no picture" });
  let picture = blank();
  if (hit.picture) {
    picture = element("img", { alt: "", loading: "lazy", src: `/try/picture?key=${encodeURIComponent(hit.key)}` });
    picture.onerror = () => picture.replaceWith(blank());
  }
  const facts = Object.entries(hit.payload ?? {}).filter(([name]) => !["image", "title", "name"].includes(name));
  if (hit.group !== hit.key) facts.unshift(["group", hit.group]);
  const list = element("dl");
  for (const [name, value] of facts.slice(0, 6)) {
    list.append(element("dt", { textContent: name }), element("dd", { textContent: typeof value === "string" ? value : JSON.stringify(value) }));
  }
  const meter = element("meter", { min: 0, max: 1, value: Math.max(0, hit.score) });
  meter.setAttribute("aria-hidden", "true");
  const made = element("button", { type: "button", className: "hit" }, picture,
    element("h3", { textContent: hit.title }),
    element("p", { className: "score" }, meter, element("span", { textContent: hit.score.toFixed(3) })), list);
  made.setAttribute("aria-pressed", "false");
  made.setAttribute("aria-label", `${at + 1}: ${hit.title}, score ${hit.score.toFixed(3)}`);
  made.onclick = () => select(made, hit);
  return made;
}

function select(button, hit) {
  const again = button.getAttribute("aria-pressed") === "true";
  for (const other of document.querySelectorAll(".hit")) other.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", String(!again));
  shown = again ? null : hit.heat;
  draw();
}

const COLOURS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

function colour(warmth) {
  const at = warmth * (COLOURS.length - 1), first = Math.min(Math.floor(at), COLOURS.length - 2), share = at - first;
  return COLOURS[first].map((value, c) => value * (1 - share) + COLOURS[first + 1][c] * share);
}

// The heat map over the photo: dim where it is cold, coloured where it is warm.
function draw() {
  const canvas = $("heat"), image = $("photo");
  canvas.width = image.clientWidth;
  canvas.height = image.clientHeight;
  canvas.dataset.shown = String(Boolean(shown));
  if (!shown || !canvas.width) return;
  const cells = element("canvas", { width: shown.width, height: shown.height });
  const pixels = cells.getContext("2d").createImageData(shown.width, shown.height);
  shown.warmth.forEach((value, at) => {
    const warmth = value / 255;
    pixels.data.set([...colour(warmth), 255 * (0.5 - 0.05 * warmth)], 4 * at);
  });
  cells.getContext("2d").putImageData(pixels, 0, 0);
  const over = canvas.getContext("2d");
  over.imageSmoothingQuality = "high";
  over.drawImage(cells, 0, 0, canvas.width, canvas.height);
}

function times(ms, roundTrip) {
  const stages = ms.filter(([stage]) => stage !== "total");
  const [, total] = ms.find(([stage]) => stage === "total");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 1");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  let x = 0;
  stages.forEach(([, time], at) => {
    const part = document.createElementNS(svg.namespaceURI, "rect");
    const width = 100 * time / Math.max(total, 0.001);
    for (const [name, value] of Object.entries({ x, y: 0, width, height: 1, class: `stage${at}` })) part.setAttribute(name, value);
    svg.append(part);
    x += width;
  });
  const line = (name, time, at) => element("li", {},
    ...(at === undefined ? [] : [element("span", { className: `stage${at}`, textContent: "■ " })]),
    `${name} `, element("b", { textContent: time.toFixed(1) }), " ms");
  $("times").replaceChildren(svg, element("ul", {},
    ...stages.map(([stage, time], at) => line(stage, time, at)), line("total", total), line("with the way here", roundTrip)));
  $("times").hidden = false;
}

function addCondition() {
  const key = $("field").value, operator = $("operator").value, text = $("value").value.trim();
  if (!key || !text) return;
  let value = text;
  try { value = JSON.parse(text); } catch { /* a word */ }
  const condition = { value: { match: { value } }, except: { match: { except: [value] } } }[operator] ?? { range: { [operator]: value } };
  let filter = {};
  try { filter = JSON.parse($("filter").value || "{}"); } catch { /* starts anew */ }
  filter.must = [...(filter.must ?? []), { key, ...condition }];
  $("filter").value = JSON.stringify(filter);
  $("value").value = "";
  search();
}

for (const id of ["camera", "file"]) $(id).onchange = (event) => { take(event.target.files[0]); event.target.value = ""; };
for (const name of ["dragenter", "dragover"]) addEventListener(name, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) addEventListener(name, (event) => { event.preventDefault(); $("drop").classList.remove("over"); });
addEventListener("drop", (event) => take([...event.dataTransfer.files].find((file) => file.type.startsWith("image/"))));
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((file) => file.type.startsWith("image/"));
  if (file) { event.preventDefault(); take(file); }
});
addEventListener("resize", draw);
$("photo").onload = draw;
$("add").onclick = addCondition;
$("value").onkeydown = (event) => { if (event.key === "Enter") addCondition(); };
$("apply").onclick = search;
$("clear").onclick = () => { $("filter").value = ""; search(); };
about().catch(() => { $("about").textContent = "The server does not answer."; });
