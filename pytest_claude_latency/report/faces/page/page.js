"use strict";
(() => {
// The same drawings as drawing.py makes, letter for letter: for readers without scripts that one draws failing tests.
const D = JSON.parse(document.getElementById("data").textContent);
const T = D.t.map(places => places.map(place => D.i[place]).join(""));
const BAR = 12, LANE = 34, LIMIT = 12, MOST_TICKS = 6, NARROW = 12, WIDE = 22;
const HEADS = ["call", "model", "made at", "sent", "TTFB", "TTFT", "TTFA", "total", "prompt", "output", "ended"];
const MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"};
const escape = text => text.replace(/[&<>"']/g, char => MARKUP[char]);
const span = time => {
  const rounded = Math.floor((time + 500) / 1000);
  if (time >= 999500) return Math.floor(rounded / 1000) + "." + String(rounded % 1000).padStart(3, "0") + "s";
  return time >= 10000 ? rounded + "ms" : time / 1000 + "ms";
};
const tick = at => at >= 1000000 ? at / 1000000 + "s" : at / 1000 + "ms";
const hundredths = (at, end) => Math.floor((at * 20000 + end) / (2 * end));
const percent = (at, end) => hundredths(at, end) / 100;
const box = (start, until, end) => {
  const first = hundredths(start, end);
  return [first / 100, (hundredths(until, end) - first) / 100];
};
const END = ' text-anchor="end"', anchor = (at, end) => at * 10 > end * 8 ? END : "";
function ticksOf(end) {
  let step = 1, place = 0;
  while (end > step * MOST_TICKS) {
    step = [2, 5, 10][place % 3] * 10 ** Math.floor(place / 3);
    place++;
  }
  return Array.from({length: Math.floor(end / step) + 1}, (_, count) => count * step);
}
function lane(shapes, y, end, label, since, segments, limits = []) {
  shapes.push(`<text x="0" y="${y + 11}">${escape(label)}</text>`);
  for (let place = 0, start = 0; place < segments.length; place += 2) {
    const part = segments[place], until = segments[place + 1];
    const [x, width] = box(since + start, since + until, end), name = D.p[part];
    const inner = width >= NARROW ? `<text class="${width >= WIDE ? "i" : "i s"}" x="3" y="9.5">${name}</text>` : "";
    shapes.push(`<svg x="${x}%" y="${y + 15}" width="${width}%" height="${BAR}" overflow="hidden">` +
      `<rect class="p${part}" width="100%" height="${BAR}"><title>${name}, ${span(until - start)}</title></rect>${inner}</svg>`);
    start = until;
  }
  let below = y + LANE;
  for (const [text, at, isOver, ...spans] of limits) {
    for (let place = 0; place < spans.length; place += 2) {
      const [x, width] = box(spans[place], spans[place + 1], end);
      shapes.push(`<rect class="o" x="${x}%" width="${width}%" y="${y + 15}" height="${BAR}"/>`);
    }
    const x = percent(Math.max(Math.min(at, end), 0), end), arrow = at > end ? " →" : "";
    if (at >= 0 && !arrow) shapes.push(`<line class="m" x1="${x}%" x2="${x}%" y1="${y + 12}" y2="${below - 3}"/>`);
    shapes.push(`<text class="${isOver ? "ot" : "t"}" x="${x}%" y="${below + 6}"${at * 2 > end ? END : ""}>` +
      `${escape(T[text])}${arrow}</text>`);
    below += LIMIT;
  }
  return below;
}
function overlap(shapes, y, end, calls) {
  const spans = calls.map(call => [call[2], call[2] + (call[6] || 0)]);
  const instants = [...new Set(spans.flat())].sort((one, other) => one - other), counts = [];
  for (let place = 1; place < instants.length; place++) {
    const start = instants[place - 1], until = instants[place];
    counts.push([start, until, spans.filter(([sent, over]) => sent <= start && over >= until).length]);
  }
  const most = Math.max(0, ...counts.map(([, , count]) => count));
  if (most < 2) return y;
  shapes.push(`<text x="0" y="${y + 11}">calls at once, most ${most}</text>`);
  for (const [start, until, count] of counts) if (count) {
    const [x, width] = box(start, until, end), height = Math.floor(BAR * count / most);
    shapes.push(`<rect class="n" x="${x}%" width="${width}%" y="${y + 15 + BAR - height}" height="${height}"/>`);
  }
  return y + LANE;
}
function waterfall(sample) {
  const end = Math.max(sample.e, 1), shapes = [], path = sample.q || [];
  const limits = bar => (sample.l || []).filter(limit => limit[0] === bar).map(limit => limit.slice(2));
  let y = 18;
  if (sample.p.length) y = lane(shapes, y, end, "whole test, by its critical path", sample.o, sample.p, limits(0));
  (sample.u || []).forEach((call, place) => {
    y = lane(shapes, y, end, `set-up call ${place + 1} · ${T[call[0]]}`, call[2], call[10]);
  });
  sample.c.forEach((call, index) => {
    const place = index + 1;
    for (let start = 0; start < path.length; start += 3) if (path[start] === place) {
      const [x, width] = box(sample.o + path[start + 1], sample.o + path[start + 2], end);
      shapes.push(`<rect class="cp" x="${x}%" width="${width}%" y="${y + 28}" height="2"/>`);
    }
    y = lane(shapes, y, end, `call ${place} · ${T[call[0]]}`, call[2], call[10], limits(place));
  });
  (sample.w || []).forEach(([since, first, last], place) => {
    const segments = [3, first || last || 0, ...(first !== null && last !== null ? [5, last] : [])];
    y = lane(shapes, y, end, `watched output ${place + 1}`, since, segments, limits(-place - 1));
  });
  let below = (sample.w || []).length;
  (sample.k || []).forEach(([start, until, line], place) => {
    const [x, width] = box(start, until, end);
    shapes.push(`<rect class="b" x="${x}%" width="${width}%" y="${y + 15}" height="${BAR}">` +
      `<title>block, ${span(until - start)}</title></rect>`);
    y = lane(shapes, y, end, `block ${place + 1} · ${T[line]}`, start, [], limits(-below - place - 1));
  });
  below += (sample.k || []).length;
  (sample.z || []).forEach((call, place) => {
    y = lane(shapes, y, end, `session stream ${place + 1}`, call[2], call[10], limits(-below - place - 1));
  });
  y = overlap(shapes, y, end, sample.c);
  const ticks = ticksOf(end).map(at => {
    const x = percent(at, end);
    return `<line class="g" x1="${x}%" x2="${x}%" y1="14" y2="${y}"/>` +
      `<text class="t" x="${x}%" y="11"${anchor(at, end)}>${tick(at)}</text>`;
  }).join("");
  const label = `${sample.c.length} call${sample.c.length === 1 ? "" : "s"} in ${span(end)}; the table below has the times`;
  return `<svg role="img" aria-label="${label}" height="${y}">${ticks}${shapes.join("")}</svg>`;
}
const table = (heads, rows) => '<div class="scroll"><table class="small"><thead><tr>' +
  heads.map(name => `<th scope="col">${name}</th>`).join("") + "</tr></thead><tbody>" +
  rows.map(row => "<tr>" + row.map(cell => `<td>${cell}</td>`).join("") + "</tr>").join("") + "</tbody></table></div>";
function detail(sample) {
  const shown = [];
  if (sample.f) shown.push(`<pre>${escape(T[sample.f])}</pre>`);
  else if (["failed", "error"].includes(T[sample.x || 0])) shown.push("<p>The test failed by itself" + (sample.r ?
    `:</p><pre>${escape(T[sample.r])}</pre>` : ": pytest's own output has its traceback.</p>"));
  if (sample.c.length || sample.u || sample.z) shown.push(waterfall(sample));
  if (sample.g) shown.push('<h3>Findings</h3><ul class="findings">' + sample.g.map(lines =>
    "<li>" + lines.map(line => `<p>${escape(T[line])}</p>`).join("") + "</li>").join("") + "</ul>");
  if (sample.b.length) shown.push(table(["budget", "limit", "measured", "verdict", "set by"],
    sample.b.map(budget => budget.map(place => escape(T[place])))));
  if (sample.c.length) shown.push(table(HEADS, sample.c.map((call, place) => [String(place + 1), escape(T[call[0]]),
    escape(T[call[1]]), ...call.slice(2, 7).map(at => at === null ? "" : span(at)),
    ...call.slice(7, 9).map(count => count === null ? "" : String(count)), escape(T[call[9]])])));
  if (sample.y) shown.push(`<p class="quiet">recording <code>${escape(T[sample.y])}</code></p>`);
  return shown.join("");
}
window.claudeLatency = {detail};

const main = document.getElementById("tests"), filters = document.getElementById("filters");
if (!main) return;
const bodies = [...main.tBodies].map((body, place) => ({body, row: D.r[place], place}));
function open(item, wanted) {
  const button = item.body.querySelector("button");
  let line = item.body.rows[1];
  if (wanted && !line) {
    line = item.body.insertRow();
    const cell = line.insertCell();
    cell.className = "detail";
    cell.colSpan = main.tHead.rows[0].cells.length;
    cell.innerHTML = `<div>${detail(item.row.s[item.row.n])}</div>`;
  }
  if (wanted && item.row.s.length > 1 && !item.picker) {
    const label = document.createElement("label"), cell = line.cells[0];
    item.picker = document.createElement("select");
    item.row.s.forEach((sample, place) => item.picker.add(new Option(`${sample.n} of ${item.row.s.length}`, place)));
    item.picker.value = item.row.n;
    item.picker.onchange = () => { cell.lastElementChild.innerHTML = detail(item.row.s[item.picker.value]); };
    label.append("Sample ", item.picker);
    cell.prepend(label);
  }
  if (line) line.hidden = !wanted;
  button.setAttribute("aria-expanded", wanted);
}
for (const item of bodies) {
  const cell = item.body.rows[0].cells[1], button = document.createElement("button"), link = document.createElement("a");
  button.type = "button";
  button.append(...cell.childNodes);
  button.onclick = () => open(item, button.getAttribute("aria-expanded") !== "true");
  link.href = "#" + encodeURIComponent(T[item.row.id]);  // a name outlasts the order of the tests
  link.textContent = "#";
  link.setAttribute("aria-label", "Link to this test");
  cell.append(button, " ", link);
  open(item, item.body.rows.length > 1);
}
function follow() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const item = bodies.find(({body, row}) => body.id === wanted || T[row.id] === wanted);
  if (item) { open(item, true); item.body.scrollIntoView(); }
}
const KEYS = [row => -row.d, row => T[row.id], row => row.c[0], row => row.k[0], row => row.k[1], row => row.k[2],
  row => row.c[1]];
const heads = [...main.tHead.rows[0].cells];
heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.onclick = () => {
    const down = column > 1 ? head.getAttribute("aria-sort") !== "descending" : head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = KEYS[column], sign = down ? -1 : 1;
    const order = column === 0 ? item => item.place : item => key(item.row);
    main.append(...[...bodies].sort((one, other) => {
      const first = order(one), second = order(other);
      if (first === null || second === null) return (first === null) - (second === null);
      return (first < second ? -1 : first > second ? 1 : 0) * sign;
    }).map(item => item.body));
  };
});
const find = document.getElementById("find"), verdict = document.getElementById("verdict");
const model = document.getElementById("model"), shown = document.getElementById("shown");
function filter() {
  const text = find.value.toLowerCase();
  let count = 0;
  for (const {body, row} of bodies) {
    const fits = T[row.id].toLowerCase().includes(text) && (!verdict.value || T[row.v] === verdict.value) &&
      (!model.value || row.m.some(place => T[place] === model.value));
    body.hidden = !fits;
    count += fits;
  }
  shown.textContent = `${count} of ${bodies.length} tests`;
}
for (const field of [find, verdict, model]) field.addEventListener("input", filter);
const all = document.getElementById("all");
all.onclick = () => {
  const wanted = all.textContent === "Open all";
  bodies.forEach(item => open(item, wanted));
  all.textContent = wanted ? "Close all" : "Open all";
};
filters.onsubmit = event => event.preventDefault();
filters.hidden = false;
filter();
follow();
addEventListener("hashchange", follow);
const closed = [];
addEventListener("beforeprint", () => {
  // a browser may say this several times before it is done
  closed.push(...bodies.filter(({body}) => !body.rows[1] || body.rows[1].hidden));
  bodies.forEach(item => open(item, true));
  document.querySelectorAll("details").forEach(fold => { fold.open = true; });
});
addEventListener("afterprint", () => closed.splice(0).forEach(item => open(item, false)));
})();
