/** Runs operations, records them on the tape, and computes gradients from it. */
import type { Buffer, Kernel } from "./backend.ts";
import {
  type Attributes,
  type GradientCall,
  type OperationName,
  operations,
  type ViewName,
} from "./ops.ts";
import { sameShape, showShape, type Spec } from "./shape.ts";
import type { Device, Scope, TapeNode, Tensor } from "./tensor.ts";

/** Which input a view looks at. */
const VIEW_SOURCES: { readonly [N in ViewName]: number } = { reshape: 0, straightThrough: 1 };

let recording = true;
let order = 0;

/** Runs `body` without recording: what it computes has no gradient and keeps nothing alive.
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
  const before = recording;
  recording = false;
  try {
    const result = body();
    if (result instanceof Promise) {
      throw new TypeError(
        "Cannot run withoutGradients: the body must be synchronous, got a promise",
      );
    }
    return result;
  } finally {
    recording = before;
  }
}

/** Marks a tensor as one whose gradient is wanted, and gives it back. */
export function parameter(tensor: Tensor): Tensor {
  tensor.requiresGradient = true;
  return tensor;
}

/** The same values cut off from the tape: gradients do not pass (stop-gradient, "sg"). */
export function detach(tensor: Tensor): Tensor {
  return tensor.view();
}

/** The values of one tensor with the gradient of another (arXiv 1308.3432): the result is exactly `values`, and its
 * gradient passes to `x` unchanged.
 * @throws {TypeError} their shapes differ
 */
export function straightThrough(x: Tensor, values: Tensor): Tensor {
  return apply("straightThrough", [x, values], {});
}

/** Refuses tensors that an operation's outputs cannot be written to. */
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

/** Runs one operation of the list and gives all its outputs.
 * @param into tensors to write the outputs to, instead of new ones; they must have the outputs' specs and share no
 * memory with the inputs
 * @throws {TypeError} operands on different devices, or of shapes or dtypes that are not allowed
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

/** Runs one operation on its operands' device and gives its first output. */
export function apply<N extends OperationName>(
  name: N,
  inputs: readonly [Tensor, ...Tensor[]],
  attributes: Attributes[N],
): Tensor {
  return execute(inputs[0].device, name, inputs, attributes)[0];
}

/** Overwrites `target` with the values of `source`, in place; not recorded.
 * @throws {TypeError} their shapes, dtypes or devices differ, or they are one memory
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
  const first = outputs[0];
  const differentiable = recording && operations[name].gradient !== null &&
    first.dtype === "float32" && inputs.some((input) => input.requiresGradient);
  if (differentiable) {
    first.requiresGradient = true;
    first.producer = { name, inputs, outputs, attributes, order: order++ };
  }
  return outputs;
}

/** Puts on the tape what something other than an operation of the list made of a tensor: a sum over processes, say.
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
 * @param input what it was made of
 * @param output what was made, a tensor of its own
 * @param rule the gradient by the input, of the gradient by the output; it runs without recording
 * @returns the output
 */
export function recordForeign(
  input: Tensor,
  output: Tensor,
  rule: (upstream: Tensor) => Tensor,
): Tensor {
  if (recording && input.requiresGradient && output.dtype === "float32") {
    output.requiresGradient = true;
    output.producer = {
      name: undefined,
      inputs: [input],
      outputs: [output],
      rule,
      order: order++,
    };
  }
  return output;
}

/** The operations that led to `loss`, the latest first. */
function trace(loss: Tensor): TapeNode[] {
  const found = new Set<TapeNode>();
  const open = [loss.producer];
  while (open.length > 0) {
    const node = open.pop();
    if (node === undefined || found.has(node)) continue;
    found.add(node);
    for (const input of node.inputs) open.push(input.producer);
  }
  return [...found].sort((a, b) => b.order - a.order);
}

function gradientsOf(node: TapeNode, upstream: Tensor): readonly (Tensor | undefined)[] {
  if (node.name === undefined) return [node.rule(upstream)];
  const { device } = upstream;
  const { gradient } = operations[node.name];
  const rule = gradient as (call: GradientCall<Tensor, unknown>) => readonly (Tensor | undefined)[];
  return rule({
    inputs: node.inputs,
    outputs: node.outputs,
    attributes: node.attributes,
    upstream,
    needed: node.inputs.map((input) => input.requiresGradient),
    apply: (name, inputs, attributes) => execute(device, name, inputs, attributes)[0],
  });
}

/** The gradients of a scalar loss by each of the parameters, zeros for one that the loss does not depend on.
 *
 * Reverse-mode differentiation over the tape. Intermediate gradients are recycled as soon as they are used, and so are
 * the recorded results themselves where `spent` owns them.
 *
 * ```ts
 * import { backward, openDevice, parameter, square, sum } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const weight = parameter(device.tensor([1, -2], [2]));
 * const [gradient] = backward(sum(square(weight)), [weight]);
 * assert.deepEqual([...await gradient.floats()], [2, -4]);
 * ```
 * @param loss float32 with one element
 * @param spent the scope that the loss was computed in, if what it was computed from is not needed any more; keep the
 * rest, with `spent.keep`
 * @returns float32, each of its parameter's shape, in the parameters' order
 * @throws {TypeError} the loss has more than one element, or depends on no parameter; or a tensor whose gradient is
 * asked for was never marked as a parameter
 */
export function backward(
  loss: Tensor,
  parameters: readonly Tensor[],
  spent?: Scope,
): readonly Tensor[] {
  if (loss.size !== 1 || !loss.requiresGradient) {
    throw new TypeError(
      `Cannot go backward: the loss must be one value that depends on a parameter, got shape ${
        showShape(loss.shape)
      }${loss.requiresGradient ? "" : " without a recorded parameter"}`,
    );
  }
  for (const { requiresGradient, shape } of parameters) {
    if (requiresGradient) continue;
    throw new TypeError(
      `Cannot go backward: gradients are only kept for parameters, got a tensor ${
        showShape(shape)
      } that parameter() did not mark`,
    );
  }
  const { device } = loss;
  const wanted = new Set(parameters);
  return withoutGradients(() => {
    const gradients = new Map<Tensor, Tensor>();
    gradients.set(
      loss,
      execute(device, "full", [], { shape: loss.shape, value: 1, dtype: "float32" })[0],
    );
    for (const node of trace(loss)) {
      const upstream = gradients.get(node.outputs[0]);
      if (upstream === undefined) continue;
      using scope = device.scope();
      gradientsOf(node, upstream).forEach((gradient, index) => {
        const input = node.inputs[index];
        if (gradient === undefined || !input.requiresGradient) return;
        const before = gradients.get(input);
        const total = before === undefined
          ? gradient.view()
          : execute(device, "add", [before, gradient], {})[0];
        gradients.set(input, scope.keep(total));
        before?.dispose();
      });
      if (!wanted.has(node.outputs[0])) {
        gradients.delete(node.outputs[0]);
        upstream.dispose();
        for (const output of node.outputs) spent?.release(output);
      }
    }
    const result = parameters.map((tensor) =>
      gradients.get(tensor) ??
        execute(device, "full", [], { shape: tensor.shape, value: 0, dtype: "float32" })[0]
    );
    for (const [tensor, gradient] of gradients) if (!wanted.has(tensor)) gradient.dispose();
    return result;
  });
}
