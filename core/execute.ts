/** Runs operations, records them on the tape, and computes gradients from it. */
import type { Buffer, Kernel } from "./backend.ts";
import {
  type ApplyAll,
  type Attributes,
  type GradientCall,
  type OperationName,
  operations,
  type ViewName,
} from "./ops.ts";
import { sameShape, showShape, type Spec } from "./shape.ts";
import { isRecording, nextOrder, recordNode, trace, whileRecording } from "./tape.ts";
import type { CheckpointNode, Device, OperationNode, Scope, TapeNode, Tensor } from "./tensor.ts";

/** The input whose memory a view shares. */
const VIEW_SOURCES: { readonly [N in ViewName]: number } = { reshape: 0, straightThrough: 1 };

/** Runs `body` without recording it on the tape. Its results have no gradient and keep no other tensors alive.
 *
 * ```ts
 * import { openDevice, parameter, square, withoutGradients } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const weight = parameter(device.tensor([3], [1]));
 * assert.equal(withoutGradients(() => square(weight)).requiresGradient, false);
 * ```
 * @throws {TypeError} `body` is asynchronous
 */
export function withoutGradients<T>(body: () => T): T {
  const result = whileRecording(false, body);
  if (result instanceof Promise) {
    throw new TypeError("Cannot run withoutGradients: the body must be synchronous, got a promise");
  }
  return result;
}

/** Marks a tensor as requiring a gradient, and returns it. */
export function parameter(tensor: Tensor): Tensor {
  tensor.requiresGradient = true;
  return tensor;
}

/** The same values without a connection to the tape: gradients do not pass (stop-gradient, "sg"). */
export function detach(tensor: Tensor): Tensor {
  return tensor.view();
}

/** The straight-through estimator (arXiv 1308.3432): the result is exactly `values`, and its gradient is passed to `x`
 * unchanged.
 * @throws {TypeError} their shapes differ
 */
export function straightThrough(x: Tensor, values: Tensor): Tensor {
  return apply("straightThrough", [x, values], {});
}

/** Rejects tensors that an operation's outputs cannot be written to. */
function checkInto(
  name: OperationName,
  device: Device,
  inputs: readonly Tensor[],
  into: readonly Tensor[],
  specs: readonly Spec[],
): void {
  const action = `Cannot run ${name} into a tensor`;
  const operands = new Set(inputs.map(({ buffer }) => buffer));
  if (into.length !== specs.length) {
    throw new TypeError(`${action}: ${specs.length} are needed, got ${into.length}`);
  }
  into.forEach((target, index) => {
    const { shape, dtype } = target;
    const spec = specs[index];
    if (target.device !== device) {
      throw new TypeError(
        `${action}: it must be on ${device.name}, got one on ${target.device.name}`,
      );
    }
    if (!sameShape(shape, spec.shape) || dtype !== spec.dtype) {
      throw new TypeError(
        `${action}: it must be ${spec.dtype} ${showShape(spec.shape)}, got ${dtype} ${
          showShape(shape)
        }`,
      );
    }
    if (operands.has(target.buffer)) {
      throw new TypeError(
        `${action}: it must have memory of its own, got that of an operand of ${showShape(shape)}`,
      );
    }
  });
}

/** Runs one of the operations of `ops.ts` and returns all its outputs.
 * @param into tensors to write the outputs to, instead of new ones; they must have the outputs' specs and share no
 * memory with the inputs
 * @throws {TypeError} the operands are on different devices, or have shapes or dtypes that are not allowed
 */
export function execute<N extends OperationName>(
  device: Device,
  name: N,
  inputs: readonly Tensor[],
  attributes: Attributes[N],
  into?: readonly Tensor[],
): readonly Tensor[] {
  for (const input of inputs) {
    if (input.device !== device) {
      throw new TypeError(
        `Cannot run ${name}: all operands must be on one device, got ${device.name} and ${input.device.name}`,
      );
    }
  }
  const specs = operations[name].outputs(inputs, attributes);
  const source = VIEW_SOURCES[name as ViewName];
  if (source !== undefined) {
    return record(name, inputs, [inputs[source].view(specs[0].shape)], attributes);
  }
  if (into !== undefined) {
    checkInto(name, device, inputs, into, specs);
    for (const target of into) target.overwritten();
  }
  const outputs = into ?? specs.map(({ shape, dtype }) => device.empty(shape, dtype));
  const kernel = device.backend.kernels[name as Exclude<N, ViewName>] as Kernel<
    Attributes[N],
    Buffer
  >;
  kernel(inputs, outputs, attributes);
  return into ?? record(name, inputs, outputs, attributes);
}

/** Runs one operation on its operands' device and returns its first output. */
export function apply<N extends OperationName>(
  name: N,
  inputs: readonly [Tensor, ...Tensor[]],
  attributes: Attributes[N],
): Tensor {
  return execute(inputs[0].device, name, inputs, attributes)[0];
}

/** Overwrites `target` in place with the values of `source`. Not recorded.
 * @throws {TypeError} their shapes, dtypes or devices differ, or they share memory
 */
