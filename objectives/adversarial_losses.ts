/** The adversarial losses of a generator and a discriminator. */
import { add, mul, neg, relu, sub } from "../core/functions/elementwise.ts";
import { stack } from "../core/functions/movement.ts";
import { logsumexp, mean } from "../core/functions/reductions.ts";
import { full } from "../core/functions/creation.ts";
import type { Tensor } from "../core/tensor.ts";

/** The losses of both networks, computed from the discriminator's logits. Each is a scalar, a mean over the logits. */
export interface AdversarialLosses {
  /** The generator's loss: it makes images look real. */
  generator(fake: Tensor): Tensor;
  /** The discriminator's loss: it separates real images from generated ones. */
  discriminator(real: Tensor, fake: Tensor): Tensor;
}

/** ln(1 + eˣ). It does not overflow, and its gradient is the sigmoid everywhere. */
export function softplus(x: Tensor): Tensor {
  return logsumexp(stack([x, full(x.device, x.shape, 0)]), 0);
}

const half = (a: Tensor, b: Tensor): Tensor => mul(add(mean(a), mean(b)), 0.5);

/** The losses by name.
 *
 * - `hinge` (arXiv 1705.02894): −mean D(x̂), and ½(mean relu(1 − D(x)) + mean relu(1 + D(x̂)));
 * - `non-saturating` (arXiv 1406.2661): mean softplus(−D(x̂)), and ½(mean softplus(−D(x)) + mean softplus(D(x̂))).
 *
 * The factor ½ gives both losses the same scale. Taming's `vanilla` is the discriminator of the second pair with the
 * generator of the first.
 *
 * ```ts
 * import { ADVERSARIAL_LOSSES, openDevice } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const [real, fake] = [[2, 0], [-1, 1]].map((logits) => device.tensor(logits, [2]));
 * assert.equal(await ADVERSARIAL_LOSSES.hinge.discriminator(real, fake).item(), 0.75);
 * ```
 */
export const ADVERSARIAL_LOSSES: Readonly<Record<"hinge" | "non-saturating", AdversarialLosses>> = {
  "hinge": {
    generator: (fake) => neg(mean(fake)),
    discriminator: (real, fake) => half(relu(sub(1, real)), relu(add(fake, 1))),
  },
  "non-saturating": {
    generator: (fake) => mean(softplus(neg(fake))),
    discriminator: (real, fake) => half(softplus(neg(real)), softplus(fake)),
  },
};

/** The name of a pair of losses. */
export type AdversarialLossName = keyof typeof ADVERSARIAL_LOSSES;
