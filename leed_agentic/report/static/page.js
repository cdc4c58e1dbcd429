"use strict";
// What all scripts of the page share. Text from a run reaches the page as text only, never as HTML.
const leed = { data: JSON.parse(document.getElementById("data").textContent) };

leed.byId = (id) => document.getElementById(id);

leed.element = (tag, attributes = {}, ...children) => {
  const svg = ["svg", "g", "path", "line", "circle", "rect", "text", "title"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.map((child) => (typeof child === "object" ? child : String(child))));
  return made;
};

// Agent 10 begins the ten colours again, with dashed lines.
leed.colour = (agent) => `var(--agent-${agent % 10})`;
leed.again = (agent) => agent % 20 >= 10;

leed.number = (value, digits = 1) => (typeof value === "number" ? value.toFixed(digits) : "–");
leed.percent = (value) => (typeof value === "number" ? `${Math.round(100 * value)}%` : "–");
// Minutes and seconds, as a clock has them.
leed.minutes = (value) => (typeof value === "number" ? `${Math.floor(Math.round(value) / 60)}:${String(Math.round(value) % 60).padStart(2, "0")}` : "–");
