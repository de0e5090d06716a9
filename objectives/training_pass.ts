/** The result of a training step's forward pass. */
import type { Tensor } from "../core/tensor.ts";
import type { Reconstruction } from "../models/autoencoder.ts";

/** A first stage's reconstruction of a training batch, with the losses. */
export interface TrainingPass extends Reconstruction {
  /** A scalar: the mean squared error of the reconstruction. */
  readonly mse: Tensor;
  /** A scalar: the sum of the quantiser's losses. */
  readonly quantizerLoss: Tensor;
}
