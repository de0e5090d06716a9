/** What a training step's forward pass gives. */
import type { Tensor } from "../core/tensor.ts";
import type { Reconstruction } from "../models/autoencoder.ts";

/** What a first stage made of a batch that it learns from. */
export interface TrainingPass extends Reconstruction {
  /** A scalar: of the reconstruction. */
  readonly mse: Tensor;
  /** A scalar: the sum of the quantiser's losses. */
  readonly quantizerLoss: Tensor;
}
