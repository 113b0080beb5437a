// Curves over time on a canvas, two of them with what lies between shaded.

/** A round number of so many steps at most, for an axis up to `most`. */
export function stepOf(most, steps) {
  const rough = Math.max(most, 1e-9) / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

/** Where a chart of some size draws what: plain numbers, for canvas and SVG alike. */
export function layoutOf(series, width, height, begin = 0, isTight = false, end = 0) {
  const last =
    end || Math.max(1, ...series.map((one) => (one.values.length - 1) * (one.step ?? 1)));
  const values = series
    .flatMap((one) => [...one.values, ...(one.low ?? []), ...(one.high ?? [])])
    .filter((value) => value !== null);
  const highest = Math.max(...values);
  const least = isTight && values.length ? Math.min(...values) : Math.min(0, ...values);
  const most = isTight
    ? Math.max(highest, least + 1e-9)
    : Math.max(highest, highest > 0 && highest <= 1 ? 0 : 1, least + 1e-6);
  const plot = { left: 44, top: 10, right: width - 12, bottom: height - 24 };
  const x = (at) => plot.left + (at / last) * (plot.right - plot.left);
  const y = (value) => plot.bottom - ((value - least) / (most - least)) * (plot.bottom - plot.top);
  const ticks = (low, high, step) => {
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step)
      found.push(Number(at.toPrecision(12)));
    return found;
  };
  return {
    begin,
    last,
    least,
    most,
    plot,
    x,
    y,
    xs: ticks(0, last, stepOf(last, Math.max(2, width / 90))),
    ys: ticks(least, most, stepOf(most - least, Math.max(2, height / 45))),
  };
}

/** What a curve shows at a moment; seconds are steps, longer distances are drawn as slopes. */
export function valueAt({ values, step = 1 }, t) {
  const place = Math.floor(t / step);
  const value = values[Math.min(values.length - 1, place)] ?? null;
  const next = values[place + 1] ?? null;
  return value === null || next === null || step === 1
    ? value
    : value + (next - value) * (t / step - place);
}

/** What lies between two curves, piece by piece: its corners, and which of the two is better. */
export function differenceOf([a, b], { x, y }, isMoreBetter) {
  const found = [];
  const step = a.step ?? 1;
  for (let i = 0; i + 1 < Math.min(a.values.length, b.values.length); i += 1) {
    const [a0, a1, b0, b1] = [a.values[i], a.values[i + 1], b.values[i], b.values[i + 1]];
    if ([a0, a1, b0, b1].includes(null)) continue;
    const above = a0 + a1 - b0 - b1;
    if (above === 0) continue;
    const [from, to] = [x(i * step), x((i + 1) * step)];
    found.push({
      points: [from, y(a0), to, y(a1), to, y(b1), from, y(b0)],
      side: above > 0 === isMoreBetter ? "a" : "b",
    });
  }
  return found;
}

/** A chart on a canvas. */
export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.series = [];
    this.drawn = document.createElement("canvas");
    this.recolour();
  }

  /** Reads the theme anew. */
  recolour() {
    const style = getComputedStyle(this.canvas);
    const names = ["text", "grid", "a", "b", "cursor", "ground"];
    this.colours = Object.fromEntries(
      names.map((name) => [name, style.getPropertyValue(`--chart-${name}`).trim()]),
    );
    this.isStale = true;
  }

  /** Shows curves: `{values, colour: "a" | "b" | CSS, step}`; of exactly two the difference too. */
  setSeries(series, begin = 0, isShaded = series.length === 2, isMoreBetter = false) {
    this.series = series;
    this.isMoreBetter = isMoreBetter;
    this.begin = begin;
    this.isShaded = isShaded;
    this.isStale = true;
  }

  /** Makes the canvas as fine as the screen. */
  fit(width, height, ratio = Math.min(2, globalThis.devicePixelRatio || 1)) {
    Object.assign(this, { width, height, ratio, isStale: true });
    for (const canvas of [this.canvas, this.drawn]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
  }

  /** Draws everything, and a line at a moment; null draws none. */
  draw(t) {
    if (!this.canvas.width || !this.canvas.height) return;
    if (this.isStale) this.drawCurves();
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.drawn, 0, 0);
    if (t === null || t === undefined || !this.layout) return;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const { x, y, plot } = this.layout;
    pen.strokeStyle = this.colours.cursor;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x(t), plot.top);
    pen.lineTo(x(t), plot.bottom);
    pen.stroke();
    for (const one of this.series) {
      const value = valueAt(one, t);
      if (value === null) continue;
      pen.fillStyle = this.colourOf(one);
      pen.beginPath();
      pen.arc(x(t), y(value), 4, 0, 7);
      pen.fill();
    }
  }

  colourOf(one) {
    return this.colours[one.colour] ?? one.colour;
  }

  drawCurves() {
    this.isStale = false;
    this.layout = layoutOf(
      this.series,
      this.width,
      this.height,
      this.begin,
      this.isTight,
      this.end,
    );
    const pen = this.drawn.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    this.drawAxes(pen);
    if (this.isShaded) this.drawDifference(pen);
    for (const one of this.series) if (one.low?.length) this.drawBand(pen, one);
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    for (const one of this.series) {
      pen.strokeStyle = this.colourOf(one);
      pen.setLineDash(one.colour === "b" ? [6, 3] : []);
      pen.beginPath();
      let isOn = false;
      one.values.forEach((value, i) => {
        if (value === null) {
          isOn = false;
          return;
        }
        const at = [this.layout.x(i * (one.step ?? 1)), this.layout.y(value)];
        if (isOn) pen.lineTo(...at);
        else pen.moveTo(...at);
        isOn = true;
      });
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  drawAxes(pen) {
    const { begin, plot, x, y, xs, ys } = this.layout;
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = this.colours.text;
    pen.strokeStyle = this.colours.grid;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const value of ys) {
      pen.beginPath();
      pen.moveTo(plot.left, Math.round(y(value)) + 0.5);
      pen.lineTo(plot.right, Math.round(y(value)) + 0.5);
      pen.stroke();
      pen.fillText(String(value), plot.left - 8, y(value));
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const at of xs) pen.fillText(String(at + begin).replace("-", "−"), x(at), plot.bottom + 7);
  }

  drawBand(pen, one) {
    const { x, y } = this.layout;
    const step = one.step ?? 1;
    pen.fillStyle = this.colourOf(one);
    pen.globalAlpha = 0.15;
    pen.beginPath();
    one.low.forEach((value, i) => pen.lineTo(x(i * step), y(value)));
    for (let i = one.high.length - 1; i >= 0; i -= 1) pen.lineTo(x(i * step), y(one.high[i]));
    pen.fill();
    pen.globalAlpha = 1;
  }

  drawDifference(pen) {
    pen.globalAlpha = 0.16;
    for (const { points, side } of differenceOf(this.series, this.layout, this.isMoreBetter)) {
      pen.fillStyle = this.colours[side];
      pen.beginPath();
      for (let i = 0; i < points.length; i += 2) pen.lineTo(points[i], points[i + 1]);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }
}
