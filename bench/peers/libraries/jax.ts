/** jax-js, as its README says: owned references, gradients by transformation. Without `jit`, which fuses what these
 * single operations do not have, and makes its convolutions on wasm slower.
 *
 *     deno run -A bench/peers/libraries/jax.ts wasm|webgpu FOLDER WORK…
 */
import {
  type Array as JaxArray,
  blockUntilReady,
  defaultDevice,
  init,
  lax,
  nn,
  numpy as np,
  vjp,
} from "@jax-js/jax";
import { type Library, type Prepared, runSide } from "../side.ts";
import { ATTENTIONS } from "../works.ts";

const device = Deno.args[0] === "webgpu" ? "webgpu" : "wasm";
await init(device);
defaultDevice(device);

/** Its convolutions want channels first, and filters [Cout, Cin, KH, KW]. */
const imagesFirst = (images: JaxArray) => np.transpose(images, [0, 3, 1, 2]);
const imagesLast = (images: JaxArray) => np.transpose(images, [0, 2, 3, 1]);
const filterFirst = (filter: JaxArray) => np.transpose(filter, [3, 2, 0, 1]);
const filterLast = (filter: JaxArray) => np.transpose(filter, [2, 3, 1, 0]);

const conv = (images: JaxArray, filter: JaxArray) =>
  lax.convGeneralDilated(images, filter, [2, 2], [[1, 1], [1, 1]]);

/** The gradient of `f` at `x`; what only its value needs is never computed. */
function gradient(f: (x: JaxArray) => JaxArray, x: JaxArray, upstream: JaxArray): JaxArray {
  const [value, pullBack] = vjp(f, [x]);
  value.dispose();
  const [result] = pullBack(upstream);
  pullBack.dispose();
  return result;
}

/** The output of attention, or its gradients, from what forward keeps. */
function attend(
  { causal, backward }: typeof ATTENTIONS[number],
  [q, k, v, g]: readonly JaxArray[],
): Prepared<JaxArray> {
  const of = (q: JaxArray, k: JaxArray, v: JaxArray) =>
    nn.dotProductAttention(q, k, v, { isCausal: causal });
  if (!backward) return { once: () => [of(q.ref, k.ref, v.ref)] };
  const once = () => {
    const [y, pullBack] = vjp(of, [q.ref, k.ref, v.ref]);
    y.dispose();
    const gradients = pullBack(g.ref);
    pullBack.dispose();
    return gradients;
  };
  return { once };
}

const library: Library<JaxArray> = {
  put: (values, shape) => np.array(values).reshape([...shape]),
  works: {
    matmul: (a, b) => ({ once: () => [np.matmul(a.ref, b.ref)] }),
    conv(images, filter) {
      const [x, w] = [imagesFirst(images), filterFirst(filter)];
      return { once: () => [conv(x.ref, w.ref)], channelsLast: imagesLast };
    },
    convByImages(outputs, filter) {
      const [g, w] = [imagesFirst(outputs), filterFirst(filter)];
      const [batch, , height, width] = g.shape;
      const x = np.zeros([batch, w.shape[1], 2 * height, 2 * width]);
      const once = () => [gradient((x) => conv(x, w.ref), x.ref, g.ref)];
      return { once, channelsLast: imagesLast };
    },
    convByFilter(images, outputs) {
      const [x, g] = [imagesFirst(images), imagesFirst(outputs)];
      const w = np.zeros([g.shape[1], x.shape[1], 4, 4]);
      const once = () => [gradient((w) => conv(x.ref, w), w.ref, g.ref)];
      return { once, channelsLast: filterLast };
    },
    ...Object.fromEntries(
      ATTENTIONS.map((about) => [about.name, (...inputs: JaxArray[]) => attend(about, inputs)]),
    ),
  },
  finish: async (results) => {
    await blockUntilReady([...results]);
  },
  read: async (result) => await result.data() as Float32Array<ArrayBuffer>,
  drop: (result) => result.dispose(),
};

await runSide(library, Deno.args.slice(1));
