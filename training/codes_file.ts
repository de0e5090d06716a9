/** Files that store the codes of images. */
import * as z from "zod";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { writeAtomically } from "../files/atomic_write.ts";
import { parseJson } from "../files/bounded_json.ts";
import { decodeNpy, encodeNpy } from "../files/npy.ts";
import { readSafetensors, writeSafetensors } from "../files/safetensors.ts";
import { MOST_TENSORS } from "../files/safetensors_header.ts";
import { checkImageName } from "./image_names.ts";
import { readWhole } from "./read_back.ts";

const FORMAT = "codebook codes 1";
/** The largest total length of the names in a safetensors file, in characters. The names are part of its header. */
const MOST_NAMES = 2 ** 23;

/** Where codes come from. */
export interface CodesOrigin {
  /** The identity of the run's weights, as returned by `openRun`. */
  readonly run: string;
  /** K: the number of codes. */
  readonly codebookSize: number;
  /** Downsampling factor: the side, in pixels, of the area that one position of the code grid covers. */
  readonly downsampling: number;
}

/** The codes of an image. */
export interface ImageCodes {
  /** `[h, w, ...codeAxes]`; only `codeAxes` if codes belong to whole grids. */
  readonly shape: readonly number[];
  /** The indices, in [0, K). */
  readonly values: Int32Array<ArrayBuffer>;
}

/** The codes of images. */
export interface SavedCodes {
  /** The names of the images: paths within their folder, separated by `/`. */
  readonly names: readonly string[];
  /** One entry per image, in the order of the names. */
  readonly codes: readonly ImageCodes[];
  /** Where the codes come from; undefined if the file does not record it, such as a NumPy array alone. */
  readonly origin?: CodesOrigin;
}

const HEADER = z.strictObject({
  format: z.literal(FORMAT),
  names: z.array(z.string()),
  run: z.string(),
  codebookSize: z.int().min(1),
  downsampling: z.int().min(1),
  imageSize: z.tuple([z.int(), z.int()]).optional(),
});

/** Checks that codes can be written to a path, before any work is done.
 * @param path ends in `.safetensors` or `.npy`
 * @param sameSize whether all images have the same size
 * @throws {RangeError} the path has another extension, the images do not fit in one NumPy array, or a safetensors file
 * cannot hold so many images or such long names
 */
export function checkCodesPath(path: string, names: readonly string[], sameSize: boolean): void {
  checkEnding(path, "write");
  for (const name of names) checkImageName(name, `write ${path}`);
  if (isNpy(path)) {
    if (sameSize) return;
    throw new RangeError(
      `Cannot write ${path}: all images of a .npy file must have the same size, got several sizes; a .safetensors file allows them`,
    );
  }
  if (!sameSize && names.length > MOST_TENSORS) {
    throw new RangeError(
      `Cannot write ${path}: there must be at most ${MOST_TENSORS} images of different sizes, got ${names.length}`,
    );
  }
  const letters = names.reduce((sum, name) => sum + JSON.stringify(name).length + 3, 0);
  if (letters > MOST_NAMES) {
    throw new RangeError(
      `Cannot write ${path}: the images' names must take at most ${MOST_NAMES} characters, got ${letters}; a .npy file takes more`,
    );
  }
}

/** Writes codes atomically. A `.safetensors` file has the int32 entry `codes`, `[N, h, w, ...codeAxes]` (`[N,
 * ...codeAxes]` if codes belong to whole grids). If the images have different sizes, it has one entry per image
 * instead: `codes.0`, `codes.1`, … Its metadata are `format`, `names` (a JSON list), `run`, `codebookSize`,
 * `downsampling` and, for grids of one size, `imageSize` (`[height, width]`). A `.npy` file has only the array; the
 * rest is in a `.json` file beside it.
 *
 * ```ts
 * import { readCodes, writeCodes } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const path = `${await Deno.makeTempDir()}/codes.npy`;
 * const origin = { run: "0123456789abcdef", codebookSize: 8, downsampling: 4 };
 * const codes = [{ shape: [1, 2], values: Int32Array.of(7, 0) }];
 * await writeCodes(path, { names: ["a.png"], codes }, origin);
 * assert.deepEqual(await readCodes(path), { names: ["a.png"], codes, origin });
 * ```
 * @throws {RangeError} as `checkCodesPath`
 * @throws {Error} the file cannot be written
 */
export async function writeCodes(
  path: string,
  { names, codes }: Pick<SavedCodes, "names" | "codes">,
  origin: CodesOrigin,
): Promise<void> {
  const [{ shape }] = codes;
  const sameSize = codes.every((one) => sameShape(one.shape, shape));
  checkCodesPath(path, names, sameSize);
  const { run, codebookSize, downsampling } = origin;
  const imageSize = sameSize && shape.length > 1
    ? shape.slice(0, 2).map((side) => side * downsampling)
    : undefined;
  const header = { format: FORMAT, names, run, codebookSize, downsampling, imageSize };
  if (isNpy(path)) {
    await writeAtomically(besideNpy(path), `${JSON.stringify(header)}\n`);
    await writeAtomically(path, encodeNpy(joined(codes)));
    return;
  }
  const entries = sameSize
    ? [["codes", joined(codes)] as const]
    : codes.map((one, at) => [`codes.${at}`, one] as const);
  const metadata = Object.entries(header).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return [[name, typeof value === "string" ? value : JSON.stringify(value)] as const];
  });
  await writeSafetensors(path, new Map(entries), new Map(metadata));
}

