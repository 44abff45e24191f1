"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const zero = data.zero ?? 0, end = data.x[data.x.length - 1], left = 84;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
  const xs = data.x.slice(), step = (v) => [...v, null];
  const xOf = (i) => xs[i];

  // Okabe-Ito colours; each outcome has a pattern too, so that grey print tells them apart.
  const looks = {
    ok: ["#7cc9b0", "#24735b", "solid"], cancelled: ["#c9ced3", "#555d65", "solid"],
    refused: ["#d55e00", "#f0812f", "rise"], reset: ["#d55e00", "#f0812f", "fall"],
    error: ["#e69f00", "#e6a817", "rise"], shed: ["#e69f00", "#e6a817", "dots"],
    truncated: ["#f0e442", "#d8cc2f", "fall"], stream_error: ["#f0e442", "#d8cc2f", "cross"],
    hung: ["#0072b2", "#56b4e9", "cross"], malformed: ["#cc79a7", "#dd94bf", "rise"],
    corrupted: ["#cc79a7", "#dd94bf", "cross"], misrouted: ["#cc79a7", "#dd94bf", "dots"],
  };
  const printing = { now: false }, PAPER = 700; // px between the margins of A4 and Letter, portrait
  const dark = () => !printing.now && matchMedia("(prefers-color-scheme: dark)").matches;
  const look = (name) => (Object.hasOwn(looks, name) ? looks[name] : ["#888", "#999", "dots"]);
  const colour = (name) => look(name)[dark() ? 1 : 0];
  const pattern = (ctx, name) => {
    const kind = look(name)[2], base = colour(name);
    if (kind === "solid") return base;
    const size = 8, tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const c = tile.getContext("2d");
    c.fillStyle = base; c.fillRect(0, 0, size, size);
    c.strokeStyle = c.fillStyle = dark() ? "rgba(0,0,0,.5)" : "rgba(255,255,255,.75)";
    c.lineWidth = 1.6;
    const line = (a, b, d, e) => { c.beginPath(); c.moveTo(a, b); c.lineTo(d, e); c.stroke(); };
    if (kind === "rise" || kind === "cross") { line(-2, 10, 10, -2); line(-2, 2, 2, -2); line(6, 10, 10, 6); }
    if (kind === "fall" || kind === "cross") { line(-2, -2, 10, 10); line(6, -2, 10, 2); line(-2, 6, 2, 10); }
    if (kind === "dots") { c.beginPath(); c.arc(4, 4, 1.7, 0, 7); c.fill(); }
    return ctx.createPattern(tile, "repeat");
  };

  const seconds = (v) => {
    const a = Math.abs(v);
    return a < 1 ? `${Math.round(v * 1000)} ms` : a < 60 ? `${+v.toFixed(2)} s` : `${+(v / 60).toFixed(1)} min`;
  };
  const clock = (v, exact) => {
    const r = v - zero, sign = r < -1e-9 ? "−" : r > 1e-9 ? "+" : "", a = Math.abs(r);
    if (end - zero <= 600) return `${sign}${exact ? a.toFixed(1) : +a.toFixed(2)} s`;
    const m = Math.floor(a / 60), s = Math.round(a % 60);
    return `${sign}${m}:${String(s % 60).padStart(2, "0")}`;
  };
  const splits = (u, axis, min, max, incr) => {
    const out = [];
    for (let v = Math.ceil((min - zero) / incr) * incr; v <= max - zero; v += incr) out.push(zero + v);
    return out;
  };
  const ladder = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

  const plots = [];
  let range = [0, end];
  const setRange = (from, to) => {
    const width = Math.min(end, Math.max(0.5, to - from));
    from = Math.min(Math.max(0, from), end - width);
    range = [from, from + width];
    plots.forEach((u) => u.setScale("x", { min: range[0], max: range[1] }));
  };

  // Behind every chart: the fault, the time until it was recovered, the marks.
  const behind = (u) => {
    const { ctx, bbox } = u, px = (v) => u.valToPos(v, "x", true);
    const box = (a, b, fill) => { ctx.fillStyle = fill; ctx.fillRect(px(a), bbox.top, Math.max(0, px(b) - px(a)), bbox.height); };
    ctx.save();
    ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
    if (data.zero !== null && data.marks.length > 1) box(zero, data.back ?? end, css("--shade2"));
    for (const [a, b] of data.held.length ? data.held : data.outages) box(a, b, css("--shade"));
    ctx.restore();
  };
  const before = (u, flags) => {
    const { ctx, bbox } = u, r = devicePixelRatio, groups = [];
    ctx.save();
    for (const mark of data.marks) {
      const x = Math.round(u.valToPos(mark.at, "x", true)) + 0.5;
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = css("--ink"); ctx.globalAlpha = mark.n === 1 ? 0.9 : 0.35; ctx.lineWidth = r;
      ctx.setLineDash(mark.n === 1 ? [] : [3 * r, 3 * r]);
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
      if (!flags) continue;
      const near = groups[groups.length - 1];
      if (near && x - near.to < 22 * r) { near.to = x; near.last = mark.n; } else groups.push({ from: x, to: x, first: mark.n, last: mark.n });
    }
    ctx.globalAlpha = 1; ctx.setLineDash([]); ctx.textAlign = "center"; ctx.textBaseline = "middle";
    ctx.font = `600 ${11 * r}px system-ui, sans-serif`;
    for (const g of groups) { // marks that lie close share one flag
      const text = g.first === g.last ? String(g.first) : `${g.first}–${g.last}`, x = (g.from + g.to) / 2;
      const w = Math.max(17 * r, ctx.measureText(text).width + 10 * r), y = bbox.top - 11 * r;
      ctx.fillStyle = css("--ink"); ctx.beginPath(); ctx.roundRect(x - w / 2, y - 8.5 * r, w, 17 * r, 8.5 * r); ctx.fill();
      ctx.fillStyle = css("--bg"); ctx.fillText(text, x, y + 0.5 * r);
    }
    ctx.restore();
  };

  const readout = document.getElementById("readout");
  const say = (u) => {
    const at = u.cursor.left >= 0 && u.cursor.left !== undefined ? u.posToVal(u.cursor.left, "x") : null;
    if (at === null) return;
    let i = xs.findIndex((v) => v > at) - 1;
    if (i < 0) i = xs.length - 2;
    const parts = [clock(xOf(i), true)];
    if (data.ttft_p50[i] !== null) parts.push(`TTFT p50 ${seconds(data.ttft_p50[i])} p95 ${seconds(data.ttft_p95[i])}`, `end to end p95 ${seconds(data.e2e_p95[i])}`);
    for (const o of data.outcomes) if (o.rate[i]) parts.push(`${o.name} ${o.rate[i]}/s`);
    readout.textContent = parts.join("   ");
  };

  const stepped = uPlot.paths.stepped({ align: 1 });
  const options = (id, height, more) => {
    const el = document.getElementById(id);
    return {
      width: printing.now ? PAPER : el.clientWidth, height, legend: { show: false }, pxAlign: 1,
      padding: [more.top ?? 8, 10, 0, 0],
      cursor: { y: false, points: { show: false }, sync: { key: "run", setSeries: false, scales: ["x", null] }, drag: { x: true, y: false, setScale: false } },
      select: { show: true }, focus: { alpha: 1 },
      axes: [
        { stroke: () => css("--dim"), grid: { stroke: () => css("--grid"), width: 1 }, ticks: { show: false }, font, size: 30, incrs: ladder, splits, space: 70, values: (u, vs) => vs.map((v) => clock(v)), show: more.axis ?? true },
        { stroke: () => css("--dim"), grid: { stroke: () => css("--grid"), width: 1 }, ticks: { show: false }, font, size: left, ...more.y },
      ],
      scales: { x: { time: false, range: () => range }, y: more.scale },
      series: [{}, ...more.series],
      bands: more.bands,
      hooks: {
        drawClear: [behind], draw: [...(more.draw ?? []), (u) => before(u, more.flags)],
        setCursor: [say],
        setSelect: [(u) => {
          if (u.select.width > 3 && u.root.matches(":hover")) setRange(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
          if (u.select.width > 0) u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
        ready: [(u) => u.over.addEventListener("dblclick", () => setRange(0, end))],
      },
    };
  };
  const make = (id, height, more, values) => {
    const u = new uPlot(options(id, height, more), values, document.getElementById(id));
    plots.push(u);
  };
  const legend = (id, items) => {
    const place = document.getElementById(id);
    place.textContent = "";
    for (const [text, draw] of items) {
      const item = document.createElement("span"), swatch = document.createElement("canvas");
      swatch.width = 36; swatch.height = 20;
      draw(swatch.getContext("2d"));
      item.append(swatch, document.createTextNode(text));
      place.append(item);
    }
  };
  const stroke = (name, dash, width) => (c) => {
    c.strokeStyle = css(name); c.lineWidth = width ?? 4; c.setLineDash(dash);
    c.beginPath(); c.moveTo(0, 10); c.lineTo(36, 10); c.stroke();
  };

  const latency = () => {
    const all = [...data.ttft_p50, ...data.e2e_p95, ...data.e2e_p50, ...data.dots.y].filter((v) => v > 0);
    const low = Math.max(1e-3, Math.min(...all, 1)), high = Math.max(...all, 0.1);
    const range = [low / 1.6, high * 1.6];
    const line = (name, dash, width) => ({ scale: "y", stroke: () => css(name), width, dash, paths: stepped, points: { show: false }, spanGaps: false });
    make("chart-latency", 250, {
      top: 26, flags: true, scale: { distr: 3, log: 10, range: () => range },
      y: { values: (u, vs) => vs.map((v) => (v === null || ![1, 2, 5].includes(+(v / 10 ** Math.floor(Math.log10(v) + 1e-9)).toFixed(3)) ? null : seconds(v))), filter: (u, vs) => vs },
      series: [line("--blue", undefined, 2), line("--blue", [4, 3], 1.25), line("--pink", undefined, 2), line("--pink", [4, 3], 1.25)],
      draw: [(u) => {
        const { ctx, bbox } = u, r = devicePixelRatio, { x, y } = data.dots;
        ctx.save(); ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
        ctx.fillStyle = css("--blue"); ctx.globalAlpha = 0.28;
        for (let i = 0; i < x.length; i++) {
          if (x[i] < u.scales.x.min || x[i] > u.scales.x.max) continue;
          ctx.beginPath(); ctx.arc(u.valToPos(x[i], "x", true), u.valToPos(y[i], "y", true), 1.8 * r, 0, 7); ctx.fill();
        }
        ctx.restore();
      }],
    }, [xs, step(data.ttft_p50), step(data.ttft_p95), step(data.e2e_p50), step(data.e2e_p95)]);
  };

  const outcomes = () => {
    const stack = [], sum = new Array(xs.length).fill(0);
    for (const o of data.outcomes) {
      o.rate.forEach((v, i) => { sum[i] += v; });
      sum[xs.length - 1] = sum[xs.length - 2];
      stack.push(sum.slice());
    }
    const order = data.outcomes.map((o, i) => [o.name, stack[i]]).reverse(); // the highest first, painted over
    make("chart-outcomes", 190, {
      scale: { range: (u, min, max) => [0, Math.max(1, max * 1.08)] },
      y: { values: (u, vs) => vs.map((v) => `${+v.toFixed(1)}/s`) },
      series: order.map(([name]) => ({ scale: "y", stroke: () => colour(name), width: 0.5, fill: (u) => pattern(u.ctx, name), paths: stepped, points: { show: false } })),
    }, [xs, ...order.map(([, v]) => v)]);
  };

  const lanes = () => {
    const row = 24, shown = data.lanes;
    make("chart-lanes", shown.length * row + 46, {
      scale: { range: () => [0, shown.length] }, y: { show: true, grid: { show: false }, values: (u, vs) => vs.map(() => null) },
      series: [{ scale: "y", paths: () => null, points: { show: false } }],
      draw: [(u) => {
        const { ctx, bbox } = u, r = devicePixelRatio, h = bbox.height / Math.max(1, shown.length);
        const fills = { good: css("--good"), bad: css("--fail"), fault: css("--failink"), phase: css("--phase") };
        ctx.save(); ctx.textBaseline = "middle"; ctx.font = `${11.5 * r}px system-ui, sans-serif`;
        shown.forEach((lane, n) => {
          const top = bbox.top + n * h + 3 * r, tall = h - 6 * r;
          ctx.fillStyle = css("--dim"); ctx.textAlign = "right";
          let name = lane.name;
          while (name.length > 4 && ctx.measureText(name).width > (left - 12) * r) name = name.slice(0, -2) + "…";
          ctx.fillText(name, bbox.left - 8 * r, top + tall / 2);
          ctx.save(); ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
          ctx.textAlign = "left";
          for (const [a, b, kind, text] of lane.spans) {
            const x = Math.max(bbox.left, u.valToPos(a, "x", true)), to = Math.min(bbox.left + bbox.width, u.valToPos(b, "x", true));
            if (to < bbox.left || x > bbox.left + bbox.width) continue;
            ctx.fillStyle = fills[kind] ?? "#888";
            if (b - a < 1e-6) { ctx.beginPath(); ctx.moveTo(x, top); ctx.lineTo(x + 7 * r, top + tall / 2); ctx.lineTo(x, top + tall); ctx.fill(); ctx.fillText(text, x + 11 * r, top + tall / 2 + r); continue; }
            ctx.fillRect(x, top, Math.max(1.5 * r, to - x - r), tall);
            if (ctx.measureText(text).width + 10 * r < to - x) {
              ctx.fillStyle = kind === "bad" || kind === "fault" ? (dark() ? "#14171a" : "#fff") : css("--ink");
              ctx.fillText(text, x + 5 * r, top + tall / 2 + r);
            }
          }
          ctx.restore();
        });
        ctx.restore();
      }],
    }, [xs, xs.map(() => null)]);
  };

  const draw = () => {
    plots.splice(0).forEach((u) => u.destroy());
    latency(); outcomes(); lanes();
    const every = data.dots.every > 1 ? `TTFT of each ${data.dots.every}th request` : "TTFT of each request";
    legend("legend-latency", [
      ["TTFT p50", stroke("--blue", [])], ["TTFT p95", stroke("--blue", [7, 5], 3)],
      ["end to end p50", stroke("--pink", [])], ["end to end p95", stroke("--pink", [7, 5], 3)],
      [every, (c) => { c.fillStyle = css("--blue"); c.globalAlpha = 0.5; for (const x of [8, 18, 28]) { c.beginPath(); c.arc(x, 10 + (x % 3), 3, 0, 7); c.fill(); } }],
    ]);
    legend("legend-outcomes", data.outcomes.map((o) => [`${o.name} ${o.total.toLocaleString("en")}`, (c) => { c.scale(2, 2); c.fillStyle = pattern(c, o.name); c.fillRect(0, 0, 18, 10); }]));
  };

  const zoom = document.getElementById("zoom"), focus = data.focus;
  zoom.hidden = false;
  if (!focus) zoom.querySelector('[data-zoom="focus"]').hidden = true;
  zoom.addEventListener("click", (event) => {
    const what = event.target.dataset.zoom, [a, b] = range, w = b - a;
    if (what === "all") setRange(0, end);
    if (what === "focus") setRange(focus[0], focus[1]);
    if (what === "in") setRange(a + w / 4, b - w / 4);
    if (what === "out") setRange(a - w / 2, b + w / 2);
    if (what === "left") setRange(a - w / 3, b - w / 3);
    if (what === "right") setRange(a + w / 3, b + w / 3);
  });
  let width = 0;
  const resize = () => {
    const now = document.getElementById("chart-latency").clientWidth;
    if (printing.now || now === width) return;
    width = now;
    plots.forEach((u) => u.setSize({ width: now, height: u.height }));
  };
  draw();
  width = document.getElementById("chart-latency").clientWidth;
  new ResizeObserver(resize).observe(document.getElementById("chart-latency"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => { printing.now = true; draw(); });
  addEventListener("afterprint", () => { printing.now = false; draw(); });
  document.documentElement.dataset.ready = "yes";
})();
