// Draws what data-chart describes by uPlot, if the server has it; the table beside it stays.

import { library } from "./library.js";

const loaded = library("uplot");

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Times, or values with room for the last bar of a histogram. */
function scale(chart) {
  if (chart.kind !== "histogram") return { time: true };
  const width = chart.x.length > 1 ? chart.x[1] - chart.x[0] : 1;
  return { time: false, range: (_, low, high) => [low, high + width] };
}

function options(uPlot, chart, width) {
  // A bar of a histogram stands on its range, which begins at x.
  const shapes = { bars: { size: [0.8, 40] }, histogram: { size: [1, 80], align: 1, gap: 1 } };
  const paths = chart.kind in shapes ? uPlot.paths.bars(shapes[chart.kind]) : undefined;
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line") }, ticks: { stroke: colour("--line") } };
  return {
    width,
    height: 200,
    scales: { x: scale(chart) },
    axes: [axis, { ...axis, label: chart.unit || undefined }],
    legend: { show: chart.y.length > 1 },
    cursor: { drag: { x: chart.kind === "histogram", y: false, setScale: false } },
    series: [{}, ...chart.y.map((each, index) => ({
      label: each.label,
      stroke: colour(["--accent", "--link", "--bad", "--warn"][index % 4]),
      fill: paths ? colour("--accent") : undefined,
      paths,
      points: { show: !paths && chart.x.length < 60 },
    }))],
  };
}

export async function draw(root) {
  const places = [...root.querySelectorAll("[data-chart]")];
  if (!places.length || !(await loaded())) return;
  const { uPlot } = window;
  for (const place of places) {
    const chart = JSON.parse(place.dataset.chart);
    if (chart.kind !== "histogram" && chart.x.length < 2) continue; // one point has no scale of time
    place.hidden = false;
    place.replaceChildren();
    const data = [chart.x, ...chart.y.map((each) => each.values)];
    place.plot = new uPlot(options(uPlot, chart, place.clientWidth || 600), data, place);
    place.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
  }
}

draw(document);
document.addEventListener("refreshed", (event) => draw(event.target));
