/** Plots: features and codes in the plane, and curves over the steps. */
import { colour, contextOf } from "./pictures.ts";
import type { Look } from "./learner.ts";

/** Makes a canvas as sharp as the screen and gives its context, cleared, in the page's pixels. */
function begin(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ratio = devicePixelRatio, { clientWidth, clientHeight } = canvas;
  canvas.width = Math.round(clientWidth * ratio);
  canvas.height = Math.round(clientHeight * ratio);
  const context = contextOf(canvas);
  context.scale(ratio, ratio);
  context.font = "12px system-ui, sans-serif";
  return context;
}

/** A part of the plane: its middle, and how far it reaches from there. */
interface Window {
  readonly x: number;
  readonly y: number;
  readonly reach: number;
}

/** A square of a canvas. */
interface Square {
  readonly x: number;
  readonly y: number;
  readonly half: number;
}

/** Where most codes reach less far than this share of the plot, they are shown enlarged as well. */
const SMALL = 0.04;
/** The side of that part of the plot. */
const INSET = 0.4;

/** Features and codes in a plane whose scale follows them. */
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

  /** Draws what came of a batch.
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

  /** Shows the codes again, enlarged, in the corner where the fewest features are. */
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

/** What is plotted. */
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

/** Along each axis, from where to where points lie, but for a share of them at either end. */
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

/** A part of the way from a window to the next. */
function follow(from: Window | undefined, to: Window): Window {
  if (from === undefined) return to;
  const part = (name: keyof Window) => from[name] + 0.15 * (to[name] - from[name]);
  return { x: part("x"), y: part("y"), reach: part("reach") };
}

/** A length of 1, 2 or 5 times a power of ten, for the eye. */
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

/** A curve: its values by step, and the custom property of its colour. */
export interface Curve {
  readonly values: readonly number[];
  readonly colour: string;
}

/** Draws curves over the same steps.
 * @param top the greatest value that fits
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
