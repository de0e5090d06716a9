/** What a diffusion trains, with all that its samples are made by. */
import { Module } from "../../nn/module.ts";
import type { Denoiser } from "../../models/denoiser.ts";
import type { LatentSpace } from "./latents.ts";

/** A denoiser, and the space of the latents that it denoises; in pixels none. */
export class DiffusionModel extends Module {
  /** The network. */
  readonly denoiser: Denoiser;
  /** Features of the first stage to latents and back. */
  readonly latents: LatentSpace | undefined;

  /** Puts the two together. */
  constructor(denoiser: Denoiser, latents?: LatentSpace) {
    super();
    this.denoiser = denoiser;
    this.latents = latents;
  }
}
