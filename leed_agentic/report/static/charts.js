"use strict";
// Curves and bars, by plotly.js, in the page's colours; drawn when they come into view.
leed.charts = (() => {
  const holder = leed.byId("charts");
  if (!window.Plotly) return null;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const [smoothing, each] = ["smoothing", "each-agent"].map(leed.byId);
  const drawn = new Map();
  let charts = leed.data.charts;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // plotly reads some HTML in names; names come from runs.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const faint = (colour) => `${colour}33`;

  // Mean of the last `count` figures, as far as there are any.
  const trailing = (values, count) => {
    if (count <= 1) return values;
    return values.map((value, k) => {
      const seen = values.slice(Math.max(0, k - count + 1), k + 1).filter((v) => v !== null);
      return value === null || !seen.length ? null : seen.reduce((sum, v) => sum + v, 0) / seen.length;
    });
  };

  const traces = (chart) => {
    const count = chart.smooth ? Number(smoothing.value) : 1;
    const found = [];
    if (each.checked) {
      chart.agents.forEach((line, agent) => {
        const style = { color: css(`--agent-${agent % 10}`), width: 1.2, dash: leed.again(agent) ? "dot" : "solid" };
        found.push({ x: line.x, y: trailing(line.y, count), name: plain(line.name), mode: "lines", line: style });
      });
    }
    chart.lines.forEach((line, k) => {
      const many = each.checked && chart.agents.length;
      const colour = line.reference ? css("--quiet") : many ? css("--ink") : css(`--agent-${k % 10}`);
      if (line.low) {
        const band = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false, x: line.x };
        found.push({ ...band, y: trailing(line.low, count) });
        found.push({ ...band, y: trailing(line.high, count), fill: "tonexty", fillcolor: faint(colour) });
      }
      const single = line.x.length === 1 && line.reference && chart.lines.some((other) => other.x.length > 1);
      const span = single ? chart.lines.flatMap((other) => other.x) : line.x;
      found.push({
        x: single ? [Math.min(...span), Math.max(...span)] : line.x,
        y: single ? [line.y[0], line.y[0]] : trailing(line.y, count),
        name: plain(line.name),
        mode: chart.points && !single ? "lines+markers" : "lines",
        line: { color: colour, width: 2, dash: line.reference ? "dash" : ["solid", "dot", "dashdot", "longdash"][Math.floor(k / 10) % 4] },
      });
    });
    return found;
  };

  const layout = (chart) => {
    const axis = { gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true };
    const many = chart.lines.length + (each.checked ? chart.agents.length : 0) > 1;
    return {
      margin: { l: 50, r: 10, t: 8, b: 40 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: css("--ink"), size: 12, family: getComputedStyle(document.body).fontFamily },
      xaxis: { ...axis, title: { text: plain(chart.x), standoff: 6 } },
      yaxis: { ...axis, title: { text: plain(chart.y), standoff: 6 }, ...(chart.share ? { range: [-0.02, 1.03] } : {}) },
      showlegend: Boolean(many),
      legend: { traceorder: "normal", orientation: "h", x: 0, y: -0.34, yanchor: "top" },
      hovermode: "x",
      hoverlabel: { bgcolor: css("--panel"), font: { color: css("--ink") } },
    };
  };

  // The picture in words, for those who cannot see it.
  const words = (chart) =>
    `${chart.title}. ` +
    chart.lines
      .map((line) => {
        const known = line.y.filter((v) => v !== null);
        const short = (v) => Number(v.toPrecision(3));
        if (!known.length) return `${line.name}: nothing`;
        return `${line.name}: from ${short(known[0])} to ${short(known[known.length - 1])}, between ${short(Math.min(...known))} and ${short(Math.max(...known))}`;
      })
      .join("; ");

  const CONFIG = { displayModeBar: false, responsive: true };
  const draw = (plot) => {
    const chart = drawn.get(plot);
    plot.setAttribute("aria-label", words(chart));
    // Room for a legend of all agents.
    plot.classList.toggle("tall", each.checked && chart.agents.length > 0);
    if (chart.bars) Plotly.react(plot, ...bars(chart), CONFIG);
    else Plotly.react(plot, traces(chart), layout(chart), CONFIG);
    plot.dataset.drawn = "1";
  };

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "300px" });

  const place = (where, chart) => {
    const plot = leed.element("div", { class: "plot", role: "img", "aria-label": chart.title });
    where.append(leed.element("figure", { class: "chart", "data-chart": chart.key }, leed.element("figcaption", {}, chart.title), plot));
    drawn.set(plot, chart);
    seen.observe(plot);
  };

  const redraw = () => [...drawn.keys()].filter((plot) => plot.dataset.drawn).forEach(draw);

  // -- evaluation --------------------------------------------------------------------------------------------------------
  const bars = (chart) => {
    const rows = [...chart.bars].reverse();
    const trace = {
      type: "bar",
      orientation: "h",
      y: rows.map((row) => plain(row.name)),
      x: rows.map((row) => row.value),
      error_x: { type: "data", array: rows.map((row) => row.error || null), color: css("--ink"), thickness: 1.2 },
      marker: { color: rows.map((row, k) => (k === rows.length - 1 ? css("--agent-0") : css("--quiet"))) },
      hoverinfo: "x",
    };
    const shown = layout({ x: chart.x, y: "", lines: [], agents: [], share: false });
    return [[trace], { ...shown, hovermode: "closest", yaxis: { ...shown.yaxis, title: { text: "" } }, ...(chart.share ? { xaxis: { ...shown.xaxis, range: [0, 1.03] } } : {}) }];
  };

  const evaluation = leed.data.evaluation;
  if (evaluation && leed.byId("evaluation-chart")) {
    for (const chart of evaluation) {
      const line = { y: chart.bars.map((row) => row.value), name: "drivers" };
      place(leed.byId("evaluation-chart"), { ...chart, lines: [line], agents: [] });
    }
  }

  // Draw these charts; those that are there already are only given their new figures.
  const load = (next) => {
    charts = next;
    const known = new Map([...drawn].filter(([, chart]) => !chart.bars).map(([plot, chart]) => [chart.key, plot]));
    for (const chart of charts) {
      if (known.has(chart.key)) drawn.set(known.get(chart.key), chart);
      else place(holder, chart);
    }
    leed.byId("each-agent-label").hidden = !charts.some((chart) => chart.agents.length);
    const smooth = charts.filter((chart) => chart.smooth).map((chart) => chart.lines[0].x.length);
    smoothing.parentElement.hidden = !smooth.length;
    redraw();
  };

  if (holder) {
    const episodes = Math.max(0, ...charts.filter((c) => c.smooth).map((c) => c.lines[0].x.length));
    smoothing.value = episodes >= 100 ? "10" : "1";
    smoothing.addEventListener("change", redraw);
    each.addEventListener("change", redraw);
    load(charts);
  }
  dark.addEventListener("change", redraw);
  const printing = (begins) => () => {
    document.body.classList.toggle("printing", begins);
    [...drawn.keys()].forEach(draw);
  };
  addEventListener("beforeprint", printing(true));
  addEventListener("afterprint", printing(false));
  return { load };
})();
