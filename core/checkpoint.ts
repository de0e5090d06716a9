/** Less memory for more time: what is recomputed when it is needed. */
import { nextOrder, recordNode, trace } from "./tape.ts";
import { Tensor } from "./tensor.ts";

/** Runs `body` and keeps only its result: `backward` runs it again for what lies between (arXiv 1604.06174).
 *
 * The gradients are the same, to the bit, as without a checkpoint: by the inputs, by the parameters of the modules that
 * `body` uses, and by whatever else it takes from outside.
 *
 * `body` must compute the same each time. So random numbers come from keys that are made outside, and what changes a
 * module's state (a moving average) stays outside too.
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
 * @param inputs what `body` is called with; like all that it takes from outside, they must live until `backward`, with
 * the values that they have now
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