export function assign(target: Tensor, source: Tensor): void {
  execute(target.device, "copy", [source], {}, [target]);
}

function record<N extends OperationName>(
  name: N,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  attributes: Attributes[N],
): readonly Tensor[] {
  const passes = isRecording() && operations[name].gradient !== null &&
    inputs.some((input) => input.requiresGradient);
  if (passes) recordNode({ name, inputs, outputs, attributes, order: nextOrder() });
  return outputs;
}

/** Records a computation on a tensor that is not one of the operations of `ops.ts`, such as a sum over processes.
 *
 * ```ts
 * import { backward, openDevice, parameter, recordForeign, sum } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const x = parameter(device.tensor([1, 2], [2]));
 * const constant = recordForeign(x, device.tensor([5, 5], [2]), (upstream) => upstream);
 * const [gradient] = backward(sum(constant), [x]);
 * assert.deepEqual([...await gradient.floats()], [1, 1]);
 * ```
 * @param input the input of the computation
 * @param output its output, a separate tensor
 * @param rule computes the gradient of the input from that of the output; it runs without recording
 * @returns the output
 */
export function recordForeign(
  input: Tensor,
  output: Tensor,
  rule: (upstream: Tensor) => Tensor,
): Tensor {
  if (isRecording() && input.requiresGradient && output.dtype === "float32") {
    recordNode({ name: "foreign", inputs: [input], outputs: [output], rule, order: nextOrder() });
  }
  return output;
}

// ---- gradients ---------------------------------------------------------------------------------------------

/** Options of `backward`. */
export interface BackwardOptions {
  /** Whether to record the computation of the gradients, so that they can be differentiated again. */
  readonly differentiable?: boolean;
  /** The scope in which the loss was computed, if its intermediate results are no longer needed. Use `spent.keep` for
   * tensors to keep. */
  readonly spent?: Scope;
}

const filled = ({ device, shape }: Tensor, value: number): Tensor =>
  execute(device, "full", [], { shape, value, dtype: "float32" })[0];

/** The gradients during a backward pass. */
class Sweep {
  readonly #wanted: ReadonlySet<Tensor>;
  readonly #isRecorded: boolean;
  /** The tensors whose gradients are requested, and all tensors that depend on them. */
  readonly #followed: Set<Tensor>;
  readonly #gradients = new Map<Tensor, Tensor>();

  /** @param isRecorded whether the gradients are recorded, with everything they are computed from */
  constructor(wanted: readonly Tensor[], isRecorded: boolean) {
    this.#wanted = new Set(wanted);
    this.#isRecorded = isRecorded;
    this.#followed = new Set(wanted);
  }

  /** The gradient of a tensor, accumulated so far. */
  get(tensor: Tensor): Tensor | undefined {
    return this.#gradients.get(tensor);
  }

