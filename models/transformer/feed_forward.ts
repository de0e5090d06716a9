/** The feed-forward layers of transformers. */
import { gelu, mul, silu } from "../../core/functions/elementwise.ts";
import type { RandomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { partKey } from "../../nn/initializers.ts";
import { Linear } from "../../nn/linear.ts";
import { Layer } from "../../nn/module.ts";

/** A kind of feed-forward layer: two linear layers with an exact GELU between them, or SwiGLU. */
export type FeedForwardType = "gelu" | "swiglu";

/** All kinds of feed-forward layers. */
export const FEED_FORWARDS: readonly FeedForwardType[] = ["gelu", "swiglu"];

/** Two linear layers with an exact GELU between them. The hidden layer is four times as wide (arXiv 1706.03762,
 * 3.3). */
class GeluFeedForward extends Layer {
  readonly inner: Linear;
  readonly outer: Linear;

  constructor(device: Device, width: number, key: RandomKey) {
    super();
    this.inner = new Linear(device, width, 4 * width, { key: partKey(key, 0) });
    this.outer = new Linear(device, 4 * width, width, { key: partKey(key, 1) });
  }

  forward(x: Tensor): Tensor {
    return this.outer.forward(gelu(this.inner.forward(x)));
  }
}

/** SwiGLU (arXiv 2002.05202): (silu(x·V) ⊙ x·W)·U without biases. The hidden layer is 8/3 times as wide, rounded up to
 * a multiple of 8, so that it has about as many weights as the GELU layer. */
class SwigluFeedForward extends Layer {
  readonly gate: Linear;
  readonly inner: Linear;
  readonly outer: Linear;

  constructor(device: Device, width: number, key: RandomKey) {
    super();
    const hidden = 8 * Math.ceil(width / 3);
    const linear = (inputs: number, outputs: number, part: number) =>
      new Linear(device, inputs, outputs, { key: partKey(key, part), bias: false });
    this.gate = linear(width, hidden, 0);
    this.inner = linear(width, hidden, 1);
    this.outer = linear(hidden, width, 2);
  }

  forward(x: Tensor): Tensor {
    return this.outer.forward(mul(silu(this.gate.forward(x)), this.inner.forward(x)));
  }
}

/** Makes a feed-forward layer: `[..., width]` → `[..., width]`. */
export function makeFeedForward(
  type: FeedForwardType,
  device: Device,
  width: number,
  key: RandomKey,
): Layer {
  const Kind = { gelu: GeluFeedForward, swiglu: SwigluFeedForward }[type];
  return new Kind(device, width, key);
}