/** Reads codes: a file that `writeCodes` wrote, or a NumPy array alone. The images of such an array are named by
 * number.
 * @throws {Error} the file cannot be read
 * @throws {RangeError} the file has another format, or a name points outside the folder
 */
export async function readCodes(path: string): Promise<SavedCodes> {
  checkEnding(path, "read");
  const saved = isNpy(path) ? await readNpy(path) : await readTensors(path);
  const { names, codes } = saved;
  for (const name of names) checkImageName(name, `read ${path}`);
  if (names.length !== codes.length) {
    throw new RangeError(
      `Cannot read ${path}: it must have a name for each of its ${codes.length} images, got ${names.length}`,
    );
  }
  return saved;
}

async function readTensors(path: string): Promise<SavedCodes> {
  const { tensors, metadata } = await readSafetensors(path);
  const texts = Object.entries(Object.fromEntries(metadata)).map(([name, text]) =>
    [name, name === "format" || name === "run" ? text : parse(text, path)] as const
  );
  const { names, ...origin } = readHeader(Object.fromEntries(texts), path);
  const whole = tensors.get("codes");
  if (whole !== undefined) {
    return { names, codes: apart(path, whole.shape, integers(path, whole.values)), origin };
  }
  const codes = names.map((_, at): ImageCodes => {
    const one = tensors.get(`codes.${at}`);
    if (one === undefined) return fail(path, `it must hold codes, or codes.${at}`, "neither");
    return { shape: one.shape, values: integers(path, one.values) };
  });
  return { names, codes, origin };
}

async function readNpy(path: string): Promise<SavedCodes> {
  const bytes = await readWhole(path);
  if (bytes === undefined) throw new Error(`Cannot read ${path}: the file must exist, got none`);
  const { shape, values } = decodeNpy(bytes, path);
  const codes = apart(path, shape, integers(path, values));
  const beside = besideNpy(path);
  const text = await readWhole(beside);
  if (text === undefined) {
    const digits = Math.max(4, `${codes.length}`.length);
    const names = codes.map((_, at) => `${String(at).padStart(digits, "0")}.png`);
    return { names, codes };
  }
  const { names, ...origin } = readHeader(parse(new TextDecoder().decode(text), beside), beside);
  return { names, codes, origin };
}

function parse(text: string, path: string): unknown {
  try {
    return parseJson(text, path);
  } catch (cause) {
    return fail(path, "its description of the codes must be JSON", (cause as Error).message);
  }
}

function readHeader(
  value: unknown,
  path: string,
): Pick<SavedCodes, "names"> & CodesOrigin {
  const result = HEADER.safeParse(value);
  if (!result.success) {
    const [{ path: place, message }] = result.error.issues;
    return fail(
      path,
      `it must be a "${FORMAT}" with names, run, codebookSize and downsampling`,
      `${[...place, ""].join(": ")}${message}`,
    );
  }
  const { names, run, codebookSize, downsampling } = result.data;
  return { names, run, codebookSize, downsampling };
}

function integers(path: string, values: unknown): Int32Array<ArrayBuffer> {
  if (values instanceof Int32Array) return values as Int32Array<ArrayBuffer>;
  return fail(path, "codes must be integers", "floats");
}

/** The codes of each image, as views of the whole array. */
function apart(
  path: string,
  [count, ...shape]: readonly number[],
  values: Int32Array<ArrayBuffer>,
): ImageCodes[] {
  const size = sizeOf(shape);
  if (shape.length === 0 || count * size === 0) {
    fail(
      path,
      "codes must be [N, h, w, …], or [N, …] of whole grids, none of them 0",
      `shape ${showShape([count, ...shape])}`,
    );
  }
  return Array.from({ length: count }, (_, at) => ({
    shape,
    values: values.subarray(at * size, (at + 1) * size),
  }));
}

function joined(codes: readonly ImageCodes[]) {
  const [{ shape }] = codes, size = sizeOf(shape);
  const values = new Int32Array(codes.length * size);
  codes.forEach((one, at) => values.set(one.values, at * size));
  return { shape: [codes.length, ...shape], values };
}

function isNpy(path: string): boolean {
  return path.endsWith(".npy");
}

/** The path of the names of a NumPy array: `codes.json` beside `codes.npy`. */
function besideNpy(path: string): string {
  return path.replace(/\.npy$/, ".json");
}

function checkEnding(path: string, action: string): void {
  if (path.endsWith(".safetensors") || isNpy(path)) return;
  throw new RangeError(
    `Cannot ${action} codes: the file's name must end in .safetensors or .npy, got ${path}`,
  );
}

function fail(path: string, requirement: string, actual: string): never {
  throw new RangeError(`Cannot read ${path}: ${requirement}, got ${actual}`);
}
