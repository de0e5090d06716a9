/** Compiles WGSL to pipelines: the boilerplate around a compute shader, the cache, and error messages. */
import type { ComputeShader } from "./launch.ts";

/** The maximum size of a shader's `numbers` in bytes. */
export const NUMBERS_BYTES = 256;

function binding(declaration: string, slot: number, access: string): string {
  const [name, type] = declaration.split(": ");
  return `@group(0) @binding(${slot}) var<storage, ${access}> ${name}: array<${type}>;`;
}

/** The whole WGSL of a shader.
 * @param directive of shaders that use subgroups
 */
export function wgslOf(shader: ComputeShader, directive: string): string {
  const { inputs, outputs, numbers, declarations, body, workgroupSize } = shader;
  return [
    shader.float16 ? "enable f16;" : "",
    shader.subgroups ? directive : "",
    ...inputs.map((input, slot) => binding(input, slot, "read")),
    ...outputs.map((output, slot) => binding(output, inputs.length + slot, "read_write")),
    numbers.length === 0 ? "" : `struct Numbers { ${numbers.join(", ")} }
@group(1) @binding(0) var<uniform> numbers: Numbers;`,
    declarations ?? "",
    `@compute @workgroup_size(${workgroupSize})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let group = workgroup.x + workgroup.y * workgroups.x;
  let index = group * ${workgroupSize}u + local;
${body}
}`,
  ].filter((part) => part !== "").join("\n");
}

function numbered(wgsl: string): string {
  return wgsl.split("\n")
    .map((line, index) => `${String(index + 1).padStart(4)} | ${line}`)
    .join("\n");
}

/** Compiles shaders of one GPU device, each once. */
export class Programs {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #directive: string;
  readonly #report: (outcome: Promise<Error | undefined>) => void;
  /** The layout of the bind group that holds `numbers`. */
  readonly numbersLayout: GPUBindGroupLayout;

  /**
   * @param directive of shaders that use subgroups
   * @param report called for every compilation, with a promise of its outcome
   */
  constructor(
    device: GPUDevice,
    directive: string,
    report: (outcome: Promise<Error | undefined>) => void,
  ) {
    this.#device = device;
    this.#directive = directive;
    this.#report = report;
    this.numbersLayout = device.createBindGroupLayout({
      entries: [{
        binding: 0,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: "uniform", hasDynamicOffset: true },
      }],
    });
  }

  /** The layout of bind groups with this many buffers read and written. */
  layout(inputs: number, outputs: number): GPUBindGroupLayout {
    const key = `${inputs}:${outputs}`;
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      layout = this.#device.createBindGroupLayout({
        entries: Array.from({ length: inputs + outputs }, (_, slot) => ({
          binding: slot,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: slot < inputs ? "read-only-storage" : "storage" } as const,
        })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** The pipeline of a shader, compiled if its key is new. */
  pipeline(key: string, shader: () => ComputeShader): GPUComputePipeline {
    let pipeline = this.#pipelines.get(key);
    if (pipeline === undefined) {
      pipeline = this.#compile(key, shader());
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  #compile(key: string, shader: ComputeShader): GPUComputePipeline {
    const device = this.#device;
    const code = wgslOf(shader, this.#directive);
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: key, code });
    const pipeline = device.createComputePipeline({
      label: key,
      layout: device.createPipelineLayout({
        bindGroupLayouts: [
          this.layout(shader.inputs.length, shader.outputs.length),
          this.numbersLayout,
        ],
      }),
      compute: { module, entryPoint: "main" },
    });
    this.#report(
      device.popErrorScope().then((error) => {
        if (error === null) return undefined;
        return module.getCompilationInfo().then(({ messages }) => {
          const notes = messages.map(({ lineNum, linePos, type, message }) =>
            `${type} at ${lineNum}:${linePos}: ${message}`
          );
          return new Error(
            `Cannot compile the shader ${key}: ${[error.message, ...notes].join("\n")}\n${
              numbered(code)
            }`,
          );
        });
      }),
    );
    return pipeline;
  }
}
