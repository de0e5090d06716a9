/** Plots of features and codes, and of curves. */
import { colour, contextOf } from "./pictures.ts";
import type { Look } from "./learner.ts";

/** Clears a canvas and sets its resolution to the screen's. The context is scaled to CSS pixels. */
function begin(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ratio = devicePixelRatio, { clientWidth, clientHeight } = canvas;
  canvas.width = Math.round(clientWidth * ratio);
  canvas.height = Math.round(clientHeight * ratio);
  const context = contextOf(canvas);
  context.scale(ratio, ratio);
  context.font = "12px system-ui, sans-serif";
  return context;
}

/** A square region of the feature space: its centre and half its side. */
interface Window {
  readonly x: number;
  readonly y: number;
  readonly reach: number;
}

/** A square on a canvas: its centre and half its side, in CSS pixels. */
interface Square {
  readonly x: number;
  readonly y: number;
  readonly half: number;
}

/** If most codes lie within less than this share of the plot, an inset enlarges them. */
const SMALL = 0.04;
/** Side of the inset as a share of the plot. */
const INSET = 0.4;

/** A scatter plot of features and codes with an automatic scale. */
export class Arena {
  readonly #canvas: HTMLCanvasElement;
  #all: Window | undefined;
  #codes: Window | undefined;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  /** Forgets the scale. */
  reset(): void {
    this.#all = this.#codes = undefined;
  }

