/** The model of a diffusion, with everything that sampling needs. */
import { Module } from "../../nn/module.ts";
import type { Denoiser } from "../../models/denoiser.ts";
import type { LatentSpace } from "./latents.ts";

/** A denoiser and the space of its latents; in pixels there is no such space. */
export class DiffusionModel extends Module {
  /** The network. */
  readonly denoiser: Denoiser;
  /** Maps features of the first stage to latents and back. */
  readonly latents: LatentSpace | undefined;

  /** Combines the two. */
  constructor(denoiser: Denoiser, latents?: LatentSpace) {
    super();
    this.denoiser = denoiser;
    this.latents = latents;
  }
}
