// Columns over time and over a scale of factors, as SVG that is drawn again when its width changes.
"use strict";

const tutuCharts = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 190;
  const FOOT = 24;
  const TOP = 18;
  const RIGHT = 8;
  const LETTER = 6.6; // pixels, of the labels

  const shape = (name, attributes, ...children) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const titled = (made, text) => {
    made.append(shape("title", {}, text));
    return made;
  };

  // Round values for an axis, three or four of them.
  const steps = (most) => {
    const rough = Math.max(most, 1e-9) / 3;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 2.5, 5, 10].find((each) => each * power >= rough);
    return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, at) => at * step);
  };

  const plain = (value) => String(Math.round(value * 1000) / 1000);

  // Draw columns. Each is {at, to, parts, title}: where it stands between 0 and 1, its heights by status, and its words.
  const columns = (place, { columns, ticks, marks = [], breaks = [], label }) => {
    const draw = () => {
      const width = Math.max(place.clientWidth, 240);
      const most = Math.max(...columns.map((each) => each.parts.reduce((sum, part) => sum + part, 0)));
      const levels = steps(most);
      const top = levels[levels.length - 1];
      const left = Math.ceil(Math.max(...levels.map((each) => plain(each).length)) * LETTER) + 10;
      // A mark stands at a value: columns that left a part of their bin empty would have it beside all values.
      const widest = marks.length ? Infinity : 44;
      const x = (share) => left + share * (width - left - RIGHT);
      const y = (value) => HEIGHT - FOOT - (value / top) * (HEIGHT - FOOT - TOP);
      const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": label });
      for (const level of levels) {
        svg.append(shape("line", { class: "grid", x1: left, x2: width - RIGHT, y1: y(level), y2: y(level) }));
        svg.append(shape("text", { class: "tick", x: left - 6, y: y(level) + 4, "text-anchor": "end" }, plain(level)));
      }
      for (const each of columns) {
        const from = x(each.at);
        const room = x(each.to) - from;
        const wide = Math.max(Math.min(room - Math.min(2, room / 4), widest), 0.5);
        const group = titled(shape("g", {}), each.title);
        // The whole height answers to the pointer, since a low column is hard to hit.
        group.append(shape("rect", { class: "hit", x: from, y: TOP, width: room, height: HEIGHT - FOOT - TOP }));
        let below = 0;
        each.parts.forEach((part, at) => {
          if (part > 0) {
            const tall = Math.max(y(below) - y(below + part), 1);
            const box = { x: from + (room - wide) / 2, y: y(below + part), width: wide, height: tall, rx: Math.min(2, wide / 4) };
            group.append(shape("rect", { class: `part-${at}`, ...box }));
          }
          below += part;
        });
        svg.append(group);
      }
      for (const { at, text } of breaks) {
        const line = shape("line", { class: "break", x1: x(at), x2: x(at), y1: TOP - 4, y2: HEIGHT - FOOT });
        const middle = Math.min(Math.max(x(at), left + (text.length * LETTER) / 2), width - (text.length * LETTER) / 2);
        svg.append(titled(line, text));
        if (breaks.length < 4) svg.append(shape("text", { class: "mark-text", x: middle, y: TOP - 7, "text-anchor": "middle" }, text));
      }
      let free = 0;
      let before = "";
      for (const { at, text } of ticks) {
        if (text === before) continue;
        before = text;
        const half = (text.length * LETTER) / 2;
        const middle = Math.min(Math.max(x(at), left + half - 4), width - half - 2);
        if (middle - half < free) continue;
        free = middle + half + 10;
        svg.append(shape("text", { class: "tick", x: middle, y: HEIGHT - 7, "text-anchor": "middle" }, text));
      }
      let taken = -Infinity;
      for (const { at, text } of marks) {
        const long = text.length * LETTER;
        svg.append(shape("line", { class: "mark", x1: x(at), x2: x(at), y1: TOP - 4, y2: HEIGHT - FOOT }));
        const begin = Math.max(x(at) + long + 4 > width ? x(at) - long - 4 : x(at) + 4, taken);
        if (begin + long > width) continue;
        taken = begin + long + 8;
        svg.append(shape("text", { class: "mark-text", x: begin, y: TOP - 5 }, text));
      }
      place.replaceChildren(svg);
    };
    let drawn = 0;
    new ResizeObserver(() => {
      if (Math.abs(place.clientWidth - drawn) < 2) return;
      drawn = place.clientWidth;
      draw();
    }).observe(place);
  };

  const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

  // Lay bins of counts out in columns of one width; pauses of the run take no room, and a break shows where one was.
  const timeline = ({ width, bins }, most) => {
    const span = bins[bins.length - 1][0] + width - bins[0][0];
    const pause = Math.max(300, span / 20);
    const stretches = [];
    for (const bin of bins) {
      const last = stretches[stretches.length - 1];
      if (last && bin[0] - last[last.length - 1][0] <= pause) last.push(bin);
      else stretches.push([bin]);
    }
    const active = stretches.reduce((sum, each) => sum + each[each.length - 1][0] + width - each[0][0], 0);
    const wanted = active / most;
    const round = WIDTHS.find((each) => each >= wanted) ?? Math.ceil(wanted / 86400) * 86400;
    const wide = Math.ceil(round / width) * width; // Whole bins, or columns would hold now one and now two of them.
    const columns = [];
    const pauses = [];
    stretches.forEach((stretch, at) => {
      if (at) pauses.push({ before: columns.length, seconds: stretch[0][0] - stretches[at - 1].at(-1)[0] });
      const begin = Math.floor(stretch[0][0] / wide) * wide;
      const count = Math.floor((stretch[stretch.length - 1][0] - begin) / wide) + 1;
      const here = Array.from({ length: count }, (_, place) => ({ begin: begin + place * wide, counts: [0, 0, 0] }));
      for (const [when, ...counts] of stretch) {
        const column = here[Math.floor((when - begin) / wide)];
        counts.forEach((value, place) => { column.counts[place] += value; });
      }
      columns.push(...here);
    });
    return { columns, pauses, wide, active };
  };

  return { columns, timeline };
})();
