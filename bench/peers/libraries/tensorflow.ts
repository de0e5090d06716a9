/** TensorFlow.js. Its wasm backend takes SIMD and one thread here: it refuses threads outside of browsers, and in them
 * takes half of the cores, which on a machine of two is one.
 *
 *     deno run -A bench/peers/libraries/tensorflow.ts wasm|webgpu FOLDER WORK…
 */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-wasm";
import "@tensorflow/tfjs-backend-webgpu";
import { type Library, runSide } from "../side.ts";
import { WORKS } from "../works.ts";

const device = Deno.args[0] === "webgpu" ? "webgpu" : "wasm";
if (!await tf.setBackend(device)) {
  throw new Error(`Cannot measure TensorFlow.js: its ${device} backend must start, got none`);
}

/** 4×4, stride 2: "same" is a padding of 1 on every side. */
const WINDOW = { strides: 2, pad: "same", dataFormat: "NHWC" } as const;

type Images = tf.Tensor4D;

const library: Library<tf.Tensor> = {
  put: (values, shape) => tf.tensor(values, [...shape]),
  works: {
    matmul: (a, b) => ({ once: () => [tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D)] }),
    conv: (images, filter) => ({
      once: () => [tf.conv2d(images as Images, filter as Images, 2, "same")],
    }),
    convByImages(outputs, filter) {
      const [batch, height, width, channels] = WORKS.conv.inputs.images;
      const shape: [number, number, number, number] = [batch, height, width, channels];
      return {
        once: () => [tf.conv2dTranspose(outputs as Images, filter as Images, shape, 2, "same")],
      };
    },
    ...tf.getKernel(tf.Conv2DBackpropFilter, device) && {
      convByFilter: (images, outputs) => ({
        once: () => [
          tf.engine().runKernel<tf.Tensor>(
            tf.Conv2DBackpropFilter,
            { x: images, dy: outputs },
            { ...WINDOW, filterShape: [...WORKS.conv.inputs.filter] },
          ),
        ],
      }),
    },
  },
  finish: async (results) => {
    for (const result of results) await result.data();
  },
  read: async (result) => await result.data() as Float32Array<ArrayBuffer>,
  drop: (result) => result.dispose(),
};

await runSide(library, Deno.args.slice(1));
