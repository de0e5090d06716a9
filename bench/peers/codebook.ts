/** This project.
 *
 *     deno run -A bench/peers/codebook.ts cpu|blas|libraries|webgpu FOLDER WORK…
 */
import { execute } from "../../core/execute.ts";
import { nearest } from "../../core/functions/indexing.ts";
import { conv2d, convTranspose2d, matmul } from "../../core/functions/products.ts";
import type { Tensor } from "../../core/tensor.ts";
import { openOwnDevice } from "./own_device.ts";
import { type Library, runSide } from "./side.ts";

const device = await openOwnDevice(Deno.args[0]);

const WINDOW = { stride: 2, padding: 1 };

const library: Library<Tensor> = {
  put: (values, shape) => device.tensor(values, shape),
  works: {
    matmul: (a, b) => ({ once: () => [matmul(a, b)] }),
    conv: (images, filter) => ({ once: () => [conv2d(images, filter, WINDOW)] }),
    convByImages: (outputs, filter) => ({
      once: () => [convTranspose2d(outputs, filter, WINDOW)],
    }),
    convByFilter: (images, outputs) => ({
      once: () =>
        execute(device, "conv2dFilter", [images, outputs], {
          stride: [2, 2],
          padding: [1, 1],
          dilation: [1, 1],
          kernelSize: [4, 4],
        }),
    }),
    nearest: (features, codebook) => ({
      once: () => [
        nearest(features, codebook, { distance: "l2" }),
        nearest(codebook, features, { distance: "l2" }),
      ],
    }),
  },
  finish: () => device.synchronize(),
  read: (result) => result.dtype === "int32" ? result.integers() : result.floats(),
  drop: (result) => result.dispose(),
};

await runSide(library, Deno.args.slice(1));
