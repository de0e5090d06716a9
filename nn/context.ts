/** What layers and models are told of the pass that they are in. */
import type { RandomKey } from "../core/random.ts";

/** A pass through a model. */
export interface Context {
  /** Whether this is a training step. */
  readonly training: boolean;
  /** For random choices; its step is the training step. */
  readonly key: RandomKey;
}
