// Draws the charts of a page from its table, so that both always say the same.
// Without this script the table is all there is.
"use strict";
(() => {
  const holder = document.querySelector(".charts");
  const table = document.querySelector("#numbers table");
  if (!holder || !table || typeof uPlot === "undefined") return;
  const rows = [...table.tBodies[0].rows];
  const at = rows.map((row) => Number(row.dataset.at));
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const values = (column) => rows.map((row) => {
    const v = row.cells[column].dataset.v;
    return v === "" ? null : Number(v);
  });
  const ink = (name) => {
    // Computed by an element, since light-dark() is no colour for a canvas.
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };
  const language = document.documentElement.lang;
  const form = { timeZone: holder.dataset.zone };
  Object.assign(form, holder.dataset.span === "day" ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" });
  const clock = new Intl.DateTimeFormat(language, form);
  const count = new Intl.NumberFormat(language);
  const lines = [{ colour: "--link", dash: [] }, { colour: "--good", dash: [8, 4] }, { colour: "--warn", dash: [2, 3] }];

  const whole = [0, 1, 2, 3, 4, 5, 6].flatMap((n) => [1, 2, 5].map((step) => step * 10 ** n)); // there is no half chat

  const draw = (figure) => {
    const columns = figure.dataset.columns.split(" ").map(Number);
    const axis = { stroke: ink("--soft"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line") } };
    const plot = new uPlot({
      width: figure.clientWidth,
      height: 260,
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
      axes: [{ ...axis, values: (_, ticks) => ticks.map((t) => clock.format(t * 1000)) }, { ...axis, incrs: whole, values: (_, ticks) => ticks.map((t) => count.format(t)) }],
      series: [
        { label: heads[0], value: (_, t) => (t == null ? "–" : clock.format(t * 1000)) },
        ...columns.map((column, i) => ({
          label: heads[column], stroke: ink(lines[i].colour), dash: lines[i].dash, width: 2, spanGaps: true, points: { show: at.length <= 60, size: 5 },
          value: (_, v) => (v == null ? "–" : count.format(v)),
        })),
      ],
    }, [at, ...columns.map(values)], figure);
    plot.root.setAttribute("aria-hidden", "true"); // the table says it
    return plot;
  };

  let plots = [];
  const drawAll = () => {
    for (const { plot } of plots) plot.destroy();
    plots = [...document.querySelectorAll(".chart")].map((figure) => ({ figure, plot: draw(figure) }));
  };
  drawAll();
  document.querySelector("#numbers").open = false;
  new ResizeObserver(() => requestAnimationFrame(() => {
    for (const { figure, plot } of plots) {
      if (plot.width !== figure.clientWidth) plot.setSize({ width: figure.clientWidth, height: plot.height });
    }
  })).observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
