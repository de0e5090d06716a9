/** The side of this project.
 *
 *     deno run -A bench/peers/codebook.ts cpu|blas|libraries|webgpu FOLDER WORK…
 */
import { execute } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { nearest } from "../../core/functions/indexing.ts";
import { conv2d, convTranspose2d, matmul } from "../../core/functions/products.ts";
import { sum } from "../../core/functions/reductions.ts";
import type { Tensor } from "../../core/tensor.ts";
import { openOwnDevice } from "./own_device.ts";
import { type Library, type Prepared, runSide } from "./side.ts";
import { ATTENTIONS } from "./works.ts";

const device = await openOwnDevice(Deno.args[0]);

const WINDOW = { stride: 2, padding: 1 };

/** The output of attention, or its gradients from the saved results of the forward pass. */
function attend(
  { causal, backward }: typeof ATTENTIONS[number],
  [q, k, v, g]: readonly Tensor[],
): Prepared<Tensor> {
  const attributes = { causal, scale: 1 / Math.sqrt(q.shape[3]) };
  if (!backward) {
    return { once: () => execute(device, "attention", [q, k, v], attributes).slice(0, 1) };
  }
  const [y, logsumexps] = execute(device, "attention", [q, k, v], attributes);
  return {
    once: () => {
      using scope = device.scope();
      const totals = sum(mul(g, y), [3]);
      const operands = [q, k, v, g, logsumexps, totals];
      const gradients = execute(device, "attentionGradient", operands, attributes);
      return gradients.map((gradient) => scope.keep(gradient));
    },
  };
}

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
    ...Object.fromEntries(
      ATTENTIONS.map((about) => [about.name, (...inputs: Tensor[]) => attend(about, inputs)]),
    ),
  },
  finish: () => device.synchronize(),
  read: (result) => result.dtype === "int32" ? result.integers() : result.floats(),
  drop: (result) => result.dispose(),
};

await runSide(library, Deno.args.slice(1));
