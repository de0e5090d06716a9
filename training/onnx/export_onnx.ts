/** Exports a trained first stage as ONNX: its encoder, its lookup and its decoder. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../../files/atomic_write.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { type OpenedRun, openRun, type OpenRunOptions } from "../open_run.ts";
import type { Exported } from "../pretrained/export_run.ts";
import { readSummary } from "../run_files.ts";
import { encodeOnnx } from "./model_file.ts";
import { type Computation, writeGraph } from "./write_graph.ts";

/** Height and width of images. */
export type ImageSize = readonly [height: number, width: number];

/** Options of `exportOnnx`: what to write, and which of the run's weights to use. */
export interface OnnxOptions extends OpenRunOptions {
  /** The output folder. */
  readonly out: string;
  /** The image size of the graphs; by default that of the run's test images. */
  readonly size?: ImageSize;
}

/** Exports a run's first stage as ONNX, opset 17: `encoder.onnx`, `lookup.onnx` and `decoder.onnx`, for batches of any
 * size. Images are float32 `[batch, H, W, C]` in [−1, 1] and indices int32, as everywhere here.
 *
 *     await exportOnnx("runs/digits", await openDevice("reference"), { out: "digits-onnx" });
 *
 * @param device the device `reference`, on which the operations are recorded
 * @throws {TypeError} the model does not take images of the size
 * @throws {Error} the run cannot be read, or the files cannot be written
 * @throws {RangeError} the size is not known, or the model has an operation without an ONNX equivalent
 */
export async function exportOnnx(
  path: string,
  device: Device,
  { out, size, ...which }: OnnxOptions,
): Promise<Exported> {
  using run = await openRun(path, device, which);
  return await writeOnnx(run, device, size ?? await measuredSize(path), out);
}

async function measuredSize(path: string): Promise<ImageSize> {
  const summary = await readSummary(path);
  if (summary === undefined) {
    throw new RangeError(
      `Cannot export ${path} for onnx: the size of its images must be given, got none, and the run was not measured on any`,
    );
  }
  const [height, width] = summary.protocols[summary.test.protocol].imageShape;
  return [height, width];
}

/** Writes `encoder.onnx` (images to features and indices), `lookup.onnx` (indices to codes) and `decoder.onnx` (codes to
 * images).
 * @param run the run, opened on the device `reference`
 * @throws {TypeError} the model does not take images of the size
 * @throws {RangeError} the model has an operation without an ONNX equivalent
 */
export async function writeOnnx(
  { model, identity }: Pick<OpenedRun, "model" | "identity">,
  device: Device,
  [height, width]: ImageSize,
  out: string,
): Promise<Exported> {
  const { channels, downsampling, codebookDim, codeAxes, network } = model;
  const grid = [height / downsampling, width / downsampling];
  const floats = (shape: readonly number[]) => {
    const values = new Float32Array(shape.reduce((size, length) => size * length));
    return device.tensor(values.map((_, at) => Math.sin(at)), shape);
  };
  const encode = (images: Tensor) => {
    const features = model.features(images);
    return [features, model.quantize(features)];
  };
  const computations: readonly Computation[] = [
    {
      name: "encoder",
      names: { input: "images", outputs: ["features", "indices"] },
      inputOf: (batch) => floats([batch, height, width, channels]),
      compute: encode,
    },
    {
      name: "lookup",
      names: { input: "indices", outputs: ["codes"] },
      inputOf: (batch) => model.quantize(floats([batch, ...grid, codebookDim])),
      compute: (indices) => [network.quantizer.lookup(indices)],
    },
    {
      name: "decoder",
      names: { input: "codes", outputs: ["images"] },
      inputOf: (batch) => floats([batch, ...grid, codebookDim]),
      compute: (codes) => [model.decodeCodes(codes)],
    },
  ];
  const graphs = computations.map((computation) => writeGraph(device, computation));
  const metadata = {
    identity,
    layout: `[batch, ${height}, ${width}, ${channels}] in [-1, 1]; indices [${
      ["batch", ...grid, ...codeAxes].join(", ")
    }]`,
  };
  await mkdir(out, { recursive: true });
  const files: string[] = [];
  for (const graph of graphs) {
    files.push(join(out, `${graph.name}.onnx`));
    await writeAtomically(files[files.length - 1], await encodeOnnx(graph, metadata));
  }
  const tensors = graphs.reduce((sum, { constants }) => sum + constants.length, 0);
  return { files, tensors, notes: [`images are ${metadata.layout}`] };
}
