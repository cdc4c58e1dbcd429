"use strict";
// All vehicles where SUMO had them, as dots coloured by their speed.
leed.cars = (() => {
  const canvas = leed.byId("cars");
  const recorded = leed.data.streets?.positions;
  if (!canvas || !recorded) return null;
  const SLOW = 5;
  const STANDS = 0.7;
  const { begin, period } = recorded;
  // [number of the first sample, x and y of every sample], y downwards as on the page.
  const decoded = (track) => {
    const places = new Int32Array(track.length - 1);
    for (let k = 0; k < places.length; k += 1) places[k] = (k % 2 ? -track[k + 1] : track[k + 1]) + (k < 2 ? 0 : places[k - 2]);
    return [track[0], places];
  };
  const agents = new Map(Object.entries(recorded.agents).map(([agent, track]) => [Number(agent), decoded(track)]));
  const all = [...agents.values(), ...recorded.others.map(decoded)];
  const first = all.reduce((least, [start]) => Math.min(least, start), Infinity) * period + begin;
  const last = all.reduce((most, [start, places]) => Math.max(most, start + places.length / 2 - 1), 0) * period + begin;

  // [x, y, metres per second] at a second; null before and after it drives.
  const at = ([start, places], time) => {
    const sample = (time - begin) / period - start;
    const count = places.length / 2;
    if (sample < 0 || sample > count - 1) return null;
    const k = Math.min(Math.floor(sample), Math.max(count - 2, 0));
    const next = Math.min(k + 1, count - 1);
    const [dx, dy] = [places[2 * next] - places[2 * k], places[2 * next + 1] - places[2 * k + 1]];
    const share = sample - k;
    return [places[2 * k] + share * dx, places[2 * k + 1] + share * dy, Math.hypot(dx, dy) / period];
  };

  const place = (agent, time) => (agents.has(agent) ? at(agents.get(agent), time) : null);

  const draw = (time) => {
    const seen = canvas.getBoundingClientRect();
    const dense = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [seen.width * dense, seen.height * dense];
    const pen = canvas.getContext("2d");
    const matrix = leed.byId("streets").getScreenCTM();
    const style = getComputedStyle(document.documentElement);
    const colour = ["--stands", "--slow", "--drives"].map((name) => style.getPropertyValue(name));
    const halo = style.getPropertyValue("--halo");
    const counts = [0, 0, 0];
    const size = Math.min(6, Math.max(3, 3 / leed.streets.unit())) * dense;
    for (const track of all) {
      const found = at(track, time);
      if (!found) continue;
      const kind = found[2] < STANDS ? 0 : found[2] < SLOW ? 1 : 2;
      counts[kind] += 1;
      pen.beginPath();
      pen.arc((found[0] * matrix.a + matrix.e - seen.left) * dense, (found[1] * matrix.d + matrix.f - seen.top) * dense, size, 0, 7);
      pen.fillStyle = colour[kind];
      pen.strokeStyle = halo;
      pen.fill();
      pen.stroke();
    }
    return counts;
  };

  const show = (visible) => (canvas.hidden = !visible);
  return { draw, place, show, first, last };
})();
