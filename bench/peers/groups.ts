/** The comparisons: groups of processes that take turns. */
import { fileURLToPath } from "node:url";
import type { ModelName } from "../models.ts";
import { pythonPlan } from "./models.ts";
import type { PyTorch } from "./pytorch.ts";
import { type Step, STEPS } from "./steps.ts";
import { ATTENTION_WORKS, type WorkName } from "./works.ts";

/** The process of one side. It prints one `Sample` per line. */
export interface SideProcess {
  /** The side's name in the tables. */
  readonly side: string;
  /** The program. */
  readonly command: string;
  /** Its arguments. If the group has works, the folder of the inputs and the names of the works follow. */
  readonly args: readonly string[];
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Processes that do the same work. */
export interface Group {
  /** The works with given inputs, whose results are compared. */
  readonly works: readonly WorkName[];
  /** The sides that take turns. The others must agree with the first. */
  readonly processes: readonly SideProcess[];
  /** Whether it is measured in one round only, because it takes long. */
  readonly once?: boolean;
}

/** The names of the groups. */
export const GROUP_NAMES = [
  "matmul",
  "conv",
  "attention",
  "nearest",
  "step",
  "vqgan",
  "unet",
  "transformer",
  "huge",
] as const;

/** The name of a group. */
export type GroupName = typeof GROUP_NAMES[number];

/** The names of the sides in the tables. */
export const SIDES = {
  cpu: "Codebook cpu",
  blas: "Codebook cpu with BLAS",
  libraries: "Codebook cpu with BLAS and oneDNN",
  webgpu: "Codebook webgpu",
  openBlas: "OpenBLAS",
  jaxWasm: "jax-js wasm",
  jaxWebGpu: "jax-js webgpu",
  tensorflowWasm: "TensorFlow.js wasm",
  tensorflowWebGpu: "TensorFlow.js webgpu",
  onnxRuntime: "ONNX Runtime",
} as const;

function ours(side: string, program: string, ...args: string[]): SideProcess {
  const path = fileURLToPath(new URL(program, import.meta.url));
  return { side, command: Deno.execPath(), args: ["run", "-A", "--no-check", path, ...args] };
}

const JAX = [
  ours(SIDES.jaxWasm, "libraries/jax.ts", "wasm"),
  ours(SIDES.jaxWebGpu, "libraries/jax.ts", "webgpu"),
];

const PEERS = [
  ...JAX,
  ours(SIDES.tensorflowWasm, "libraries/tensorflow.ts", "wasm"),
  ours(SIDES.tensorflowWebGpu, "libraries/tensorflow.ts", "webgpu"),
];

function theirs({ name, python, env }: PyTorch, program: string, ...args: string[]): SideProcess {
  const path = fileURLToPath(new URL(program, import.meta.url));
  return { side: name, command: python, args: [path, ...args], env };
}

/** The PyTorch side of a training step, by its lookup. */
export function stepSide(pytorch: PyTorch, lookup: "lean" | "sorted"): string {
  return `${pytorch.name}, ${lookup}`;
}

/** The libraries for the device cpu on this machine. */
export interface Libraries {
  /** Whether there is a BLAS. */
  readonly blas: boolean;
  /** Whether there is oneDNN. */
  readonly dnn: boolean;
}

/** This project's processes on the device cpu. */
function onCpu({ blas, dnn }: Libraries, program: string, ...args: string[]): SideProcess[] {
  return [
    ours(SIDES.cpu, program, "cpu", ...args),
    ...blas ? [ours(SIDES.blas, program, "blas", ...args)] : [],
    ...blas && dnn ? [ours(SIDES.libraries, program, "libraries", ...args)] : [],
  ];
}

/** The lookups that are measured: a full sort only where the reference implementation sorts both axes. */
function lookupsOf(quantizer: Step["quantizer"]): readonly ("lean" | "sorted")[] {
  return quantizer === "clustered" ? ["lean", "sorted"] : ["lean"];
}

function stepProcesses(pytorches: readonly PyTorch[], libraries: Libraries): SideProcess[] {
  return STEPS.flatMap(({ quantizer, batch, image: [side, channels], runs }, index) => [
    ...onCpu(libraries, "codebook_step.ts", `${index}`),
    ...pytorches.flatMap((pytorch) =>
      lookupsOf(quantizer).map((lookup) => ({
        ...theirs(
          pytorch,
          "pytorch_step.py",
          ...["--batch", `${batch}`, "--image", `${side}`, `${side}`, `${channels}`],
          ...["--steps", `${runs}`, "--quantizer", quantizer, "--lookup", lookup],
        ),
        side: stepSide(pytorch, lookup),
      }))
    ),
  ]);
}

/** A model's training step, and a diffusion's step of DDIM.
 * @param program the PyTorch script
 */
function modelProcesses(
  presets: readonly ModelName[],
  program: string,
  pytorches: readonly PyTorch[],
  libraries: Libraries,
): SideProcess[] {
  return presets.flatMap((preset) => [
    ...onCpu(libraries, "codebook_model.ts", preset),
    ...pytorches.map((pytorch) => theirs(pytorch, program, pythonPlan(preset))),
  ]);
}

/** All groups, for the PyTorch set-ups and the libraries of this machine. */
export function groupsOf(
  pytorches: readonly PyTorch[],
  libraries: Libraries,
): Readonly<Record<GroupName, Group>> {
  const cpu = onCpu(libraries, "codebook.ts");
  const codebook = [...cpu, ours(SIDES.webgpu, "codebook.ts", "webgpu")];
  const blas = libraries.blas ? [ours(SIDES.openBlas, "openblas.ts")] : [];
  const onnxRuntime = ours(SIDES.onnxRuntime, "onnx_runtime.ts");
  const kernels = pytorches.map((pytorch) => theirs(pytorch, "pytorch_kernels.py"));
  const models = (presets: readonly ModelName[], program: string) =>
    modelProcesses(presets, program, pytorches, libraries);
  return {
    matmul: {
      works: ["matmul"],
      processes: [...codebook, ...blas, ...PEERS, ...kernels],
    },
    conv: {
      works: ["conv", "convByImages", "convByFilter"],
      processes: [...codebook, ...PEERS, ...kernels],
    },
    nearest: { works: ["nearest"], processes: [...cpu, ...kernels] },
    step: { works: [], processes: stepProcesses(pytorches, libraries) },
    attention: {
      works: ATTENTION_WORKS,
      processes: [...codebook, ...JAX, onnxRuntime, ...kernels],
    },
    vqgan: { works: [], processes: models(["vqgan-small", "vqgan-f8"], "pytorch_vqgan.py") },
    unet: { works: [], processes: models(["ldm", "ddpm"], "pytorch_unet.py") },
    transformer: { works: [], processes: models(["gpt"], "pytorch_gpt.py") },
    huge: { works: [], processes: [ours(SIDES.cpu, "codebook_huge.ts")], once: true },
  };
}
