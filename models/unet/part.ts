/** The interface of a U-Net's parts. */
import type { Tensor } from "../../core/tensor.ts";
import { type Context, Module } from "../../nn/module.ts";

/** The context of a U-Net's parts. */
export interface PartContext extends Context {
  /** `[B, E]`: the embedding of the timesteps and, if used, of the classes, after its SiLU. */
  readonly embedding: Tensor;
  /** `[B, T, M]`: the sequence for cross-attention. */
  readonly memory?: Tensor;
}

/** A part of a U-Net: float32 `[B, H, W, C]` → `[B, H', W', C']`. */
export abstract class UNetPart extends Module {
  /** Applies the part. */
  abstract forward(x: Tensor, context: PartContext): Tensor;
}
