"use strict";
// Routes side by side, numbered starts and goals, faults and the places where two routes part.
leed.routes = (() => {
  const streets = leed.streets;
  if (!streets) return null;

  // Which routes share an edge, so that their lines run next to each other on the side they drive.
  const sharing = (routes) => {
    const users = new Map();
    for (const route of routes) {
      for (const edge of new Set(route.edges)) {
        if (edge < 0) continue;
        if (!users.has(edge)) users.set(edge, []);
        users.get(edge).push(route);
      }
    }
    return users;
  };

  // A line moved sideways by an offset per point; a point that would fold back is left out.
  const beside = (points, offsets) => {
    const moved = points.map((point, k) => {
      const before = points[Math.max(k - 1, 0)];
      const after = points[Math.min(k + 1, points.length - 1)];
      const first = Math.hypot(point[0] - before[0], point[1] - before[1]) || 1;
      const second = Math.hypot(after[0] - point[0], after[1] - point[1]) || 1;
      const along = [
        (point[0] - before[0]) / first + (after[0] - point[0]) / second,
        (point[1] - before[1]) / first + (after[1] - point[1]) / second,
      ];
      const size = Math.hypot(...along) || 1;
      return [point[0] - (along[1] / size) * offsets[k], point[1] + (along[0] / size) * offsets[k]];
    });
    return moved.filter((point, k) => {
      if (k === 0 || k === moved.length - 1) return true;
      const last = moved[k - 1];
      const dot = (point[0] - last[0]) * (points[k][0] - points[k - 1][0]) + (point[1] - last[1]) * (points[k][1] - points[k - 1][1]);
      return dot >= 0;
    });
  };

  // routes: [{agent, edges, own, kept, wrong}]; unknown edges (-1) are left out, so a broken route shows as a jump.
  const draw = (routes) => {
    const users = sharing(routes);
    const busiest = Math.max(1, ...[...users.values()].map((among) => among.length));
    const width = Math.min(3, Math.max(1.6, 16 / busiest));
    // The whole bundle stays near its street, however many share it.
    const step = Math.min(width + 0.5, 26 / busiest) * streets.unit() * (streets.map.lefthand ? -1 : 1);
    streets.layers.routes.replaceChildren(
      ...routes.map((route) => {
        const points = [];
        const offsets = [];
        for (const edge of route.edges) {
          if (edge < 0) continue;
          const among = users.get(edge);
          const slot = among.indexOf(route) - (among.length - 1) / 2;
          for (const point of streets.lines[edge]) {
            points.push(point);
            offsets.push(slot * step + step * 0.8);
          }
        }
        const kind = ["route", route.own && "own", route.kept && "kept", route.wrong && "wrong", !route.own && !route.wrong && leed.again(route.agent) && "again"];
        const style = `stroke:${leed.colour(route.agent)};stroke-width:${route.kept ? width * 0.8 : width}`;
        return leed.element("path", { class: kind.filter(Boolean).join(" "), d: points.length ? streets.path(beside(points, offsets)) : "", style, "data-agent": route.agent });
      }),
    );
  };

  // Marks pushed until none covers another, inside the map; where there are too many, they cover each other.
  const MOST_APART = 150;
  const apart = (places, gap) => {
    if (places.length > MOST_APART) return places;
    const moved = places.map(([x, y], k) => [x + 0.01 * Math.cos(2.4 * k), y + 0.01 * Math.sin(2.4 * k)]);
    const [left, top, width, height] = streets.bounds();
    for (let turn = 0; turn < 120; turn += 1) {
      let pushed = false;
      for (let a = 0; a < moved.length; a += 1) {
        for (let b = a + 1; b < moved.length; b += 1) {
          const [x, y] = [moved[a][0] - moved[b][0], moved[a][1] - moved[b][1]];
          const distance = Math.hypot(x, y) || 1e-6;
          if (distance >= gap) continue;
          const push = (gap - distance) / 2 / distance;
          moved[a] = [moved[a][0] + x * push, moved[a][1] + y * push];
          moved[b] = [moved[b][0] - x * push, moved[b][1] - y * push];
          pushed = true;
        }
      }
      if (!pushed) break;
    }
    const inside = (v, from, size) => Math.min(Math.max(v, from + gap / 2), from + size - gap / 2);
    return moved.map(([x, y], k) => {
      const here = places[k];
      const seen = here[0] > left && here[0] < left + width && here[1] > top && here[1] < top + height;
      return seen ? [inside(x, left, width), inside(y, top, height)] : [x, y];
    });
  };

  const sized = ([x, y]) => `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${streets.unit().toFixed(4)})`;

  const disc = (agent, place, kind) =>
    leed.element(
      "g",
      { class: kind, transform: sized(place), "data-agent": agent },
      leed.element("circle", { r: 9, style: `fill:${leed.colour(agent)}` }),
      leed.element("text", {}, agent),
    );

  const middle = (edge) => {
    const points = streets.lines[edge];
    const a = points[Math.floor((points.length - 1) / 2)];
    const b = points[Math.ceil((points.length - 1) / 2)];
    return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  };

  // agents: of data.streets.agents, those that are shown; faults: [{place, text}]; partings: [{place, text}].
  const mark = (agents, faults, partings, starts = true) => {
    const marks = agents.flatMap((agent) => {
      const goal = { agent: agent.agent, goal: true, place: [agent.goal[0], -agent.goal[1]] };
      return starts ? [{ agent: agent.agent, goal: false, place: middle(agent.start) }, goal] : [goal];
    });
    const places = apart([...marks, ...faults].map((m) => m.place), 19 * streets.unit());
    const drawn = [];
    marks.forEach((m, k) => {
      const style = `stroke:${leed.colour(m.agent)}`;
      const [from, to] = [m.place, places[k]];
      if (Math.hypot(from[0] - to[0], from[1] - to[1]) > 9 * streets.unit()) {
        drawn.push(leed.element("line", { class: "lead", style, x1: from[0], y1: from[1], x2: to[0], y2: to[1] }));
      }
    });
    marks.forEach((m, k) => {
      if (!m.goal) {
        drawn.push(disc(m.agent, places[k], "marker start"));
        return;
      }
      const colour = leed.colour(m.agent);
      drawn.push(
        leed.element(
          "g",
          { class: "marker goal", transform: sized(places[k]) },
          leed.element("rect", { x: -8, y: -8, width: 16, height: 16, rx: 2, style: `stroke:${colour}` }),
          leed.element("text", { style: `fill:${colour}` }, m.agent),
        ),
      );
    });
    for (const { place, text } of partings) {
      drawn.push(leed.element("g", { class: "parting", transform: sized(place) }, leed.element("title", {}, text), leed.element("path", { d: "M0 -7L7 0L0 7L-7 0Z" })));
    }
    faults.forEach(({ text }, k) => {
      const place = places[marks.length + k];
      const cross = leed.element("path", { d: "M-4 -4L4 4M-4 4L4 -4" });
      const name = leed.element("title", {}, text);
      const fault = leed.element("g", { class: "fault", tabindex: 0, role: "img", "aria-label": text, transform: sized(place) }, name, leed.element("circle", { r: 9 }), cross);
      const tell = () => (leed.byId("street-name").textContent = text);
      fault.addEventListener("focus", tell);
      fault.addEventListener("pointerenter", tell);
      drawn.push(fault);
    });
    streets.layers.markers.replaceChildren(...drawn);
  };

  const last = (edge) => streets.lines[edge][streets.lines[edge].length - 1];
  return { draw, mark, disc, sized, middle, last };
})();
