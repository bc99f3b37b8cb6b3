"use strict";
// Makes the drawings of this page interactive: tooltips, selection in legends, zoom on time.
// Without JavaScript, or where anything here fails, the drawings stay as they are.
(() => {
  const figures = [...document.querySelectorAll("[data-chart]")];
  if (!figures.length || !("DecompressionStream" in window)) return;

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };

  let loading;
  const load = () => (loading ??= unpack(document.getElementById("vega").textContent).then((code) => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
  }));

  // Text only: what a tooltip shows can never become markup.
  let tip;
  const tooltip = (_, event, __, value) => {
    tip?.remove();
    if (value === null || value === undefined || value === "") return;
    tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("aria-hidden", "true");
    for (const [name, text] of typeof value === "object" ? Object.entries(value) : [["", value]])
      for (const part of [name, text]) {
        const span = document.createElement("span");
        span.textContent = String(part);
        tip.append(span);
      }
    document.body.append(tip);
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - box.width - 8)) + "px";
    tip.style.top = (event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18) + "px";
  };

  // Every view that is as wide as a chart was drawn becomes narrower by what the page lacks.
  const fit = (part, from, by) => {
    if (Array.isArray(part)) part.forEach((inner) => fit(inner, from, by));
    else if (part && typeof part === "object") {
      if (part.width === from) part.width = Math.max(160, from + by);
      if (part.mark?.limit) part.mark.limit *= Math.max(160, from + by) / from;
      for (const key of ["layer", "vconcat", "spec"]) fit(part[key], from, by);
    }
  };

  // A phone has room for two columns of a legend that asks for more.
  const columns = (part) => {
    if (!part || typeof part !== "object") return;
    if (part.legend?.columns > 2) part.legend.columns = 2;
    Object.values(part).forEach(columns);
  };

  // One drawing of a figure at a time: where the room has changed meanwhile, it is drawn again at the end.
  const drawn = new Map();
  const busy = new Set();
  const draw = async (figure) => {
    if (busy.has(figure)) return;
    busy.add(figure);
    try {
      for (let tries = 0; tries < 4 && drawn.get(figure) !== figure.clientWidth; tries++) {
        drawn.set(figure, figure.clientWidth);
        await drawInto(figure, figure.clientWidth);
      }
    } finally {
      busy.delete(figure);
    }
  };
  const drawInto = async (figure, room) => {
    await load();
    const text = await unpack(figure.dataset.chart);
    const from = Number(figure.dataset.width);
    const narrowed = (by) => {
      const spec = JSON.parse(text);
      if (room < 560 && spec.config?.legend) spec.config.legend.columns = 1;
      if (room < 560) columns(spec);
      fit(spec, from, by);
      return spec;
    };
    const live = document.createElement("div");
    live.className = "live";
    live.hidden = true;
    figure.append(live);
    const options = { ast: true, renderer: "svg", actions: false, defaultStyle: false, mode: "vega-lite", tooltip };
    try {
      const by = Math.min(0, room - Number(figure.dataset.drawn));
      await vegaEmbed(live, narrowed(by), options);
      // Labels that stand out at the sides do not shrink with their view.
      const over = Number(live.querySelector("svg")?.getAttribute("width")) - room;
      if (over > 1) await vegaEmbed(live, narrowed(by - over), options);
      live.querySelector("svg")?.setAttribute("aria-hidden", "true");
      figure.querySelectorAll(".drawing, .live:not(:last-child)").forEach((old) => old.remove());
      live.hidden = false;
      figure.dataset.state = "live";
    } catch (error) {
      live.remove();
      figure.dataset.state = "static";
      console.error(error);
    }
  };

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "600px" });
  const start = () => figures.forEach((figure) => seen.observe(figure));
  "requestIdleCallback" in window ? requestIdleCallback(start, { timeout: 400 }) : setTimeout(start, 50);

  let pause;
  addEventListener("resize", () => {
    clearTimeout(pause);
    pause = setTimeout(() => [...drawn.keys()].forEach(draw), 200);
  });
  addEventListener("scroll", () => tip?.remove(), { passive: true });
})();
