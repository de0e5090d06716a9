/** Random numbers; `core/random.ts` defines which Philox word makes which element. */
import type { Kernel, View } from "../../backend.ts";
import type { Attributes } from "../../ops.ts";
import { permutation, type RandomKey } from "../../random.ts";
import { sizeOf } from "../../shape.ts";
import type { CpuBuffer } from "../memory.ts";
import type { Machine } from "../threads.ts";

type Random = "uniform" | "normal" | "permutation";
type Table = { readonly [N in Random]: Kernel<Attributes[N], CpuBuffer> };

/** A key as the module expects it: class `Key` in assembly/philox.ts. */
export function keyWords({ seed, step, stream }: RandomKey): number[] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, step >>> 0, stream >>> 0];
}

/** The random kernels. */
export function randomKernels({ exports, memory, describe }: Machine): Table {
  const describeDraw = ({ buffer, shape }: View<CpuBuffer>, key: RandomKey): void =>
    describe([...keyWords(key), buffer.address, sizeOf(shape)]);
  return {
    uniform: (_, [output], { key, low, high }) => {
      describeDraw(output, key);
      exports.uniform(low, high);
    },
    normal: (_, [output], { key, mean, deviation }) => {
      describeDraw(output, key);
      exports.normal(mean, deviation);
    },
    permutation: (_, [{ buffer }], { key, length }) => {
      memory.integers(buffer.address, length).set(permutation(key, length));
    },
  };
}
