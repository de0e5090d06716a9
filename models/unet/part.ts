/** What a U-Net is made of. */
import type { Tensor } from "../../core/tensor.ts";
import { type Context, Module } from "../../nn/module.ts";

/** What the parts of a U-Net are told besides their input. */
export interface PartContext extends Context {
  /** `[B, E]`: of the times and perhaps the classes, after its SiLU. */
  readonly embedding: Tensor;
  /** `[B, T, M]`: what cross-attention attends to. */
  readonly memory?: Tensor;
}

/** A part of a U-Net: float32 `[B, H, W, C]` → `[B, H', W', C']`. */
export abstract class UNetPart extends Module {
  /** Applies the part. */
  abstract forward(x: Tensor, context: PartContext): Tensor;
}
