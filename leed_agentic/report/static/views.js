"use strict";
// What the map shows: plans round by round, a driven episode, or demonstrations against agents.
leed.views = (() => {
  const streets = leed.streets;
  if (!streets) return null;
  const hidden = new Set();
  let mode = null;
  // From here on a box for each agent helps nobody: streets show flows, and a few vehicles are picked.
  const MANY = 20;
  const FEW = 10;
  const MOST_ROWS = 100;
  const MOST_FINDINGS = 50;
  const many = () => data.agents.length > MANY;
  let data = leed.data.streets;

  const shows = (agent) => !hidden.has(Number(agent));
  const drive = (name) => data.drives.find((d) => (name === "own" ? d.name === "Agents" : d.name !== "Agents"));
  const edges = (number) => data.routes[number];
  const street = (edge) => (edge >= 0 ? streets.map.edges[edge][1] || `edge ${streets.map.edges[edge][0]}` : "an unknown edge");
  const span = (...children) => leed.element("span", {}, ...children);

  // -- plans -----------------------------------------------------------------------------------------------------------
  const faultPlace = (plan, finding) => {
    const route = plan.routes[finding.agent] === undefined ? [] : edges(plan.routes[finding.agent]);
    const until = finding.position === null ? route.length - 1 : finding.position;
    for (let k = Math.min(until, route.length - 1); k >= 0; k -= 1) {
      if (route[k] < 0) continue;
      return k === finding.position && k > 0 && finding.kind !== "does_not_reach_goal" ? leed.routes.middle(route[k]) : leed.routes.last(route[k]);
    }
    const agent = data.agents.find((a) => a.agent === finding.agent);
    return agent ? leed.routes.middle(agent.start) : null;
  };

  const sentence = (figures, plan) => {
    const parts = [`asked for ${plan.asked.length} agent${plan.asked.length === 1 ? "" : "s"}`];
    if (typeof figures.validity_reply === "number") parts.push(`valid in the reply ${leed.percent(figures.validity_reply)}`);
    if (typeof figures.validity === "number") parts.push(`valid in all ${leed.percent(figures.validity)}`);
    if (typeof figures.reward_mean === "number") parts.push(`mean reward ${leed.number(figures.reward_mean)}`);
    if (typeof figures.arrival_rate === "number") parts.push(`arrived ${leed.percent(figures.arrival_rate)}`);
    if (typeof figures.travel_time_ratio === "number") parts.push(`${leed.number(figures.travel_time_ratio, 2)} times the shortest path`);
    if (typeof figures.fleet_time === "number") parts.push(`the fleet takes ${leed.number(figures.fleet_time)} s`);
    if (typeof figures.dtw_mean === "number") parts.push(`DTW to the agents ${Math.round(figures.dtw_mean)} m`);
    return parts.join(" · ");
  };

  const showPlan = () => {
    const slider = leed.byId("round");
    const plan = data.plans[Number(slider.value)];
    const wrong = new Set(plan.findings.map((f) => f.agent));
    leed.byId("round-label").textContent = `${plan.label} (${Number(slider.value) + 1} of ${data.plans.length})`;
    slider.setAttribute("aria-valuetext", plan.label);
    leed.byId("round-figures").textContent = sentence(plan.figures, plan);
    const routes = Object.entries(plan.routes).filter(([agent]) => shows(agent));
    leed.routes.draw(
      routes.map(([agent, number]) => ({
        agent: Number(agent),
        edges: edges(number),
        kept: !plan.new.includes(Number(agent)),
        wrong: wrong.has(Number(agent)) && plan.new.includes(Number(agent)),
      })),
    );
    const faults = plan.findings
      .filter((f) => f.agent === null || shows(f.agent))
      .map((f) => ({ place: faultPlace(plan, f), text: f.message }))
      .filter((f) => f.place);
    leed.routes.mark(data.agents.filter((a) => shows(a.agent)), faults, []);
    const told = plan.findings.slice(0, MOST_FINDINGS).map((f) => leed.element("li", {}, f.message));
    const more = plan.findings.length - told.length;
    if (more > 0) told.push(leed.element("li", { class: "none" }, `and ${more} more`));
    leed.byId("findings").replaceChildren(...(told.length ? told : [leed.element("li", { class: "none" }, "Nothing: every route of this plan can be driven.")]));
    key([
      span(leed.element("i", { style: "border-color:currentColor" }), "planned in this round"),
      span(leed.element("i", { style: "border-color:currentColor;opacity:.45" }), "kept from before"),
      span(leed.element("i", { style: "border-top-style:dotted;border-color:currentColor" }), "dotted: cannot be driven; a cross says why"),
      ...(data.agents.length > 10 && !many() ? [span("long dashes: the colour's second agent")] : []),
    ]);
  };

  // -- drives ----------------------------------------------------------------------------------------------------------
  const legs = (name) => Object.entries(drive(name)?.legs || {}).filter(([agent]) => shows(agent));

  const trafficKey = (scale, kind) => {
    if (!scale) return [];
    const block = (level) => leed.element("i", { class: "block", style: `background:var(--traffic-${level})` });
    const unit = kind === "vehicles" ? "vehicles" : "seconds driven there, all vehicles together";
    return [span("few", ...[1, 2, 3, 4, 5].map(block), `up to ${Math.round(scale.most)} ${unit}`)];
  };

  const speedKey = () => {
    if (!leed.cars) return [];
    const dot = (kind, text) => span(leed.element("i", { class: "dot", style: `background:var(--${kind})` }), text);
    return [dot("drives", "every vehicle: drives"), dot("slow", "below 18 km/h"), dot("stands", "stands")];
  };

  const showDrive = (name) => {
    const kind = leed.byId("traffic").value;
    const scale = streets.colourBy(kind, drive(name).traffic);
    leed.routes.draw(kind === "none" ? legs(name).map(([agent, leg]) => ({ agent: Number(agent), edges: edges(leg.route) })) : []);
    leed.routes.mark(data.agents.filter((a) => shows(a.agent) && drive(name).legs[a.agent]), [], [], false);
    const shown = legs(name).map(([agent, leg]) => ({ agent: Number(agent), leg }));
    leed.player.load(shown, Object.values(drive(name).legs), name === "drive");
    key([span("disc: vehicle, square: goal"), ...(name === "drive" ? speedKey() : []), ...trafficKey(scale, kind)]);
  };

  const called = (agent) => {
    const { name } = data.agents.find((a) => a.agent === Number(agent));
    return name === String(agent) ? `Agent ${name}` : name;
  };

  const partings = () =>
    legs("drive").flatMap(([agent, leg]) => {
      const shared = data.comparison[agent]?.shared;
      if (!shared) return [];
      const route = edges(leg.route);
      return [{ place: leed.routes.last(route[shared - 1]), text: `${called(agent)} parts from its demonstration after ${street(route[shared - 1])}` }];
    });

  const showComparison = () => {
    const both = [
      ...legs("drive").map(([agent, leg]) => ({ agent: Number(agent), edges: edges(leg.route) })),
      ...legs("own").map(([agent, leg]) => ({ agent: Number(agent), edges: edges(leg.route), own: true })),
    ];
    // An agent's two routes run next to each other.
    leed.routes.draw(both.sort((a, b) => a.agent - b.agent));
    leed.routes.mark(data.agents.filter((a) => shows(a.agent)), [], partings());
    key([
      span(leed.element("i", { style: "border-color:currentColor" }), "demonstration"),
      span(leed.element("i", { style: "border-top-style:dashed;border-color:currentColor" }), "agent's last drive"),
      span("◆ where they part"),
    ]);
  };

  const key = (parts) => leed.byId("map-key").replaceChildren(...parts);

  // -- agents ----------------------------------------------------------------------------------------------------------
  const parts = (agent) => {
    const pair = data.comparison[agent];
    if (!pair) return "–";
    const route = edges(drive("drive").legs[agent]?.route ?? 0);
    if (pair.shared === null) return "never";
    return pair.shared === 0 ? "at the start" : `after ${street(route[pair.shared - 1])}`;
  };

  const fillTable = () => {
    const own = drive("own");
    const expert = drive("drive");
    const compared = own && expert;
    const head = ["agent", "from", "to", "departs"];
    const figures = (name) => [`${name}: reward`, "minutes", "arrived"];
    if (expert) head.push(...figures(own ? "expert" : "driven"));
    if (own) head.push(...figures("agent"));
    if (compared) head.push("parts", "DTW, m");
    const cells = (leg) => (leg ? [leed.number(leg.reward), leed.minutes(leg.seconds), leg.arrived ? "yes" : "no"] : ["–", "–", "–"]);
    const rows = listed().map((a) => {
      const row = [street(a.start), a.goal_name, `${Math.round(a.departure)} s`];
      if (expert) row.push(...cells(expert.legs[a.agent]));
      if (own) row.push(...cells(own.legs[a.agent]));
      if (compared) row.push(parts(a.agent), leed.number(data.comparison[a.agent]?.dtw, 0));
      return leed.element("tr", {}, leed.element("th", { scope: "row" }, a.name), ...row.map((cell) => leed.element("td", {}, cell)));
    });
    const table = leed.byId("agent-table");
    table.tHead.replaceChildren(leed.element("tr", {}, ...head.map((name) => leed.element("th", { scope: "col" }, name))));
    table.tBodies[0].replaceChildren(...rows);
  };

  // -- many vehicles ---------------------------------------------------------------------------------------------------
  const leg = (agent) => (drive("own") || drive("drive"))?.legs[agent];
  const seconds = (agent) => leg(agent)?.seconds ?? Infinity;
  const found = () => {
    const words = leed.byId("find").value.trim().toLowerCase();
    if (!words) return data.agents;
    return data.agents.filter((a) => [String(a.agent), a.name.toLowerCase()].includes(words) || `${street(a.start)} ${a.goal_name}`.toLowerCase().includes(words));
  };
  const slower = (a, b) => (seconds(a.agent) === seconds(b.agent) ? a.agent - b.agent : seconds(a.agent) > seconds(b.agent) ? -1 : 1);
  const slowest = (agents) => [...agents].sort(slower);
  const picked = () => {
    const driven = data.agents.filter((a) => leg(a.agent));
    const choice = leed.byId("pick").value;
    if (choice === "slowest") return slowest(driven.filter((a) => leg(a.agent).arrived)).slice(0, FEW);
    if (choice === "fastest") return slowest(driven.filter((a) => leg(a.agent).arrived)).reverse().slice(0, FEW);
    if (choice === "lost") return driven.filter((a) => !leg(a.agent).arrived).slice(0, FEW);
    return choice === "found" ? found().slice(0, FEW) : [];
  };

  // The agents of the table: all, or of many those that are picked or found, who take longest first.
  const listed = () => {
    if (!many()) return data.agents;
    const chosen = picked();
    return chosen.length ? chosen : slowest(found()).slice(0, MOST_ROWS);
  };

  const pick = () => {
    if (!many()) return;
    hidden.clear();
    const chosen = new Set(picked().map((a) => a.agent));
    data.agents.forEach(({ agent }) => chosen.has(agent) || hidden.add(agent));
    leed.byId("found").textContent = `${found().length} of ${data.agents.length} found; the table shows ${listed().length}`;
    fillTable();
  };

  for (const [name, event] of [["pick", "change"], ["find", "input"]]) {
    leed.byId(name).addEventListener(event, () => {
      pick();
      show();
    });
  }

  const fillDownloads = () => {
    const buttons = Object.entries(leed.data.downloads || {}).map(([name, text]) => {
      const button = leed.element("button", { type: "button" }, `Save ${name}`);
      button.addEventListener("click", () => {
        const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
        leed.element("a", { href: address, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 1000);
      });
      return button;
    });
    leed.byId("downloads").replaceChildren(...buttons);
  };

  const fillChips = () => {
    leed.byId("agents").hidden = many();
    leed.byId("fleet").hidden = !many();
    if (many()) return;
    const boxes = data.agents.map(({ agent, name }) => {
      const box = leed.element("input", { type: "checkbox", value: agent });
      box.checked = shows(agent);
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(agent);
        else hidden.add(agent);
        show();
      });
      return leed.element("label", {}, box, leed.element("b", { style: `background:${leed.colour(agent)}` }, name));
    });
    const chips = leed.byId("agents");
    chips.querySelectorAll("label").forEach((label) => label.remove());
    chips.append(...boxes);
  };

  const setAll = (visible) => {
    hidden.clear();
    if (!visible) data.agents.forEach(({ agent }) => hidden.add(agent));
    leed.byId("agents").querySelectorAll("input").forEach((box) => (box.checked = visible));
    show();
  };
  leed.byId("all-agents").addEventListener("click", () => setAll(true));
  leed.byId("no-agents").addEventListener("click", () => setAll(false));

  // -- all together ----------------------------------------------------------------------------------------------------
  const show = () => {
    const driving = mode === "drive" || mode === "own";
    leed.byId("plan-controls").hidden = mode !== "plan";
    leed.byId("round-figures").hidden = mode !== "plan";
    leed.byId("drive-controls").hidden = !driving;
    leed.byId("findings").hidden = leed.byId("findings-title").hidden = mode !== "plan";
    if (!driving) {
      streets.colourBy("none", null);
      leed.player.load([], []);
    }
    if (mode === "plan") showPlan();
    else if (driving) showDrive(mode);
    else if (mode === "compare") showComparison();
    else leed.routes.mark(data.agents.filter((a) => shows(a.agent)), [], []);
  };

  // Draw this data; the reader's choices stay where they can.
  const load = (next) => {
    data = next;
    const slider = leed.byId("round");
    const atEnd = Number(slider.value) >= Number(slider.max);
    slider.max = Math.max(data.plans.length - 1, 0);
    if (atEnd && "live" in document.body.dataset) slider.value = slider.max;
    const able = { plan: data.plans.length > 0, drive: Boolean(drive("drive")), own: Boolean(drive("own")) };
    able.compare = able.drive && able.own;
    leed.byId("drive-name").textContent = able.own ? "Demonstrations, driven" : "Driven routes";
    for (const label of leed.byId("modes").querySelectorAll("label")) {
      label.hidden = !able[label.dataset.mode];
    }
    leed.byId("modes").hidden = !Object.values(able).some(Boolean);
    // What was driven goes first; the plans before it are there for who asks.
    if (!able[mode]) mode = ["compare", "drive", "own", "plan"].find((name) => able[name]) || null;
    for (const radio of leed.byId("modes").querySelectorAll("input")) radio.checked = radio.value === mode;
    fillChips();
    pick();
    fillTable();
    fillDownloads();
    show();
  };

  leed.byId("modes").addEventListener("change", (event) => {
    mode = event.target.value;
    leed.player.pause();
    show();
  });
  leed.byId("round").addEventListener("input", showPlan);
  leed.byId("traffic").addEventListener("change", show);
  streets.follow(() => mode !== null && show());
  load(data);
  return { load };
})();
