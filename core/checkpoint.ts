/** Gradient checkpointing: saves memory by recomputing values in the backward pass. */
import { nextOrder, recordNode, trace } from "./tape.ts";
import { Tensor } from "./tensor.ts";

/** Runs `body` and keeps only its result. `backward` runs it again to recompute the intermediate values (arXiv
 * 1604.06174).
 *
 * The gradients are bitwise the same as without a checkpoint, for the inputs, for the parameters of the modules that
 * `body` uses, and for everything else it captures.
 *
 * `body` must compute the same result each time. So create random keys outside `body`, and do not change a module's
 * state inside it, such as a moving average.
 *
 * ```ts
 * import { backward, checkpoint, Linear, mean, openDevice, randomKey, relu } from "@codebook/codebook";
 * using device = await openDevice("reference");
 * const layer = new Linear(device, 3, 3, { key: randomKey(1, "layer") });
 * const x = device.tensor([1, 2, 3], [1, 3]);
 * const y = checkpoint((x) => relu(layer.forward(x)), x);
 * console.log(await backward(mean(y), layer.parameters())[0].floats());
 * ```
 * @param body synchronous; runs once now and once in each `backward`
 * @param inputs the arguments of `body`; until `backward`, neither they nor anything else that `body` captures may be
 * disposed of or changed
 * @throws {TypeError} `body` does not return one tensor
 */
export function checkpoint<I extends readonly [Tensor, ...Tensor[]]>(
  body: (...inputs: I) => Tensor,
  ...inputs: I
): Tensor {
  using scope = inputs[0].device.scope();
  const since = nextOrder();
  const recompute = () => body(...inputs);
  const result = recompute();
  if (!(result instanceof Tensor)) {
    throw new TypeError(
      `Cannot make a checkpoint: the body must return one tensor, got ${
        (result as unknown) instanceof Promise ? "a promise" : typeof result
      }`,
    );
  }
  const isInside = ({ producer }: Tensor) => producer !== undefined && producer.order >= since;
  if (!isInside(result)) return scope.keep(result);
  const outside = trace(result, since).flatMap((node) => node.inputs)
    .filter((input) => input.requiresGradient && !isInside(input));
  const kept = scope.keep(result.view());
  recordNode({
    name: "checkpoint",
    inputs: [...new Set(outside)],
    outputs: [kept],
    recompute,
    order: nextOrder(),
  });
  return kept;
}
