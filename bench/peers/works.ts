/** The works that are compared, and the files that give every side the same inputs. */
import type { Shape } from "../../core/shape.ts";

/** A work with its inputs. */
export interface Work {
  /** The number of floating-point operations. */
  readonly operations: number;
  /** The shapes of its inputs by name, channels last. Values are float32 in [−1, 1]. */
  readonly inputs: Readonly<Record<string, Shape>>;
}

const IMAGES: Shape = [64, 14, 14, 64];
const FILTER: Shape = [4, 4, 64, 128];
/** The shape of the gradient of the convolution's output. */
const OUTPUTS: Shape = [64, 7, 7, 128];
const CONV_OPERATIONS = 2 * (64 * 7 * 7 * 128) * (4 * 4 * 64);

const [N, K, D] = [50176, 512, 64];

/** Attention of eight heads of width 32 over 1,024 tokens, in sequences of a given length: the output, or the gradients of
 * queries, keys and values. */
export const ATTENTIONS = [64, 256, 1024].flatMap((length) =>
  [false, true].flatMap((causal) =>
    [false, true].map((backward) => ({
      name: `attention, ${length} tokens${causal ? ", causal" : ""}${backward ? ", backward" : ""}`,
      ...{ length, causal, backward },
    }))
  )
);

/** The names of the attention works. */
export const ATTENTION_WORKS: readonly string[] = ATTENTIONS.map(({ name }) => name);

/** The width of a head, the number of heads and the number of tokens. */
const [WIDTH, HEADS, TOKENS] = [32, 8, 1024];

function attentionWork({ length, backward }: typeof ATTENTIONS[number]): Work {
  const shape = [TOKENS / length, length, HEADS, WIDTH];
  const operations = (backward ? 10 : 4) * TOKENS * length * HEADS * WIDTH;
  const names = backward ? ["q", "k", "v", "g"] : ["q", "k", "v"];
  return { operations, inputs: Object.fromEntries(names.map((name) => [name, shape])) };
}

/** The matrix product; a convolution (4×4, stride 2, padding 1) and the gradients of its images and its filter; and the
 * nearest code of every feature and the nearest feature of every code, by squared distance. */
export const WORKS: Readonly<Record<WorkName, Work>> = {
  matmul: { operations: 2 * 1024 ** 3, inputs: { a: [1024, 1024], b: [1024, 1024] } },
  conv: { operations: CONV_OPERATIONS, inputs: { images: IMAGES, filter: FILTER } },
  convByImages: { operations: CONV_OPERATIONS, inputs: { outputs: OUTPUTS, filter: FILTER } },
  convByFilter: { operations: CONV_OPERATIONS, inputs: { images: IMAGES, outputs: OUTPUTS } },
  nearest: { operations: 2 * 2 * N * K * D, inputs: { features: [N, D], codebook: [K, D] } },
  ...Object.fromEntries(ATTENTIONS.map((about) => [about.name, attentionWork(about)])),
};

/** The name of a work. */
export type WorkName = string;

/** The numbers of codes, features and dimensions of the nearest-code work that must fit into 1 GiB. */
export const HUGE = { features: [2 ** 20, 64], codebook: [16384, 64] } as const;
/** The number of floating-point operations of that work. */
export const HUGE_OPERATIONS = 2 * 2 * 2 ** 20 * 16384 * 64;

/** The file of an input: float32, little-endian. */
export function inputPath(folder: string, work: string, input: string): string {
  return `${folder}/${work}-${input}.input`;
}

/** The file of a side's result: float32 channels last, or int32 indices, little-endian. */
export function resultPath(folder: string, work: string): string {
  return `${folder}/${work}.result`;
}
