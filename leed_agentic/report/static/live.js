"use strict";
// Asks the training run for news and draws them; nothing is ever sent to it.

(() => {
  const EVERY = 3000;
  const state = leed.byId("live-state");
  let tag = null;

  const news = async () => {
    try {
      const answer = await fetch("data.json", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        const { data, tiles, state: line } = await answer.json();
        leed.data = data;
        leed.charts?.load(data.charts);
        if (data.streets) leed.views?.load(data.streets);
        for (const [name, value] of tiles) {
          const tile = document.querySelector(`[data-tile="${CSS.escape(name)}"]`);
          if (tile) tile.textContent = value;
        }
        state.textContent = line;
      }
      setTimeout(news, EVERY);
    } catch {
      state.textContent = "The training run has ended or was stopped; leed report and the run's folder give the whole report.";
    }
  };
  setTimeout(news, 500);
})();
