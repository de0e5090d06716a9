/** The drawing area. */
import { find } from "./dom.ts";
import { contextOf, greyOf, onThemeChange, paintImage, SIDE } from "./pictures.ts";

/** Width of the pen in pixels, similar to the strokes in the training images. */
const PEN = 2.6;

type Point = readonly [x: number, y: number];

const STEPS: Readonly<Record<string, Point>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Draws strokes by pointer or keyboard, at the resolution of the model. */
export class Sketch {
  readonly #canvas: HTMLCanvasElement;
  readonly #cursor: HTMLElement;
  readonly #strokes: CanvasRenderingContext2D;
  readonly #onChange: () => void;
  /** A loaded image, until the user draws. */
  #picture: Float32Array<ArrayBuffer> | undefined;
  #pen: Point = [SIDE / 2, SIDE / 2];
  #isDown = false;

  /** Listens to the canvas.
   * @param frame contains the canvas and the keyboard cursor
   * @param onChange called after each change
   */
  constructor(frame: HTMLElement, onChange: () => void) {
    this.#canvas = find("canvas", HTMLCanvasElement, frame);
    this.#cursor = find(".cursor", HTMLElement, frame);
    this.#onChange = onChange;
    this.#strokes = contextOf(new OffscreenCanvas(SIDE, SIDE));
    Object.assign(this.#strokes, { lineWidth: PEN, lineCap: "round", strokeStyle: "#fff" });
    this.#erase();
    const canvas = this.#canvas;
    canvas.onpointerdown = (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.#isDown = true;
      this.#pen = this.#placeOf(event);
      this.#drawTo(this.#pen);
    };
    canvas.onpointermove = (event) => {
      if (!this.#isDown || !canvas.hasPointerCapture(event.pointerId)) return;
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.#drawTo(this.#placeOf(part));
    };
    canvas.onpointerup = canvas.onpointercancel = () => this.#isDown = false;
    canvas.onkeydown = (event) => this.#press(event);
    canvas.onblur = () => {
      this.#isDown = false;
      this.#showCursor();
    };
    canvas.onfocus = () => this.#showCursor();
    onThemeChange(() => this.#paint());
  }

  /** The drawing, `[28, 28]` in [−1, 1]. */
  get values(): Float32Array<ArrayBuffer> {
    return this.#picture ?? greyOf(this.#strokes.canvas);
  }

  /** Shows an image. The first stroke replaces it. */
  load(values: Float32Array<ArrayBuffer>): void {
    this.#picture = values;
    this.#changed();
  }

  /** Removes everything. */
  clear(): void {
    this.#picture = undefined;
    this.#erase();
    this.#changed();
  }

  #erase(): void {
    this.#strokes.fillStyle = "#000";
    this.#strokes.fillRect(0, 0, SIDE, SIDE);
  }

  #drawTo(to: Point): void {
    if (this.#picture !== undefined) {
      this.#picture = undefined;
      this.#erase();
    }
    this.#strokes.beginPath();
    this.#strokes.moveTo(...this.#pen);
    this.#strokes.lineTo(...to);
    this.#strokes.stroke();
    this.#pen = to;
    this.#changed();
  }

  #press(event: KeyboardEvent): void {
    const step = STEPS[event.key];
    if (event.key === " ") {
      this.#isDown = !this.#isDown;
      if (this.#isDown) this.#drawTo(this.#pen);
    } else if (step !== undefined) {
      const [x, y] = this.#pen.map((value, axis) =>
        Math.min(SIDE - 1, Math.max(1, value + step[axis]))
      );
      if (this.#isDown) this.#drawTo([x, y]);
      this.#pen = [x, y];
    } else return;
    event.preventDefault();
    this.#showCursor();
  }

  #showCursor(): void {
    this.#cursor.hidden = !this.#canvas.matches(":focus-visible");
    this.#cursor.style.left = `${this.#pen[0] / SIDE * 100}%`;
    this.#cursor.style.top = `${this.#pen[1] / SIDE * 100}%`;
    this.#cursor.classList.toggle("down", this.#isDown);
  }

  #placeOf(event: MouseEvent): Point {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [(event.clientX - left) / width * SIDE, (event.clientY - top) / height * SIDE];
  }

  #changed(): void {
    this.#paint();
    this.#onChange();
  }

  #paint(): void {
    paintImage(this.#canvas, this.values);
  }
}
