"use strict";
// The street map: drawing, zoom, and the street under the pointer or the arrow keys.
leed.streets = (() => {
  const svg = leed.byId("streets");
  if (!svg || !leed.data.streets) return null;
  const map = leed.data.streets.map;
  const layers = {};
  for (const name of ["casings", "streets", "traffic", "routes", "chosen", "markers", "vehicles", "hits"]) {
    layers[name] = leed.element("g", { class: name });
    svg.append(layers[name]);
  }
  // SVG's y grows downwards, the map's upwards.
  const lines = map.edges.map(([, , , flat]) => {
    const points = [];
    for (let k = 0; k < flat.length; k += 2) points.push([flat[k], -flat[k + 1]]);
    return points;
  });
  const middles = lines.map((points) => points[Math.floor(points.length / 2)]);
  const all = lines.flat();
  const low = [0, 1].map((k) => all.reduce((least, p) => Math.min(least, p[k]), Infinity));
  const high = [0, 1].map((k) => all.reduce((most, p) => Math.max(most, p[k]), -Infinity));
  const pad = 0.05 * Math.max(high[0] - low[0], high[1] - low[1], 1);
  const whole = [low[0] - pad, low[1] - pad, high[0] - low[0] + 2 * pad, high[1] - low[1] + 2 * pad];
  let box = [...whole];
  svg.style.aspectRatio = `${Math.max(whole[2], 1)} / ${Math.max(whole[3], 1)}`;
  const followers = [];

  const path = (points) => "M" + points.map((p) => `${p[0].toFixed(1)} ${p[1].toFixed(1)}`).join("L");

  const drawn = { casings: "casing", streets: "street" };
  for (const [layer, kind] of Object.entries(drawn)) {
    lines.forEach((points) => layers[layer].append(leed.element("path", { class: kind, d: path(points) })));
  }
  lines.forEach((points, index) => layers.hits.append(leed.element("path", { class: "hit", d: path(points), "data-edge": index })));

  // Metres per pixel: what keeps its size on the screen is drawn with it.
  const unit = () => {
    const seen = svg.getBoundingClientRect();
    return Math.max(box[2] / Math.max(seen.width, 1), box[3] / Math.max(seen.height, 1));
  };

  const show = (next) => {
    box = next;
    svg.setAttribute("viewBox", box.map((v) => v.toFixed(1)).join(" "));
    svg.classList.toggle("zoomed", box[2] < whole[2] * 0.99);
    followers.forEach((follow) => follow());
  };

  const zoom = (factor, centre = [box[0] + box[2] / 2, box[1] + box[3] / 2]) => {
    const width = Math.min(Math.max(box[2] * factor, whole[2] / 30), whole[2]);
    const scale = width / box[2];
    if (width >= whole[2]) return show([...whole]);
    return show([centre[0] - (centre[0] - box[0]) * scale, centre[1] - (centre[1] - box[1]) * scale, width, box[3] * scale]);
  };

  const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());

  // -- street names ----------------------------------------------------------------------------------------------------
  let cursor = null;
  let traffic = new Map();

  const describe = (index) => {
    const [id, street, length] = map.edges[index];
    const driven = traffic.get(index);
    const used = driven ? ` · ${driven[0]} vehicle${driven[0] === 1 ? "" : "s"}, ${Math.round(driven[1])} s together` : "";
    return `${street || "Street without a name"} · edge ${id} · ${length} m${used}`;
  };

  const choose = (index) => {
    if (index === cursor) return;
    cursor = index;
    layers.chosen.replaceChildren(leed.element("path", { class: "chosen", d: path(lines[index]) }));
    leed.byId("street-name").textContent = describe(index);
  };

  // The nearest street whose middle lies in the arrow's direction, within 60 degrees of it.
  const neighbour = ([dx, dy]) => {
    const from = cursor === null ? [box[0] + box[2] / 2, box[1] + box[3] / 2] : middles[cursor];
    let best = null;
    let least = Infinity;
    middles.forEach((to, index) => {
      const [x, y] = [to[0] - from[0], to[1] - from[1]];
      const distance = Math.hypot(x, y);
      if (index === cursor || distance < 1 || x * dx + y * dy < distance * 0.5) return;
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  };

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (ARROWS[event.key]) {
      const next = neighbour(ARROWS[event.key]);
      if (next !== null) choose(next);
    } else if (event.key === "+" || event.key === "=") zoom(0.7, cursor === null ? undefined : middles[cursor]);
    else if (event.key === "-") zoom(1 / 0.7);
    else if (event.key === "0") show([...whole]);
    else return;
    event.preventDefault();
  });
  layers.hits.addEventListener("pointerover", (event) => choose(Number(event.target.dataset.edge)));

  // -- moving the map with the pointer ----------------------------------------------------------------------------------
  let held = null;
  svg.addEventListener("pointerdown", (event) => {
    if (svg.classList.contains("zoomed")) held = place(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons) return;
    const now = place(event);
    show([box[0] - (now.x - held.x), box[1] - (now.y - held.y), box[2], box[3]]);
  });
  addEventListener("pointerup", () => (held = null));
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const at = place(event);
    zoom(event.deltaY < 0 ? 0.8 : 1.25, [at.x, at.y]);
  }, { passive: false });
  leed.byId("zoom-in").addEventListener("click", () => zoom(0.6));
  leed.byId("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
  leed.byId("zoom-all").addEventListener("click", () => show([...whole]));
  addEventListener("resize", () => followers.forEach((follow) => follow()));

  // -- traffic -----------------------------------------------------------------------------------------------------------
  const LEVELS = 5;
  const colourBy = (kind, rows) => {
    traffic = new Map((rows || []).map(([edge, vehicles, seconds]) => [edge, [vehicles, seconds]]));
    layers.traffic.replaceChildren();
    if (kind === "none" || !rows || !rows.length) return null;
    const figure = (row) => (kind === "vehicles" ? row[1] : row[2]);
    const most = Math.max(...rows.map(figure), 1);
    for (const row of rows) {
      const level = Math.min(LEVELS, Math.max(1, Math.ceil((figure(row) / most) * LEVELS)));
      const style = `stroke:var(--traffic-${level});stroke-width:${3 + 1.4 * level}`;
      layers.traffic.append(leed.element("path", { d: path(lines[row[0]]), style }));
    }
    return { most, levels: LEVELS };
  };

  show([...whole]);
  return { map, lines, layers, path, unit, colourBy, follow: (redraw) => followers.push(redraw), bounds: () => box };
})();