  /** Draws the features of a batch and all codes.
   * @param isAlive whether a code is in use
   */
  draw({ features, codes }: Look, isAlive: (code: number) => boolean): void {
    const around = spanOf(features, 0.005), within = spanOf(codes, 0);
    this.#all = follow(
      this.#all,
      windowOf(around.map((span, axis) => [
        Math.min(span[0], within[axis][0]),
        Math.max(span[1], within[axis][1]),
      ])),
    );
    this.#codes = follow(this.#codes, windowOf(spanOf(codes, 0.1)));
    const context = begin(this.#canvas),
      { clientWidth: width, clientHeight: height } = this.#canvas;
    const half = Math.min(width, height) / 2;
    const whole = { x: width / 2, y: height / 2, half };
    drawPoints(context, { features, codes, isAlive }, this.#all, whole);
    drawScale(context, 10, height - 10, width / 4, half / this.#all.reach);
    const zoom = this.#all.reach / this.#codes.reach;
    if (zoom * SMALL > 1) this.#enlarge(context, { features, codes, isAlive }, zoom);
  }

  /** Draws the inset in an upper corner, away from the features. */
  #enlarge(context: CanvasRenderingContext2D, points: Points, zoom: number): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const half = Math.min(width, height) * INSET / 2, margin = half + 8;
    const { x: x0, y: y0 } = this.#all!;
    let rising = 0;
    for (let at = 0; at < points.features.length; at += 2) {
      rising += (points.features[at] - x0) * (points.features[at + 1] - y0);
    }
    const square = { x: rising > 0 ? margin : width - margin, y: margin, half };
    context.save();
    context.beginPath();
    context.rect(square.x - half, square.y - half, 2 * half, 2 * half);
    context.fillStyle = colour("--ground");
    context.strokeStyle = colour("--muted");
    context.fill();
    context.stroke();
    context.clip();
    const { x, y, reach } = this.#codes!;
    drawPoints(context, points, { x, y, reach: reach * 1.3 }, square);
    context.restore();
    context.fillStyle = colour("--muted");
    context.textAlign = "center";
    context.fillText(
      `codes, ×${Number((zoom * INSET / 1.3).toPrecision(1))}`,
      square.x,
      square.y + half + 14,
    );
  }
}

/** The points to plot. */
interface Points {
  readonly features: Float32Array;
  readonly codes: Float32Array;
  readonly isAlive: (code: number) => boolean;
}

function drawPoints(
  context: CanvasRenderingContext2D,
  { features, codes, isAlive }: Points,
  { x: x0, y: y0, reach }: Window,
  { x: left, y: top, half }: Square,
): void {
  const scale = half / reach, radius = half < 120 ? 2.5 : 3.5;
  const dots = (
    name: string,
    points: Float32Array,
    size: number,
    wanted: (at: number) => boolean = () => true,
  ) => {
    context.fillStyle = colour(name);
    context.beginPath();
    for (let at = 0; at < points.length / 2; at++) {
      if (!wanted(at)) continue;
      const x = left + (points[2 * at] - x0) * scale, y = top - (points[2 * at + 1] - y0) * scale;
      context.moveTo(x + size, y);
      context.arc(x, y, size, 0, 2 * Math.PI);
    }
    context.fill();
  };
  dots("--feature", features, radius / 2);
  dots("--dead", codes, radius, (code) => !isAlive(code));
  dots("--surface", codes, radius + 1.5, isAlive);
  dots("--accent", codes, radius, isAlive);
}

/** The range of the points along each axis, without a share of them at either end. */
function spanOf(points: Float32Array, left: number): [least: number, most: number][] {
  return [0, 1].map((axis) => {
    const own = points.filter((_, at) => at % 2 === axis).sort();
    const end = Math.floor(left * own.length);
    return [own[end], own[own.length - 1 - end]];
  });
}

function windowOf(spans: readonly (readonly [least: number, most: number])[]): Window {
  const [x, y] = spans.map(([least, most]) => (least + most) / 2);
  return { x, y, reach: Math.max(...spans.map(([a, b]) => (b - a) / 2)) * 1.12 + 1e-6 };
}

/** Moves a window part of the way towards another, so that the scale changes smoothly. */
function follow(from: Window | undefined, to: Window): Window {
  if (from === undefined) return to;
  const part = (name: keyof Window) => from[name] + 0.15 * (to[name] - from[name]);
  return { x: part("x"), y: part("y"), reach: part("reach") };
}

/** Draws a scale bar of 1, 2 or 5 times a power of ten. */
function drawScale(
  context: CanvasRenderingContext2D,
  left: number,
  bottom: number,
  most: number,
  scale: number,
): void {
  const power = 10 ** Math.floor(Math.log10(most / scale));
  const length = power * ([5, 2].find((times) => times * power * scale <= most) ?? 1);
  context.strokeStyle = context.fillStyle = colour("--muted");
  context.beginPath();
  context.moveTo(left, bottom);
  context.lineTo(left + length * scale, bottom);
  context.stroke();
  context.fillText(String(Number(length.toPrecision(1))), left, bottom - 5);
}

/** The values of a curve, and the custom property with its colour. */
export interface Curve {
  readonly values: readonly number[];
  readonly colour: string;
}

/** Draws curves over the steps.
 * @param top the upper end of the vertical axis
 */
export function drawCurves(
  canvas: HTMLCanvasElement,
  curves: readonly Curve[],
  top: number,
): void {
  const context = begin(canvas);
  const { clientWidth: width, clientHeight: height } = canvas;
  const left = 34, bottom = 20, above = 8;
  const steps = Math.max(20, ...curves.map(({ values }) => values.length));
  const x = (step: number) => left + step / (steps - 1) * (width - left - 6);
  const y = (value: number) => above + (1 - Math.min(1, value / top)) * (height - bottom - above);
  context.strokeStyle = colour("--line");
  context.fillStyle = colour("--muted");
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.beginPath();
  for (const share of [0, 0.5, 1]) {
    context.moveTo(left, y(share * top));
    context.lineTo(width - 6, y(share * top));
    context.fillText(String(Number((share * top).toPrecision(2))), left - 6, y(share * top));
  }
  context.stroke();
  context.fillText(`step ${steps - 1}`, width - 6, height - 7);
  context.lineWidth = 2;
  context.lineJoin = "round";
  for (const { values, colour: name } of curves) {
    context.strokeStyle = colour(name);
    context.beginPath();
    values.forEach((value, step) => context.lineTo(x(step), y(value)));
    context.stroke();
  }
}
