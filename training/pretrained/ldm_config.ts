/** The configuration file that lies beside a latent diffusion model: what its weights do not say. */
import * as z from "zod";
import type { Settings } from "../presets.ts";

/** What the file says. */
export interface LdmConfig {
  /** Settings of the run, under those of the command line. */
  readonly settings: Settings;
  /** What latents are multiplied by, where the weights do not hold it. */
  readonly scaleFactor: number;
}

const count = z.int().min(1);

/** The parts that are read of it, by their names there. */
const SCHEMA = z.object({
  model: z.object({
    params: z.object({
      parameterization: z.enum(["eps", "x0", "v"]).default("eps"),
      image_size: count.optional(),
      scale_factor: z.number().positive().default(1),
      unet_config: z.object({
        params: z.object({
          num_heads: z.int().default(-1),
          num_head_channels: z.int().default(-1),
          dropout: z.number().min(0).lt(1).default(0),
          use_new_attention_order: z.literal(false).optional(),
        }),
      }),
      first_stage_config: z.object({
        params: z.object({ ddconfig: z.object({ ch_mult: z.array(count).min(1) }) }),
      }).optional(),
    }),
  }),
});

const PREDICTIONS = { eps: "epsilon", x0: "x0", v: "v" } as const;

/** Reads what a file of latent diffusion holds.
 * @param given the file's contents, parsed
 * @param path what messages call the file
 * @throws {RangeError} it is none, or asks for what this program does not have
 */
export function readLdmConfig(given: unknown, path: string): LdmConfig {
  const { data, error } = SCHEMA.safeParse(given);
  if (error !== undefined) {
    const [issue] = error.issues;
    throw new RangeError(
      `Cannot read ${path}: it must be the configuration of a latent diffusion model, got "${issue.message}" at ${
        issue.path.map(String).join(".") || "its top"
      }`,
    );
  }
  const { parameterization, image_size, scale_factor, unet_config, first_stage_config } =
    data.model.params;
  const { num_heads, num_head_channels, dropout } = unet_config.params;
  const levels = first_stage_config?.params.ddconfig.ch_mult.length;
  return {
    scaleFactor: scale_factor,
    settings: {
      objective: { prediction: PREDICTIONS[parameterization] },
      model: {
        dropout,
        ...num_head_channels > 0
          ? { headChannels: num_head_channels }
          : { headChannels: null, heads: Math.max(num_heads, 1) },
      },
      ...image_size !== undefined && levels !== undefined && {
        data: { size: image_size * 2 ** (levels - 1) },
      },
    },
  };
}
