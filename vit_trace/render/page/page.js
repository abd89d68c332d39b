"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const start = Object.fromEntries(data.knobs.map(([name, , value]) => [name, value]));
  let now = { ...start };

  // Values of all entries: null is unknown. Whole numbers beyond 2^53 are not exact, and so unknown.
  const sure = (value) => (Number.isSafeInteger(value) ? value : null);
  const signs = {
    "+": (parts) => parts.reduce((one, two) => one + two, 0),
    "*": (parts) => parts.reduce((one, two) => one * two, 1),
    "/": ([top, bottom]) => (bottom === 0 ? null : Math.floor(top / bottom)),
    min: (parts) => Math.min(...parts),
    "=": (parts) => (parts.every((one) => one === parts[0]) ? parts[0] : null),
  };
  const computed = (knobs) => {
    const changed = Object.keys(start).some((name) => knobs[name] !== start[name]);
    const values = [];
    for (const [sign, ...parts] of data.entries) {
      if (sign === "n") values.push(parts[0]);
      else if (sign === "?") values.push(changed || parts[0] < 0 ? null : parts[0]);
      else if (sign === "s") values.push(parts[0] in knobs ? knobs[parts[0]] : null);
      else {
        const inner = parts.map((place) => values[place]);
        values.push(inner.includes(null) ? null : sure(signs[sign](inner)));
      }
    }
    return values;
  };

  // What is wrong with the values: a size that does not divide, other stages, a size of nothing.
  const holds = (branch, values) => branch.every(([, place, text]) => values[place] === values[text]);
  const before = computed(start);
  const sized = [...new Set(all("tbody td [data-e]:not([data-u])").map((one) => +one.dataset.e))];
  const severe = ["dropped", "unknown", "refused"];
  const undivided = (values) => data.checks.filter(([, , top, bottom]) => values[bottom] > 0 && values[top] % values[bottom]).sort((one, other) => severe.indexOf(other[4]) - severe.indexOf(one[4]));
  const emptied = (values) => sized.filter((place) => values[place] !== null && values[place] <= 0 && before[place] > 0);
  const restructured = (values) => {
    for (const branch of data.branches)
      if (holds(branch, values) !== holds(branch, before)) return "the model has other stages where " + branch.map(([name, , text]) => `${name} = ${values[text]}`).join(" and ") + ": trace it with these values";
    for (const [name, place, low, high] of data.held)
      if (values[place] !== null && (values[place] < low || values[place] > high))
        return `${name} decides which stages there are: they stay ${low === high ? `at ${low}` : `from ${low} to ${high}`}; trace the model with ${values[place]}`;
    const layers = now[data.layers], [fewest, most] = data.layered;
    if (layers < fewest || layers > most) return `layers are known to be equal from ${fewest} to ${most}; trace the model with ${data.layers} ${layers}`;
    return "";
  };
  const wrongs = (values) => undivided(values).length + emptied(values).length;
  const said = { dropped: "pixels are left out", unknown: "not known, it may not run", refused: "does not run" };
  const divided = ([top, bottom, above, below, rest], values) => `${said[rest]}: ${top} = ${values[above]} is not a multiple of ${bottom === String(values[below]) ? bottom : `${bottom} = ${values[below]}`}`;
  const problem = (values) => {
    const [check] = undivided(values);
    if (check && check[4] !== "dropped") return divided(check, values);
    return emptied(values).length ? "does not run: a size would be 0" : "";
  };
  // The nearest values at which less is wrong; a height and a width that are equal move together.
  const pairs = Object.fromEntries(data.knobs.map(([name, label]) => [name, data.knobs.filter((other) => label.includes("[") && other[1].split("[")[0] === label.split("[")[0]).map(([other]) => other)]));
  const together = (name) => (pairs[name].length === 2 && pairs[name].every((one) => now[one] === now[name]) && !document.getElementById("apart")?.checked ? pairs[name] : [name]);
  const changed = (name, value) => ({ ...now, ...Object.fromEntries(together(name).map((one) => [one, value])) });
  const near = (name) => {
    const found = [], most = wrongs(computed(now));
    for (const step of [-1, 1])
      for (let by = 1; by <= 4096 && now[name] + step * by > 0; by++)
        if (wrongs(computed(changed(name, now[name] + step * by))) < most) {
          found.push(now[name] + step * by);
          break;
        }
    return found;
  };

  const units = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "K"]];
  const compact = (value) => {
    const found = units.find(([unit]) => value >= unit * 0.9995);
    if (!found) return String(value);
    const digits = value / found[0];
    return `${digits.toFixed(digits < 9.995 ? 2 : digits < 99.95 ? 1 : 0)} ${found[1]}`;
  };
  const binary = (value) => {
    let unit = 0;
    while (value >= 1024 && unit < 5) { value /= 1024; unit++; }
    return `${unit ? value.toFixed(1) : value} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
  };
  const written = { exact: (value) => value.toLocaleString("en-US"), bytes: binary, count: compact };
  const shown = all("[data-e]").map((one) => [one, +one.dataset.e, written[one.dataset.u] || String, one.textContent]);

  // The lines of a small picture, as render/drawing.py draws them.
  const lines = (kind, sizes, extra) => {
    const [width, height] = [40, 36];
    const [rows, columns] = sizes.map((size) => (kind === "tokens" ? Math.min(size, 10) : size <= 16 ? size : 1));
    const across = [], down = [];
    if (kind === "tokens") {
      for (let row = Math.min(extra, rows); row < rows; row++) across.push(`M0 ${((height / rows) * (row + 0.5)).toFixed(1)}H${width}`);
      return across.join("");
    }
    for (let row = 0; row <= rows; row++) across.push(`M0 ${((height * row) / rows).toFixed(1)}H${width}`);
    for (let column = 0; column <= columns; column++) down.push(`M${((width * column) / columns).toFixed(1)} 0V${height}`);
    return across.join("") + down.join("") + (kind === "square" && rows === 1 ? `M0 0L${width} ${height}` : "");
  };
  const pictures = all("[data-g]").map((one) => [one.querySelector("path"), one.dataset.g, (one.dataset.a || "").trim().split(" ").map(Number), +one.dataset.x]);

  const note = document.getElementById("told");
  let touched = "", unused = "";
  const show = () => {
    const same = Object.keys(start).every((name) => now[name] === start[name]);
    const values = computed(now);
    const others = restructured(values), wrong = same ? "" : problem(values);
    const [dropping] = same ? [] : undivided(values);
    const doubtful = wrong || unused || (others && !same);
    for (const [one, place, write, text] of shown) {
      const value = doubtful ? null : values[place];
      one.textContent = same && !unused ? text : value === null ? "?" : write(value);
      one.classList.toggle("changed", !same && value !== before[place]);
    }
    for (const [path, kind, places, extra] of pictures) {
      const sizes = places.map((place) => values[place]);
      if (sizes.every((size) => size > 0)) path.setAttribute("d", lines(kind, sizes, extra));
    }
    document.body.classList.toggle("wrong", Boolean(wrong));
    const untried = data.failed ? "not run at these values: there it may run, or fail at another step" : "";
    note.textContent = wrong || unused || (same ? "" : others || (dropping ? divided(dropping, values) : untried));
    if ((wrong || (dropping && !others && !unused)) && touched) {
      const better = undivided(values).length ? near(touched) : []; // what makes no size 0 may be refused for another reason
      note.append(better.length ? "; near it " : "");
      for (const value of better) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${together(touched).length > 1 ? data.knobs.find(([name]) => name === touched)[1].split("[")[0] : touched} ${value}`;
        button.addEventListener("click", () => set(touched, value));
        note.append(button, " ");
      }
    }
    for (const input of all("[data-k]")) if (document.activeElement !== input) input.value = now[input.dataset.k];
    for (const input of all("[data-r]")) {
      input.max = Math.max(+input.max, now[input.dataset.r]);
      input.value = now[input.dataset.r];
    }
    const parts = Object.keys(start).filter((name) => now[name] !== start[name]).map((name) => `${encodeURIComponent(name)}=${now[name]}`);
    const wanted = parts.length ? `#${parts.join("&")}` : location.pathname + location.search;
    if (location.hash.includes("=") || parts.length) try { history.replaceState(null, "", wanted); } catch { /* a page without an address */ }
  };
  const set = (name, value) => {
    touched = name;
    now = changed(name, value);
    unused = "";
    show();
  };
  // The name of a symbol, or of a hyperparameter, which may stand for a height and a width.
  const read = () => {
    if (!location.hash.includes("=")) return;
    now = { ...start };
    unused = "";
    for (const part of location.hash.slice(1).split("&")) {
      const [name, text] = part.split("=").map(decodeURIComponent);
      const sides = (text || "").split(/[x×]/).map(Number);
      const meant = data.knobs.filter(([symbol, label]) => symbol === name || label === name || label.split("[")[0] === name);
      if (!meant.length) unused = `${name}: no size here follows from it`;
      meant.forEach(([symbol], at) => {
        const value = sides[Math.min(at, sides.length - 1)];
        if (Number.isSafeInteger(value) && value > 0) { now[symbol] = value; touched = symbol; }
      });
    }
    show();
  };
  for (const input of all("[data-k], [data-r]"))
    input.addEventListener("input", () => {
      const value = +input.value;
      if (Number.isSafeInteger(value) && value > 0) set(input.dataset.k || input.dataset.r, value);
    });
  document.getElementById("reset")?.addEventListener("click", () => { now = { ...start }; unused = ""; show(); });
  document.getElementById("link")?.addEventListener("click", () => navigator.clipboard?.writeText(location.href));
  document.getElementById("knobs")?.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", read);

  // Folding and searching: a row is seen where all headings above it are open, or where it is searched for.
  const rows = all("#stages tbody tr");
  const search = document.getElementById("search");
  const closed = new Set();
  const arrange = () => {
    const wanted = search.value.trim().toLowerCase();
    let count = 0;
    const kept = new Set();
    for (const row of [...rows].reverse()) {
      const hit = wanted && row.textContent.toLowerCase().includes(wanted);
      count += hit ? 1 : 0;
      row.classList.toggle("hit", Boolean(hit));
      if (hit || kept.has(row)) { kept.add(row); if (row.dataset.up) kept.add(document.getElementById(`r${row.dataset.up}`)); }
    }
    for (const row of rows) {
      const above = row.dataset.up === undefined ? null : document.getElementById(`r${row.dataset.up}`);
      row.hidden = wanted ? !kept.has(row) : Boolean(above && (above.hidden || closed.has(above)));
    }
    document.getElementById("found").textContent = wanted ? `${count} found` : "";
  };
  const fold = (row, shut) => {
    shut ? closed.add(row) : closed.delete(row);
    row.querySelector(".fold").setAttribute("aria-expanded", String(!shut));
  };
  const headings = rows.filter((row) => row.querySelector(".fold"));
  for (const row of headings) row.querySelector(".fold").addEventListener("click", () => { fold(row, !closed.has(row)); arrange(); });
  document.getElementById("open").addEventListener("click", () => { headings.forEach((row) => fold(row, false)); arrange(); });
  document.getElementById("close").addEventListener("click", () => { headings.forEach((row) => fold(row, true)); arrange(); });
  search.addEventListener("input", arrange);
  read();
})();
