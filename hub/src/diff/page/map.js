"use strict";
// Draws the rows of a difference on a canvas; no library, no network. Positions are degrees until they are drawn.
(() => {
  const canvas = document.getElementById("map");
  if (!canvas) return;
  const drawing = JSON.parse(document.getElementById("drawing").textContent);
  const STEPS_PER_DEGREE = 1e7, METRES_PER_DEGREE = 111319.49, POINTS = 0, RING = 2, SCALE_MAX = 2e9;
  const STYLES = {
    a: { color: "#009e73", fill: "#009e7333", dash: [] },
    r: { color: "#d55e00", fill: "#d55e0033", dash: [2, 3] },
    b: { color: "#0072b2", fill: "transparent", dash: [7, 5] },
    c: { color: "#0072b2", fill: "#0072b226", dash: [] },
  };

  const unpack = (parts) => (parts || []).map((numbers) => {
    const positions = new Float64Array(numbers.length - 1);
    for (let i = 0, x = 0, y = 0; i < positions.length; i += 2) {
      x += numbers[i + 1];
      y += numbers[i + 2];
      positions[i] = x / STEPS_PER_DEGREE;
      positions[i + 1] = y / STEPS_PER_DEGREE;
    }
    return { kind: numbers[0], positions };
  });

  const boundsOf = (shapes) => {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const { positions } of shapes) {
      for (let i = 0; i < positions.length; i += 2) {
        box[0] = Math.min(box[0], positions[i]);
        box[1] = Math.min(box[1], positions[i + 1]);
        box[2] = Math.max(box[2], positions[i]);
        box[3] = Math.max(box[3], positions[i + 1]);
      }
    }
    return box;
  };

  const features = [];
  drawing.shapes.forEach((sides, row) => {
    if (!sides) return;
    const operation = drawing.operations[row];
    const [before, after] = sides.map(unpack);
    const layers = [];
    if (before.length) layers.push({ style: STYLES[operation === "c" ? "b" : operation], kind: operation === "c" ? "b" : operation, parts: before });
    if (after.length) layers.push({ style: STYLES[operation], kind: operation, parts: after });
    features.push({ row, layers, box: boundsOf([...before, ...after]) });
  });
  const whole = boundsOf(features.map(({ box }) => ({ positions: box })));
  // A degree of longitude is as long as it is in the middle of what is drawn.
  const squeeze = Math.max(0.01, Math.cos(((whole[1] + whole[3]) / 2) * Math.PI / 180));

  let view = { x: 0, y: 0, scale: 1 }; // the middle, degrees; pixels of a degree of latitude
  let chosen = -1, width = 0, height = 0, isWaiting = false;
  const context = canvas.getContext("2d");
  const toX = (x) => (x - view.x) * squeeze * view.scale + width / 2;
  const toY = (y) => (view.y - y) * view.scale + height / 2;

  const fit = (box) => {
    const MARGIN = 40;
    const across = (box[2] - box[0]) * squeeze, up = box[3] - box[1];
    const scale = Math.min((width - 2 * MARGIN) / across, (height - 2 * MARGIN) / up);
    // A single position is shown with 200 m around it.
    const closest = Math.min(width, height) * METRES_PER_DEGREE / 400;
    view = { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2, scale: Math.min(Math.max(scale, 1e-3), Math.max(closest, 1)) };
  };

  const mark = (to, kind, style, x, y) => {
    to.beginPath();
    if (kind === "r") {
      to.setLineDash([]);
      to.moveTo(x - 5, y - 5); to.lineTo(x + 5, y + 5);
      to.moveTo(x - 5, y + 5); to.lineTo(x + 5, y - 5);
    } else if (kind === "a") {
      to.rect(x - 5, y - 5, 10, 10);
    } else {
      to.arc(x, y, 6, 0, 2 * Math.PI);
    }
    if (kind === "a" || kind === "c") {
      to.fillStyle = style.color;
      to.fill();
    }
    to.stroke();
  };

  const outline = (to, parts, x, y) => {
    to.beginPath();
    for (const { kind, positions } of parts) {
      if (kind === POINTS) continue;
      for (let i = 0; i < positions.length; i += 2) {
        to[i ? "lineTo" : "moveTo"](x(positions[i]), y(positions[i + 1]));
      }
      if (kind === RING) to.closePath();
    }
  };

  const drawLayer = (to, { style, kind, parts }, x, y, weight) => {
    to.strokeStyle = style.color;
    to.lineWidth = weight;
    to.setLineDash(style.dash);
    if (parts.some((part) => part.kind !== POINTS)) {
      outline(to, parts.filter((part) => part.kind === RING), x, y);
      to.fillStyle = style.fill;
      to.fill("evenodd");
      outline(to, parts, x, y);
      to.stroke();
    }
    for (const part of parts) {
      if (part.kind !== POINTS) continue;
      for (let i = 0; i < part.positions.length; i += 2) {
        to.setLineDash(style.dash.length > 1 && kind === "b" ? [3, 2] : []);
        mark(to, kind, style, x(part.positions[i]), y(part.positions[i + 1]));
      }
    }
  };

  /// A place that moved is tied to where it was.
  const drawMove = ({ layers }) => {
    if (layers.length < 2 || layers.some(({ parts }) => parts.length !== 1 || parts[0].kind !== POINTS)) return;
    const [before, after] = layers.map(({ parts }) => parts[0].positions);
    context.beginPath();
    context.setLineDash([2, 2]);
    context.lineWidth = 1;
    context.strokeStyle = STYLES.c.color;
    context.moveTo(toX(before[0]), toY(before[1]));
    context.lineTo(toX(after[0]), toY(after[1]));
    context.stroke();
  };

  const scaleBar = () => {
    const bar = document.querySelector("#scale i"), label = document.querySelector("#scale span");
    const metres = 120 / view.scale * METRES_PER_DEGREE;
    const power = 10 ** Math.floor(Math.log10(metres));
    const round = [5, 2, 1].map((n) => n * power).find((n) => n <= metres) || power;
    bar.style.width = `${round / METRES_PER_DEGREE * view.scale}px`;
    label.textContent = round >= 1000 ? `${round / 1000} km` : `${+round.toPrecision(1)} m`;
  };

  const draw = () => {
    isWaiting = false;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const last = features.find(({ row }) => row === chosen);
    for (const feature of features) {
      const [west, south, east, north] = feature.box;
      const isOutside = toX(east) < -10 || toX(west) > width + 10 || toY(south) < -10 || toY(north) > height + 10;
      if (isOutside || feature === last) continue;
      drawMove(feature);
      feature.layers.forEach((layer) => drawLayer(context, layer, toX, toY, 2));
    }
    if (last) {
      last.layers.forEach((layer) => drawLayer(context, { ...layer, style: { ...layer.style, color: "#ffd400", dash: [] } }, toX, toY, 9));
      drawMove(last);
      last.layers.forEach((layer) => drawLayer(context, layer, toX, toY, 3));
    }
    scaleBar();
  };
  const redraw = () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(draw);
  };

  const zoom = (factor, x = width / 2, y = height / 2) => {
    const scale = Math.min(Math.max(view.scale * factor, 0.5), SCALE_MAX);
    const lon = view.x + (x - width / 2) / squeeze / view.scale, lat = view.y - (y - height / 2) / view.scale;
    view = { scale, x: lon - (x - width / 2) / squeeze / scale, y: lat + (y - height / 2) / scale };
    redraw();
  };
  const pan = (x, y) => {
    view = { ...view, x: view.x - x / squeeze / view.scale, y: view.y + y / view.scale };
    redraw();
  };

  const choose = (row, isFromMap) => {
    document.querySelector("tr.chosen")?.classList.remove("chosen");
    chosen = row;
    const line = document.getElementById(`row-${row}`);
    line?.classList.add("chosen");
    if (line && isFromMap) line.scrollIntoView({ block: "nearest" });
    const feature = features.find((feature) => feature.row === row);
    if (feature && !isFromMap) fit(feature.box);
    redraw();
  };

  /// The row nearest to a place of the screen, if one is near.
  const rowAt = (x, y) => {
    const NEAR = 8;
    let found = -1, nearest = NEAR;
    const segment = (ax, ay, bx, by) => {
      const length = (bx - ax) ** 2 + (by - ay) ** 2;
      const along = length ? Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length)) : 0;
      return Math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay));
    };
    for (const { row, layers } of features) {
      for (const { parts } of layers) {
        let isInside = false;
        for (const { kind, positions } of parts) {
          for (let i = 0; i < positions.length; i += 2) {
            const j = i >= 2 ? i - 2 : kind === RING ? positions.length - 2 : i;
            const from = kind === POINTS ? i : j;
            const [ax, ay, bx, by] = [toX(positions[from]), toY(positions[from + 1]), toX(positions[i]), toY(positions[i + 1])];
            const distance = segment(ax, ay, bx, by);
            if (distance < nearest) [found, nearest] = [row, distance];
            if (kind === RING && (ay > y) !== (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax) isInside = !isInside;
          }
        }
        // An outline that is near comes before a face that is around.
        if (isInside && nearest === NEAR) found = row;
      }
    }
    return found;
  };

  const pointers = new Map();
  let dragged = 0;
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    dragged = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const lon = view.x + (event.offsetX - width / 2) / squeeze / view.scale, lat = view.y - (event.offsetY - height / 2) / view.scale;
    document.getElementById("position").textContent = `${lat.toFixed(5)}, ${lon.toFixed(5)}`;
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const was = pointers.size === 2 ? spread() : 0;
    pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    dragged += Math.abs(event.offsetX - before.x) + Math.abs(event.offsetY - before.y);
    if (was) zoom(spread() / was, event.offsetX, event.offsetY);
    else pan(event.offsetX - before.x, event.offsetY - before.y);
  });
  const release = (event) => {
    const was = pointers.delete(event.pointerId);
    if (was && event.type === "pointerup" && dragged < 5) choose(rowAt(event.offsetX, event.offsetY), true);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(2 ** (-event.deltaY / 300), event.offsetX, event.offsetY);
  }, { passive: false });
  const all = () => { fit(whole); redraw(); };
  const keys = {
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": all,
    ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
  };
  canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  document.getElementById("zoom-all").addEventListener("click", all);

  const rowOf = (event) => event.target.closest("tr[tabindex]");
  const table = document.querySelector("#rows tbody");
  const chooseLine = (line) => choose(Number(line.id.slice(4)), false);
  table.addEventListener("click", (event) => rowOf(event) && chooseLine(rowOf(event)));
  table.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !rowOf(event)) return;
    chooseLine(rowOf(event));
  });

  for (const swatch of document.querySelectorAll(".swatch")) {
    const kind = swatch.dataset.kind, to = swatch.getContext("2d");
    const line = { kind: 1, positions: [4, 23, 40, 23] }, point = { kind: POINTS, positions: [22, 10] };
    drawLayer(to, { style: STYLES[kind], kind, parts: [line, point] }, (x) => x, (y) => y, 2);
  }

  let isFitted = false;
  new ResizeObserver(() => {
    const ratio = window.devicePixelRatio || 1;
    [width, height] = [canvas.clientWidth, canvas.clientHeight];
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (!isFitted) fit(whole);
    isFitted = true;
    draw();
  }).observe(canvas);
})();
