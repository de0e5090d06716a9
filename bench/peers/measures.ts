/** The targets in comparison with other libraries, and whether they were reached. */
import { SIDES, stepSide } from "./groups.ts";
import type { PyTorch } from "./pytorch.ts";
import type { Samples } from "./rounds.ts";
import type { Sample } from "./side.ts";
import { MODEL_NAMES } from "../models.ts";
import { DIFFUSIONS, samplingWork, stepWork } from "./models.ts";
import { STEPS, vqvaeWork } from "./steps.ts";
import { ATTENTION_WORKS, ATTENTIONS, HUGE } from "./works.ts";

/** A target ratio. */
export interface Measure {
  /** What is compared, in words. */
  readonly about: string;
  /** The name of the work. */
  readonly work: string;
  /** Our side. */
  readonly ours: string;
  /** The other side. */
  readonly peer: string;
  /** Speed (the peer's time divided by ours) must reach the bound. Memory (ours divided by the peer's) must stay under it. */
  readonly of: "speed" | "memory";
  /** The minimum speed, or the maximum memory. */
  readonly bound: number;
}

const CONVOLUTIONS = [
  ["conv", "convolution"],
  ["convByImages", "its gradient by the images"],
  ["convByFilter", "its gradient by the filter"],
] as const;

function speed(about: string, work: string, ours: string, peer: string, bound: number): Measure {
  return { about, work, ours, peer, of: "speed", bound };
}

/** The target ratios, on a machine with these PyTorch set-ups. */
export function measuresOf(pytorches: readonly PyTorch[]): Measure[] {
  const { cpu, libraries, webgpu } = SIDES;
  const steps = STEPS.flatMap((step) => {
    const work = vqvaeWork(step);
    return pytorches.flatMap((pytorch) => [
      speed(work, work, cpu, stepSide(pytorch, "lean"), 0.75),
      speed(work, work, libraries, stepSide(pytorch, "lean"), step.bound),
      speed(work, work, libraries, stepSide(pytorch, "sorted"), 2.5),
    ]);
  });
  const memory = STEPS.flatMap((step) =>
    pytorches.flatMap((pytorch) =>
      [cpu, libraries].map((ours): Measure => ({
        about: `peak memory, ${vqvaeWork(step)}`,
        ...{ work: vqvaeWork(step), ours, peer: stepSide(pytorch, "lean") },
        ...{ of: "memory", bound: 1 },
      }))
    )
  );
  const models = [...MODEL_NAMES.map(stepWork), ...DIFFUSIONS.map(samplingWork)].flatMap((work) =>
    pytorches.map(({ name }) => speed(work, work, libraries, name, 1))
  );
  const gpt = stepWork("gpt");
  return [
    speed("matrix product 1024³", "matmul", cpu, SIDES.openBlas, 0.4),
    ...steps,
    ...models,
    ...pytorches.map(({ name }) => speed(`${gpt}, without libraries`, gpt, cpu, name, 0.6)),
    ...ATTENTION_WORKS.map((work) => speed(work, work, webgpu, SIDES.jaxWebGpu, 3)),
    ...ATTENTIONS.filter(({ backward }) => !backward)
      .map(({ name }) => speed(name, name, cpu, SIDES.onnxRuntime, 1)),
    ...pytorches.flatMap(({ name }) =>
      ATTENTION_WORKS.map((work) => speed(work, work, libraries, name, 1))
    ),
    speed("matrix product 1024³", "matmul", webgpu, SIDES.jaxWebGpu, 3),
    speed("matrix product 1024³", "matmul", webgpu, SIDES.tensorflowWebGpu, 3),
    ...CONVOLUTIONS.map(([work, about]) => speed(about, work, webgpu, SIDES.jaxWebGpu, 3)),
    ...CONVOLUTIONS.map(([work, about]) => speed(about, work, cpu, SIDES.jaxWasm, 3)),
    ...CONVOLUTIONS.map(([work, about]) => speed(about, work, cpu, SIDES.tensorflowWasm, 3)),
    ...pytorches.flatMap(({ name }) =>
      CONVOLUTIONS.map(([work, about]) => speed(about, work, libraries, name, 0.9))
    ),
    ...pytorches.map(({ name }) =>
      speed("nearest codes and features, N = 50,176, K = 512, D = 64", "nearest", cpu, name, 1.5)
    ),
    ...memory,
  ];
}

/** The median and the minimum of some numbers. */
export interface Spread {
  /** The middle one; of an even number of values, the lower of the two. */
  readonly median: number;
  /** The least. */
  readonly least: number;
}

/** The spread of a quantity of the samples over the rounds; undefined if there are none. */
export function spreadOf(
  samples: readonly Sample[],
  quantity: (sample: Sample) => number | null,
): Spread | undefined {
  const values = samples.map(quantity).filter((value) => value !== null).sort((a, b) => a - b);
  if (values.length === 0) return undefined;
  return { median: values[Math.floor((values.length - 1) / 2)], least: values[0] };
}

/** A target with its result. */
export interface Finding extends Measure {
  /** Milliseconds or MiB of both sides; undefined if the peer has no kernel. */
  readonly values: { readonly ours: Spread; readonly peer?: Spread };
  /** The ratio of the medians, and that of the minima. */
  readonly ratio?: { readonly median: number; readonly least: number };
  /** Whether the medians meet the bound. */
  readonly reached?: boolean;
}

/** The result for a target; undefined if it was not measured. */
export function findingOf(measure: Measure, samples: Samples): Finding | undefined {
  const sides = [measure.ours, measure.peer].map((side) => samples.get(measure.work)?.get(side));
  const quantity = ({ ms, peakMiB }: Sample) => measure.of === "speed" ? ms : peakMiB;
  const [ours, peer] = sides.map((side) => side && spreadOf(side, quantity));
  if (ours === undefined || sides[1] === undefined) return undefined;
  if (peer === undefined) return { ...measure, values: { ours } };
  const isSpeed = measure.of === "speed";
  const by = (which: keyof Spread) =>
    isSpeed ? peer[which] / ours[which] : ours[which] / peer[which];
  const ratio = { median: by("median"), least: by("least") };
  const reached = isSpeed ? ratio.median >= measure.bound : ratio.median <= measure.bound;
  return { ...measure, values: { ours, peer }, ratio, reached };
}

const floats = (shape: readonly number[]) => shape.reduce((product, length) => product * length);

/** The memory in MiB of a process that finds the nearest codes of a million features, without the codes and features. */
export function hugeMiB(samples: Samples): number | undefined {
  const [sample] = samples.get("huge")?.get(SIDES.cpu) ?? [];
  if (sample === undefined) return undefined;
  const inputs = 4 * (floats(HUGE.features) + floats(HUGE.codebook)) / 2 ** 20;
  return sample.peakMiB - inputs;
}
