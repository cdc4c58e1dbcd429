"use strict";
// The animation: vehicles on their streets at a simulated second, with play, pause, speed and a time slider.
leed.player = (() => {
  const streets = leed.streets;
  if (!streets) return null;
  const [button, slider, clock, speed] = ["play", "time", "clock", "speed"].map(leed.byId);
  let drives = [];
  let cars = false;
  let begin = 0;
  let now = 0;
  let end = 1;
  const recorded = () => cars && leed.cars !== null;
  let playing = null;

  // The point a share of the way along an edge.
  const along = (edge, share) => {
    const points = streets.lines[edge];
    const lengths = points.slice(1).map((p, k) => Math.hypot(p[0] - points[k][0], p[1] - points[k][1]));
    let left = share * lengths.reduce((sum, length) => sum + length, 0);
    for (let k = 0; k < lengths.length; k += 1) {
      if (left <= lengths[k] || k === lengths.length - 1) {
        const part = lengths[k] ? Math.min(left / lengths[k], 1) : 0;
        return [points[k][0] + part * (points[k + 1][0] - points[k][0]), points[k][1] + part * (points[k + 1][1] - points[k][1])];
      }
      left -= lengths[k];
    }
    return points[0];
  };

  // Where a vehicle is: [point, state].
  const where = (leg, time) => {
    const edges = leed.data.streets.routes[leg.route];
    const { times } = leg;
    if (time <= times[0]) return [along(edges[0], 0), time < times[0] ? "waiting" : "driving"];
    if (time >= times[times.length - 1]) return [along(edges[edges.length - 1], 1), leg.arrived ? "done" : "driving"];
    let k = 0;
    while (time >= times[k + 1]) k += 1;
    return [along(edges[k], (time - times[k]) / Math.max(times[k + 1] - times[k], 0.1)), "driving"];
  };

  // Where SUMO had it, if that is recorded; else where its decisions put it.
  const placed = (agent, leg) => {
    const found = recorded() ? leed.cars.place(agent, now) : null;
    return found ? [found, "driving"] : where(leg, now);
  };

  const draw = () => {
    const vehicles = drives.flatMap(({ agent, leg, hollow }) => {
      const [place, state] = placed(agent, leg);
      const drawn = leed.routes.disc(agent, place, `vehicle ${state}`);
      if (hollow) drawn.firstChild.setAttribute("stroke-dasharray", "3 2");
      return [drawn];
    });
    streets.layers.vehicles.replaceChildren(...vehicles);
    slider.value = Math.round(now);
    clock.textContent = `${Math.round(now)} s`;
    let told = `${Math.round(now)} of ${end} seconds`;
    if (recorded()) {
      const [stand, slow, drive] = leed.cars.draw(now);
      told += `: ${drive} drive, ${slow} slowly, ${stand} stand`;
    }
    slider.setAttribute("aria-valuetext", told);
  };

  const pause = () => {
    playing = null;
    button.textContent = "Play";
  };

  const step = (started, from) => (stamp) => {
    if (playing !== started) return;
    now = Math.min(from.time + ((stamp - from.stamp) / 1000) * Number(speed.value), end);
    draw();
    if (now >= end) pause();
    else requestAnimationFrame(step(started, { time: now, stamp }));
  };

  const play = () => {
    if (now >= end) now = begin;
    const started = {};
    playing = started;
    button.textContent = "Pause";
    requestAnimationFrame((stamp) => step(started, { time: now, stamp })(stamp));
  };

  button.addEventListener("click", () => (playing ? pause() : play()));
  slider.addEventListener("input", () => {
    pause();
    now = Number(slider.value);
    draw();
  });

  // shown: [{agent, leg, hollow}], of these legs; no legs clear the streets. all: whether every vehicle drives as well.
  const load = (shown, legs, all = false) => {
    drives = shown;
    cars = all;
    leed.cars?.show(recorded());
    if (!legs.length) pause();
    begin = Math.floor(legs.reduce((least, leg) => Math.min(least, leg.times[0]), Infinity));
    end = Math.ceil(legs.reduce((most, leg) => Math.max(most, leg.times[leg.times.length - 1]), 1));
    if (!Number.isFinite(begin)) begin = 0;
    if (recorded()) [begin, end] = [Math.floor(leed.cars.first), Math.ceil(leed.cars.last)];
    slider.min = begin;
    slider.max = end;
    now = Math.min(Math.max(now, begin), end);
    draw();
  };
  return { load, pause };
})();