  /** Propagates the gradient of a result back through the nodes that led to it, as far as `since` in the order of
   * execution. */
  run(result: Tensor, gradient: Tensor, since: number, spent: Scope | undefined): void {
    const nodes = trace(result, since);
    for (const { inputs, outputs } of nodes.toReversed()) {
      if (!inputs.some((input) => this.#followed.has(input))) continue;
      for (const output of outputs) this.#followed.add(output);
    }
    if (this.#followed.has(result)) this.#gradients.set(result, gradient);
    else if (!this.#isRecorded) gradient.dispose();
    for (const node of nodes) this.#pass(node, spent);
  }

  /** Propagates the gradients of a node's outputs to its inputs, and releases them. */
  #pass(node: TapeNode, spent: Scope | undefined): void {
    const { inputs, outputs } = node;
    const upstreams = outputs.map((output) => this.#gradients.get(output));
    const leads = upstreams.some((upstream) => upstream !== undefined) &&
      inputs.some((input) => this.#followed.has(input));
    if (leads && this.#isRecorded) {
      this.#handOn(node, upstreams, undefined);
    } else if (leads) {
      using scope = outputs[0].device.scope();
      this.#handOn(node, upstreams, scope);
    }
    for (const [index, output] of outputs.entries()) {
      if (this.#wanted.has(output)) continue;
      this.#gradients.delete(output);
      if (!this.#isRecorded) upstreams[index]?.dispose();
      spent?.release(output);
    }
  }

  #handOn(
    node: TapeNode,
    upstreams: readonly (Tensor | undefined)[],
    scope: Scope | undefined,
  ): void {
    if (node.name === "checkpoint") return this.#recompute(node, upstreams[0]!, scope);
    const { inputs } = node;
    if (node.name === "foreign") return this.#add(inputs[0], node.rule(upstreams[0]!), scope);
    const needed = inputs.map((input) => this.#followed.has(input));
    for (const [index, gradient] of gradientsOf(node, upstreams, needed).entries()) {
      if (gradient !== undefined && needed[index]) this.#add(inputs[index], gradient, scope);
    }
  }

  #add(input: Tensor, gradient: Tensor, scope: Scope | undefined): void {
    const { device } = gradient;
    const before = this.#gradients.get(input);
    if (scope === undefined) {
      const total = before === undefined
        ? gradient
        : execute(device, "add", [before, gradient], {})[0];
      this.#gradients.set(input, total);
      return;
    }
    const total = before === undefined
      ? gradient.view()
      : execute(device, "add", [before, gradient], {})[0];
    this.#gradients.set(input, scope.keep(total));
    before?.dispose();
  }

  /** Recomputes what a checkpoint did not keep, and propagates back through it. */
  #recompute(node: CheckpointNode, upstream: Tensor, scope: Scope | undefined): void {
    const since = nextOrder();
    const result = whileRecording(true, node.recompute);
    const isRecorded = (result.producer?.order ?? -1) >= since;
    if (!isRecorded || !sameShape(result.shape, upstream.shape)) {
      throw new TypeError(
        `Cannot backpropagate: the body of a checkpoint must compute the same each time, got ${
          showShape(upstream.shape)
        } first and then ${showShape(result.shape)}${isRecorded ? "" : " without a gradient"}`,
      );
    }
    // The sweep disposes of the inner gradient; the outer one may still be needed.
    this.run(result, scope === undefined ? upstream : upstream.view(), since, scope);
    for (const input of node.inputs) {
      const gradient = this.#gradients.get(input);
      if (gradient !== undefined) scope?.keep(gradient);
    }
  }
}

function gradientsOf(
  node: OperationNode,
  upstreams: readonly (Tensor | undefined)[],
  needed: readonly boolean[],
): readonly (Tensor | undefined)[] {
  const { name, inputs, outputs, attributes } = node;
  const rule = operations[name].gradient as (
    call: GradientCall<Tensor, unknown>,
  ) => readonly (Tensor | undefined)[];
  const applyAll: ApplyAll<Tensor> = (name, inputs, attributes) =>
    execute(outputs[0].device, name, inputs, attributes);
  return rule({
    inputs,
    outputs,
    attributes,
    upstream: upstreams[0] ?? filled(outputs[0], 0),
    upstreams,
    needed,
    applyAll,
    apply: (name, inputs, attributes) => applyAll(name, inputs, attributes)[0],
  });
}

/** The gradients of a scalar loss with respect to the given tensors; zeros for those that the loss does not depend on.
 *
 * Only the computation between these tensors and the loss is differentiated. Intermediate gradients are recycled as
 * soon as they are used, and so are recorded results that `spent` owns.
 *
 * ```ts
 * import { backward, openDevice, parameter, square, sum } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const weight = parameter(device.tensor([1, -2], [2]));
 * const [gradient] = backward(sum(square(weight)), [weight]);
 * assert.deepEqual([...await gradient.floats()], [2, -4]);
 * ```
 *
 * With `differentiable`, gradients can be differentiated again. Here Σ (∂ Σ x³ / ∂x)² = Σ 9x⁴:
 *
 * ```ts
 * import { backward, mul, openDevice, parameter, square, sum } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * using _scope = device.scope();
 * const x = parameter(device.tensor([1, -2], [2]));
 * const [slope] = backward(sum(mul(square(x), x)), [x], { differentiable: true });
 * const [gradient] = backward(sum(square(slope)), [x]);
 * assert.deepEqual([...await gradient.floats()], [36, -288]);
 * ```
 * @param loss float32 with one element
 * @param parameters tensors marked by `parameter`, or computed from such tensors
 * @returns float32, each with the shape of its parameter, in the order of the parameters
 * @throws {TypeError} the loss has more than one element or depends on no parameter; a requested tensor was never
 * marked as a parameter; `differentiable` and `spent` are both given; or the gradient of an operation without a second
 * derivative, such as maxPool, is differentiated
 */
export function backward(
  loss: Tensor,
  parameters: readonly Tensor[],
  { differentiable = false, spent }: BackwardOptions = {},
): readonly Tensor[] {
  if (loss.size !== 1 || !loss.requiresGradient) {
    throw new TypeError(
      `Cannot backpropagate: the loss must be one value that depends on a parameter, got shape ${
        showShape(loss.shape)
      }${loss.requiresGradient ? "" : " without a recorded parameter"}`,
    );
  }
  for (const { requiresGradient, shape } of parameters) {
    if (requiresGradient) continue;
    throw new TypeError(
      `Cannot backpropagate: gradients are only kept for parameters, got a tensor ${
        showShape(shape)
      } that parameter() did not mark`,
    );
  }
  if (differentiable && spent !== undefined) {
    throw new TypeError(
      "Cannot backpropagate: differentiable gradients need the intermediate results of the loss, got a spent scope",
    );
  }
  return whileRecording(differentiable, () => {
    const sweep = new Sweep(parameters, differentiable);
    sweep.run(loss, filled(loss, 1), 0, spent);
    return parameters.map((tensor) => {
      const gradient = sweep.get(tensor);
      if (gradient === undefined) return filled(tensor, 0);
      // Several parameters may share one recorded gradient; each gets its own tensor.
      return differentiable
        ? execute(tensor.device, "reshape", [gradient], { shape: tensor.shape })[0]
        : gradient;
    });
  });
}
